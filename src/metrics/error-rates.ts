import { requirePairs } from "./checks.ts";
import { type AlignmentPart, alignmentOf, countEdits, type EditCounts } from "./edit-distance.ts";
import { stripSpace } from "./python-text.ts";

/** How many words or characters of the references must be changed. */
export interface ErrorRate extends EditCounts {
  /** Changes over words (or characters) of the references; of none the insertions themselves. May exceed 1. */
  rate: number;
  /** The share of right ones in both texts, multiplied. */
  informationPreserved: number;
  /** Of each pair of texts. */
  alignments: readonly (readonly AlignmentPart[])[];
}

const wordsOf = (text: string): string[] =>
  stripSpace(text.replace(/\s\s+/gu, " "))
    .split(" ")
    .filter((word) => word !== "");

/**
 * Word error rate of all texts together: jiwer's `process_words`, whose transformations are to take out spaces that are
 * more than one, and to split at spaces. Case and punctuation count: normalise texts before.
 * @throws DataError where lengths differ or there are no rows
 *
 * @example
 * wordErrorRate(["the whale swam"], ["the white whale swam"]).rate; // 0.25
 */
export const wordErrorRate = (predictions: ArrayLike<string>, references: ArrayLike<string>): ErrorRate =>
  errorRate("wordErrorRate", predictions, references, wordsOf);

/**
 * Character error rate of all texts together, spaces within them included; jiwer's `process_characters`.
 * @throws DataError where lengths differ or there are no rows
 */
export const characterErrorRate = (predictions: ArrayLike<string>, references: ArrayLike<string>): ErrorRate =>
  errorRate("characterErrorRate", predictions, references, (text) => [...stripSpace(text)]);

function errorRate(
  where: string,
  predictions: ArrayLike<string>,
  references: ArrayLike<string>,
  partsOf: (text: string) => string[],
): ErrorRate {
  const count = requirePairs(where, predictions, references);
  const sum: EditCounts = { hits: 0, substitutions: 0, deletions: 0, insertions: 0 };
  const alignments: AlignmentPart[][] = [];
  for (let i = 0; i < count; i++) {
    const parts = alignmentOf(partsOf(references[i]), partsOf(predictions[i]));
    const counts = countEdits(parts);
    for (const name of Object.keys(sum) as (keyof EditCounts)[]) sum[name] += counts[name];
    alignments.push(parts);
  }
  const { hits, substitutions, deletions, insertions } = sum;
  const expected = hits + substitutions + deletions;
  const predicted = hits + substitutions + insertions;
  const rate = expected === 0 ? insertions : (substitutions + deletions + insertions) / expected;
  const isEmpty = expected === 0 && predicted === 0;
  const informationPreserved = isEmpty ? 1 : hits === 0 ? 0 : (hits / expected) * (hits / predicted);
  return { rate, ...sum, informationPreserved, alignments };
}
