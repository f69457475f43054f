import { expect, test } from "vitest";
import { distinctBatches } from "./index.ts";

const collate = (examples: readonly number[]) => examples;
/** 40 examples of 2 texts each; some texts stand in many. */
const parts = Array.from({ length: 40 }, (_, i) => [i % 3 === 0 ? 0 : 100 + i, 200 + (i % 23)]);
const isDistinct = (batch: readonly number[]) => {
  const all = batch.flatMap((example) => parts[example]);
  return new Set(all).size === all.length;
};

test("no part comes twice in a batch, and a batch depends on its number alone", async () => {
  const source = distinctBatches(parts, { batchSize: 6, collate, seed: 5 });
  expect(source.batchesPerEpoch).toBe(6);
  const forth: (readonly number[])[] = [];
  for (let i = 0; i < 18; i++) forth.push(await source.batch(i));
  expect(forth.every((batch) => batch.length === 6 && isDistinct(batch))).toBe(true);
  const again = distinctBatches(parts, { batchSize: 6, collate, seed: 5 });
  for (const i of [17, 3, 8, 0]) expect(await again.batch(i)).toEqual(forth[i]);
  expect(forth.slice(0, 6)).not.toEqual(forth.slice(6, 12));
  expect(await distinctBatches(parts, { batchSize: 6, collate, seed: 6 }).batch(0)).not.toEqual(forth[0]);
});

test("in order each example is in a batch, some again where one would not be full", async () => {
  const source = distinctBatches(parts, { batchSize: 6, collate, isShuffled: false });
  const batches = await Promise.all(Array.from({ length: source.count as number }, (_, i) => source.batch(i)));
  expect(new Set(batches.flat()).size).toBe(40);
  expect(batches.every((batch) => batch.length === 6 && isDistinct(batch))).toBe(true);
});

test("an epoch of distinct examples has each once", async () => {
  const all = Array.from({ length: 12 }, (_, i) => [2 * i, 2 * i + 1]);
  const source = distinctBatches(all, { batchSize: 4, collate });
  const epoch = [await source.batch(3), await source.batch(4), await source.batch(5)];
  expect(epoch.flat().sort((a, b) => a - b)).toEqual([...all.keys()]);
});

test("too few that share nothing, and wrong options", () => {
  expect(() => distinctBatches([[1], [1], [2]], { batchSize: 3, collate })).toThrow("received 2 of 3");
  expect(() => distinctBatches([[1]], { batchSize: 0, collate })).toThrow("batchSize");
});
