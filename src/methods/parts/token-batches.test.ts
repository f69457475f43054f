/** Examples of tokens in batches that are measured. */
import { expect, test } from "vitest";
import type { LearnedTokens } from "./conversation-tokens.ts";
import { tokenBatches } from "./token-batches.ts";

const example = (first: number): LearnedTokens => ({
  ids: Int32Array.from([first, first + 1, first + 2]),
  weights: Uint8Array.from([0, 1, 1]),
});
const options = { batchSize: 2, maxLength: 16, packing: false, groupByLength: true, padId: 0, seed: 0 };

/** The labels of the first batches that count, each with its row's beginning. */
async function labelsOf(isShuffled: boolean): Promise<number[]> {
  const { source } = tokenBatches([example(10), example(20), example(30)], { ...options, isShuffled });
  const labels: number[] = [];
  for (const index of [0, 1]) labels.push(...((await (await source.batch(index)).shiftLabels?.read()) ?? []));
  return labels.filter((label) => label !== -100);
}

test("a measured example counts once: the last batch is smaller", async () => {
  expect(await labelsOf(false)).toEqual([11, 12, 21, 22, 31, 32]);
  expect(await labelsOf(true)).toHaveLength(8); // training goes on with the next epoch
});
