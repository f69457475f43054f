import type { CausalLM } from "../../models/index.ts";
import type { AppliedAdapter } from "../../peft/index.ts";
import { type LogProbabilityOptions, type ReferenceModel, sequenceLogProbabilities } from "../../train/index.ts";

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
