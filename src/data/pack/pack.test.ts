import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import { tensor } from "../../tensor/index.ts";
import {
  batchesOf,
  packDocuments,
  packedBatches,
  packedWindow,
  rowsOf,
  segmentMask,
  type TokenDocuments,
  unpackWindow,
} from "../index.ts";

/** Documents whose tokens say which document they are of, and where. */
const documentsOf = (lengths: readonly number[], weights?: TokenDocuments["weights"]): TokenDocuments => ({
  lengths,
  ids: async (document, start, length) => {
    if (start + length > lengths[document]) throw new Error("beyond the end");
    return Array.from({ length }, (_, i) => document * 1000 + start + i + 1);
  },
  ...(weights && { weights }),
});
const piecesOf = (lengths: readonly number[], options: Parameters<typeof packDocuments>[1]) => {
  const windows = packDocuments(lengths, options);
  return Array.from({ length: windows.count }, (_, i) => windows.window(i));
};

test("best-fit decreasing is TRL's", async () => {
  const { cases } = JSON.parse(await readFile(new URL("../../../golden/packing.json", import.meta.url), "utf8"));
  expect(cases).toHaveLength(3);
  for (const { context, lengths, windows } of cases) {
    const ours = piecesOf(lengths, { contextLength: context }).map((window) => window.map(({ length }) => length));
    expect(ours).toEqual(windows);
  }
});

test("every token is in one window, and no document is cut that fits one", () => {
  const length = fc.array(fc.integer({ min: 0, max: 70 }), { maxLength: 60 });
  fc.assert(
    fc.property(length, fc.integer({ min: 1, max: 40 }), fc.boolean(), (lengths, contextLength, isBestFit) => {
      const windows = piecesOf(lengths, { contextLength, strategy: isBestFit ? "best-fit" : "concatenate" });
      const seen = lengths.map((each) => new Uint8Array(each));
      for (const window of windows) {
        expect(window.reduce((sum, piece) => sum + piece.length, 0)).toBeLessThanOrEqual(contextLength);
        for (const { document, start, length } of window) {
          if (isBestFit && lengths[document] <= contextLength) expect(length).toBe(lengths[document]);
          for (let i = start; i < start + length; i++) expect(seen[document][i]++).toBe(0);
        }
      }
      expect(seen.every((each) => each.every((count) => count === 1))).toBe(true);
      const tokens = lengths.reduce((a, b) => a + b, 0);
      if (!isBestFit) expect(windows).toHaveLength(Math.ceil(tokens / contextLength));
    }),
  );
});

test("a window: positions begin anew, nothing is learned across documents, and it is unpacked again", async () => {
  const documents = documentsOf([3, 2, 9]);
  const windows = packDocuments(documents.lengths, { contextLength: 8 });
  expect(windows.fill).toBeCloseTo(14 / 16);
  const [first, second] = [await packedWindow(documents, windows, 0, 7), await packedWindow(documents, windows, 1, 7)];
  expect([...first.inputIds]).toEqual([2001, 2002, 2003, 2004, 2005, 2006, 2007, 2008]);
  expect([...first.shiftLabels]).toEqual([2002, 2003, 2004, 2005, 2006, 2007, 2008, 2009]); // what follows is known
  expect([...second.inputIds]).toEqual([1, 2, 3, 1001, 1002, 2009, 7, 7]);
  expect([...second.positionIds]).toEqual([0, 1, 2, 0, 1, 0, 0, 0]);
  expect([...second.segmentIds]).toEqual([0, 0, 0, 1, 1, 2, -1, -1]);
  expect([...second.shiftLabels]).toEqual([2, 3, -100, 1002, -100, -100, -100, -100]);
  expect(unpackWindow(second)).toEqual([
    { ids: [1, 2, 3], isLearned: [false, true, true] },
    { ids: [1001, 1002], isLearned: [false, true] },
    { ids: [2009], isLearned: [false] },
  ]);
});

test("tokens without weight are not learned", async () => {
  const weights = async (_: number, start: number, length: number) => Array.from({ length }, (_, i) => (start + i) % 2);
  const documents = documentsOf([5], weights);
  const windows = packDocuments(documents.lengths, { contextLength: 6 });
  const window = await packedWindow(documents, windows, 0);
  expect([...window.shiftLabels]).toEqual([2, -100, 4, -100, -100, -100]);
});

test("batches: each window once in an epoch, any batch again by its number", async () => {
  const documents = documentsOf(Array.from({ length: 23 }, (_, i) => (i % 7) + 2));
  const options = { contextLength: 8, batchSize: 4, seed: 1 };
  const source = packedBatches(documents, options);
  const firstOf = async (index: number, from = source) => {
    const ids = await (await from.batch(index)).inputIds.read();
    return [0, 1, 2, 3].map((row) => ids[row * 8]);
  };
  const epoch = (await Promise.all([...Array(source.windows.count).keys()].map((i) => firstOf(i)))).flat();
  for (let i = 0; i < 4; i++) {
    const part = epoch.slice(i * source.windows.count, (i + 1) * source.windows.count);
    expect(new Set(part).size).toBe(source.windows.count);
  }
  expect(await firstOf(5, packedBatches(documents, options))).toEqual(await firstOf(5));
  const inOrder = packedBatches(documents, { ...options, isShuffled: false });
  expect(inOrder.count).toBe(Math.ceil(inOrder.windows.count / 4));
  expect(() => packedBatches(documentsOf([0]), options)).toThrow(/documents with tokens/);
});

test("the mask of segments", async () => {
  const mask = segmentMask(tensor(Int32Array.of(0, 0, 1, -1), { shape: [1, 4] }));
  expect(mask.shape).toEqual([1, 1, 4, 4]);
  expect([...(await mask.read())].map(Number).join("")).toBe("1100110000100001");
});

test("batches of similar lengths pad little, and each example comes once an epoch", async () => {
  const lengths = Array.from({ length: 1003 }, (_, i) => ((i * 7919) % 500) + 1);
  const collate = (batch: readonly number[]) => batch;
  const grouped = batchesOf(
    lengths.map((_, i) => i),
    { batchSize: 8, collate, lengths, seed: 3 },
  );
  const plain = batchesOf(rowsOf(lengths.map((_, i) => i)), { batchSize: 8, collate, seed: 3 });
  const waste = async (source: typeof grouped) => {
    let [padded, tokens] = [0, 0];
    for (let i = 0; i < 125; i++) {
      const batch = (await source.batch(i)).map((index) => lengths[index]);
      padded += Math.max(...batch) * batch.length;
      tokens += batch.reduce((a, b) => a + b, 0);
    }
    return 1 - tokens / padded;
  };
  expect(await waste(grouped)).toBeLessThan(0.03);
  expect(await waste(plain)).toBeGreaterThan(0.3);
  const seen: number[] = [];
  for (let i = 0; seen.length < 1003; i++) seen.push(...(await grouped.batch(i)));
  expect(new Set(seen.slice(0, 1003)).size).toBe(1003);
  expect(Math.max(...(await grouped.batch(0)).map((index) => lengths[index]))).toBe(500);
  expect(() => batchesOf([1, 2], { batchSize: 1, collate, lengths: [1] })).toThrow(/2 lengths; received 1/);
});
