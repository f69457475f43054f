import { type LogitsProcessor, requireInVocabulary } from "./processor.ts";

/** Adds to the logits of some tokens, as OpenAI's `logit_bias`. @throws DataError for ids outside the vocabulary */
export function logitBias(biases: Readonly<Record<number, number>>): LogitsProcessor {
  const pairs = Object.entries(biases).map(([id, bias]): [number, number] => [Number(id), bias]);
  const largest = pairs.reduce((most, [id]) => Math.max(most, id), 0);
  return (logits) => {
    requireInVocabulary("logitBias", largest, logits.length);
    for (const [id, bias] of pairs) logits[id] += bias;
  };
}
