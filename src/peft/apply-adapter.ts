/** Adapters put into models. */
import type { OnWarning } from "../base/index.ts";
import type { PretrainedModel } from "../models/index.ts";
import type { Adapter } from "./adapter.ts";
import { isPrompt, type LayerConfig } from "./adapter-config.ts";
import type { AppliedAdapter } from "./applied-adapter.ts";
import { AppliedBottleneck } from "./applied-bottleneck.ts";
import { AppliedLayers } from "./applied-layers.ts";
import { AppliedPrompt } from "./applied-prompt.ts";
import type { BottleneckConfig } from "./bottleneck-config.ts";
import type { PromptConfig } from "./prompt-config.ts";

/** How an adapter is applied. */
export interface ApplyOptions {
  /** Hears of an adapter that was made for another model. @default console.warn */
  onWarning?: OnWarning;
  /** Whether the model computes with it at once; otherwise after `activate`, and in `within`. @default true */
  isActive?: boolean;
}

/**
 * Puts an adapter into a model: it computes with it from now on, in graphs that are traced anew. Nothing changes unless
 * everything fits.
 * @throws DataError when the model has no such layers; OptionError when it has an adapter that is active already;
 *   CheckpointError, ShapeError for tensors that do not fit; OptionError for a weight in blocks that the adapter has
 *   anew
 *
 * @example
 * // const applied = applyAdapter(model, await readAdapter("adapters/sql"));
 * // await applied.merge();
 */
export function applyAdapter(
  model: PretrainedModel,
  adapter: Adapter,
  { onWarning, isActive = true }: ApplyOptions = {},
): AppliedAdapter {
  const applied = newApplied(model, adapter, onWarning);
  if (isActive) applied.activate();
  return applied;
}

function newApplied(model: PretrainedModel, adapter: Adapter, onWarning?: OnWarning): AppliedAdapter {
  if (isPrompt(adapter.config)) return new AppliedPrompt(model, adapter as Adapter<PromptConfig>, onWarning);
  if (adapter.config.type === "BOTTLENECK")
    return new AppliedBottleneck(model, adapter as Adapter<BottleneckConfig>, onWarning);
  return new AppliedLayers(model, adapter as Adapter<LayerConfig>, onWarning);
}
