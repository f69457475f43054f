import { numberRules, requireNumbers } from "../../base/index.ts";
import type { CausalLM, CausalLMInputs, NextTokenLabels } from "../../models/index.ts";
import type { Objective } from "../objective.ts";
import { chunkedLoss } from "./chunked-loss.ts";
import { labelCount, type SupervisedOptions, supervised } from "./supervised.ts";

/** What a language model is trained on, such as the batches of a `TokenDataset`. */
export type LanguageModelBatch = Omit<CausalLMInputs, "cache"> & NextTokenLabels;

/** What of a language model is trained, and how its loss is computed. */
export interface LanguageModelOptions extends SupervisedOptions {
  /**
   * Logits are computed for at most so many tokens of the vocabulary at a time, and once more for the gradient: much
   * less memory where the vocabulary is large, for some more time. Loss and gradients are the same. 1024 is a good one.
   * @default all logits at once
   */
  lossChunk?: number;
}

/**
 * Trains a language model to tell the next token. Counts tokens.
 * @throws OptionError for lossChunk that is no positive integer, and for a model whose output layer it cannot follow,
 *   such as one with an adapter: its name is in the message
 */
export function languageModel(model: CausalLM, options: LanguageModelOptions = {}): Objective<LanguageModelBatch> {
  const { lossChunk, ...rest } = options;
  const objective = supervised<LanguageModelBatch>(model, rest);
  if (lossChunk !== undefined)
    requireNumbers("languageModel", { lossChunk }, { lossChunk: numberRules.positiveInteger });
  const chunked = lossChunk === undefined ? undefined : chunkedLoss(model, lossChunk);
  return {
    ...objective,
    ...(chunked && {
      loss: (batch, run) => ({ loss: chunked({ ...batch, ...run }), weight: labelCount(model, batch) }),
    }),
    unit: "tokens",
    count: ({ inputIds: { shape } }) => Number(shape[0]) * Number(shape[1]),
  };
}
