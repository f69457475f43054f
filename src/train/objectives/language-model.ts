import type { CausalLM, CausalLMInputs, NextTokenLabels } from "../../models/index.ts";
import type { Objective } from "../objective.ts";
import { type SupervisedOptions, supervised } from "./supervised.ts";

/** What a language model is trained on, such as the batches of a `TokenDataset`. */
export type LanguageModelBatch = Omit<CausalLMInputs, "cache"> & NextTokenLabels;

/** Trains a language model to tell the next token. Counts tokens. */
export function languageModel(model: CausalLM, options: SupervisedOptions = {}): Objective<LanguageModelBatch> {
  return {
    ...supervised<LanguageModelBatch>(model, options),
    unit: "tokens",
    count: ({ inputIds: { shape } }) => Number(shape[0]) * Number(shape[1]),
  };
}
