import { endsWith, type LogitsProcessor } from "./processor.ts";

/**
 * Adds to the logit of the last token of a sequence where the others stand before it. Of a sequence that is there twice
 * the last bias counts.
 */
export function sequenceBias(pairs: readonly (readonly [readonly number[], number])[]): LogitsProcessor {
  const biases = [...new Map(pairs.map((pair) => [pair[0].join(), pair])).values()];
  return (logits, { ids }) => {
    for (const [sequence, bias] of biases) {
      const last = sequence.length - 1;
      if (endsWith(ids, sequence, last)) logits[sequence[last]] += bias;
    }
  };
}
