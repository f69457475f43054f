/** Learned states before the texts of a language model: applied, trained, removed. */
import { DataError, type OnWarning, ShapeError, warnOnConsole } from "../base/index.ts";
import { CausalLM, type PretrainedModel } from "../models/index.ts";
import type { Parameter, StateTensor } from "../nn/index.ts";
import { type Adapter, PROMPT } from "./adapter.ts";
import { AppliedAdapter, wrong } from "./applied-adapter.ts";
import { warnOfOthers } from "./fit-adapter.ts";
import type { PromptConfig } from "./prompt-config.ts";
import { KeyValuePrefix, SoftPrompt } from "./soft-prompt.ts";

/** Prompt tuning, p-tuning or prefix tuning that a model has. */
export class AppliedPrompt extends AppliedAdapter {
  readonly isMerged = false;
  protected readonly isTransposed = false;
  private readonly prefix: SoftPrompt | KeyValuePrefix;

  /** @internal */
  constructor(model: PretrainedModel, adapter: Adapter<PromptConfig>, onWarning: OnWarning = warnOnConsole) {
    super(model, adapter);
    this.prefix = prefixOf(model, adapter, onWarning);
  }

  get parameters(): Map<string, Parameter> {
    return new Map([[PROMPT, this.prefix.prompt]]);
  }

  protected putIn(): void {
    const model = requireCausal(this.model);
    if (model.textPrefix) {
      const where = `applyAdapter, ${model.architecture}`;
      throw wrong(where, "a model with nothing before its texts", "one with a prefix", "remove that one first");
    }
    model.textPrefix = this.prefix;
  }

  protected takeOut(): void {
    requireCausal(this.model).textPrefix = undefined;
  }

  async merge(): Promise<void> {
    throw wrong("merge", "an adapter of layers", this.adapter.config.type, "leave it before the texts");
  }

  unmerge(): void {
    throw wrong("unmerge", "an adapter that is merged", "one before the texts", "it cannot be merged");
  }
}

/**
 * The learned states of an adapter. Whoever makes them disposes of them.
 * @throws DataError, ShapeError for an adapter of another model
 */
export function prefixOf(
  model: PretrainedModel,
  adapter: Adapter<PromptConfig>,
  onWarning: OnWarning = warnOnConsole,
): SoftPrompt | KeyValuePrefix {
  const { name, config, prompt } = adapter;
  const shape = promptShape(requireCausal(model), config);
  if (String(prompt?.shape) !== String(shape))
    throw new ShapeError({
      where: `${name}, tensor ${PROMPT}`,
      expected: `shape [${shape.join(", ")}]`,
      received: `[${prompt?.shape.join(", ")}]`,
      fix: "check that the adapter was made for this model, with this adapter_config.json",
    });
  warnOfOthers(model, adapter, onWarning);
  const Prefix = config.type === "PREFIX_TUNING" ? KeyValuePrefix : SoftPrompt;
  return new Prefix(prompt as StateTensor);
}

/** @throws DataError for a model that is no language model */
export function requireCausal(model: PretrainedModel): CausalLM {
  if (model instanceof CausalLM) return model;
  throw new DataError({
    where: `applyAdapter, ${model.architecture}`,
    expected: "a decoder-only language model, which has states before its texts",
    received: `a model for ${model.task}`,
    fix: "use an adapter of layers, such as LoRA or IA3",
  });
}

/** The shape of learned states before the texts of a model. @throws DataError for a config of a model of other sizes */
export function promptShape({ cacheShape, config: sizes }: CausalLM, config: PromptConfig): [number, number] {
  const { numLayers, numKeyHeads, headDim } = cacheShape;
  const isPrefix = config.type === "PREFIX_TUNING";
  const width = isPrefix ? numKeyHeads * headDim : sizes.hiddenSize;
  const isOther = (value: number, ofModel: number) => value !== 0 && value !== ofModel;
  if (isOther(config.tokenDim, width) || isOther(config.numLayers, numLayers))
    throw new DataError({
      where: "adapter_config.json",
      expected: `token_dim ${width} and num_layers ${numLayers}, those of the model`,
      received: `${config.tokenDim} and ${config.numLayers}`,
      fix: "use an adapter of this model",
    });
  return [config.numVirtualTokens, isPrefix ? 2 * numLayers * width : width];
}
