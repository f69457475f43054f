/** What the model before training says of texts. */
import { OptionError } from "../../base/index.ts";
import type { CausalLM } from "../../models/index.ts";
import { type AppliedAdapter, applyAdapter, readAdapter } from "../../peft/index.ts";
import {
  type LogProbabilityOptions,
  type Objective,
  type ReferenceModel,
  sequenceLogProbabilities,
} from "../../train/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { MethodContext } from "../method.ts";
import { openModel } from "./models.ts";

/**
 * Where the reference comes from: the model without its adapter, a second model, log probabilities that are computed
 * once before training; or nowhere, so that all texts are equally likely to it.
 */
export type ReferenceKind = "adapter-off" | "copy" | "precomputed" | "none";

/**
 * The reference that a config names. Without a name: a new adapter's base; otherwise log probabilities computed before.
 * @throws OptionError for adapter-off without an adapter
 */
export function referenceKind(config: SharedConfig, stated: ReferenceKind | undefined): ReferenceKind {
  const { adapter } = config;
  if (stated === undefined) return adapter && !adapter.from ? "adapter-off" : "precomputed";
  if (stated !== "adapter-off" || adapter) return stated;
  throw new OptionError({
    where: "config, method.reference: adapter-off",
    expected: "an adapter that is trained",
    received: "none",
    fix: "add one, or name precomputed or copy",
  });
}

/** A model without its adapter as the reference: no second copy of the weights. */
export function baseAsReference(
  model: CausalLM,
  applied: AppliedAdapter,
  options: LogProbabilityOptions = {},
): ReferenceModel {
  return (texts) => {
    const wasActive = applied.isActive;
    applied.remove();
    try {
      return sequenceLogProbabilities(model, texts, options).sum;
    } finally {
      if (wasActive) applied.activate();
    }
  };
}

/** The reference of a run. */
export interface RunReference {
  kind: ReferenceKind;
  /** Computes it in the graph of a loss, with the adapter that is trained; undefined where batches have its numbers. */
  within(applied: AppliedAdapter | undefined): ReferenceModel | undefined;
  /** An objective whose loss looks at it, with its weights in the state. */
  withState<B>(objective: Objective<B>): Objective<B>;
  dispose(): void;
}

/** What a kind of reference needs: a copy is opened, as the model is before training. */
export async function openReference(
  model: CausalLM,
  config: SharedConfig,
  { kind, context, ...options }: LogProbabilityOptions & { kind: ReferenceKind; context: MethodContext },
): Promise<RunReference> {
  const copy = kind === "copy" ? await openCopy(config, context) : undefined;
  return {
    kind,
    within: (applied) => {
      if (copy) return (texts) => sequenceLogProbabilities(copy, texts, options).sum;
      return kind === "adapter-off" && applied ? baseAsReference(model, applied, options) : undefined;
    },
    withState: (objective) => {
      if (!copy) return objective;
      const weights = [...copy.namedState()].map(([name, variable]) => [`reference.${name}`, variable] as const);
      return { ...objective, state: new Map([...objective.state, ...weights]) };
    },
    dispose: () => copy?.dispose(),
  };
}

/** The model of a config once more, with the adapter that training goes on with. */
async function openCopy(config: SharedConfig, context: MethodContext): Promise<CausalLM> {
  const silent = { ...context, onWarning: () => {} }; // what there is to say of it was said of the model
  const model = await openModel(config, { task: "causal-lm" }, silent);
  const from = config.adapter?.from;
  if (from) applyAdapter(model, await readAdapter(from));
  return model;
}
