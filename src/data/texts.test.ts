/** Text files as documents in pieces, and documents as one sequence of tokens. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  openTextDocuments,
  sequenceBatches,
  TokenDataset,
  type TokenDocuments,
  TokenSequence,
  TokenWriter,
} from "./index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-texts-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("documents of text files: large ones in pieces, gzipped ones unpacked, any piece again by its number", async () => {
  const large = "The whale, the whale! Up helm, up helm! ".repeat(60_000);
  const files = ["large.txt", "packed.txt.gz", "small.txt"].map((name) => join(folder, name));
  await writeFile(files[0], large);
  await writeFile(files[1], gzipSync(large.slice(0, 1000)));
  await writeFile(files[2], "Ahab");
  const rows = await openTextDocuments(files);
  expect([...rows.pieces]).toEqual([3, 1, 1]);
  const texts: string[] = [];
  for await (const { text } of rows) texts.push(text);
  expect(texts.slice(0, 3).join("")).toBe(large);
  expect(texts.slice(3)).toEqual([large.slice(0, 1000), "Ahab"]);
  for (const [i, text] of texts.entries()) expect((await rows.row(i)).text).toBe(text);
  expect([0, 2, 3, 4].map((i) => rows.placeOf(i))).toEqual([files[0], files[0], files[1], files[2]]);
  expect(await rows.fingerprint()).not.toBe(await (await openTextDocuments(files.slice(0, 2))).fingerprint());
  await writeFile(files[2], Buffer.from([0x63, 0xe9, 0x20]));
  await expect(openTextDocuments(files)).rejects.toThrow("invalid bytes at offset 1");
});

const documentsOf = (lengths: readonly number[]): TokenDocuments => {
  const ids = lengths.map((length, document) => Array.from({ length }, (_, i) => (document * 31 + i) % 90));
  return { lengths, ids: async (document, start, length) => ids[document].slice(start, start + length) };
};

test("a sequence of documents has the batches of a TokenDataset of the same tokens", async () => {
  const documents = documentsOf([5, 0, 40, 1, 0, 0, 33, 18]);
  const sequence = new TokenSequence(documents);
  const tokens = await sequence.read(0, sequence.tokens);
  expect([...(await sequence.read(44, 4))]).toEqual([...tokens.slice(44, 48)]);
  const path = join(folder, "tokens.bin");
  const writer = await TokenWriter.create(path, 90);
  await writer.write([...tokens]);
  await writer.close();
  const options = { contextLength: 7, batchSize: 3, seed: 5 };
  const [source, dataset] = [
    sequenceBatches(documents, options),
    await TokenDataset.open(path, { ...options, vocabSize: 90 }),
  ];
  expect(source.windows).toBe(dataset.windows);
  for (let i = 0; i < 2 * source.windows; i++) {
    const [ours, theirs] = [await source.batch(i), await dataset.batch(i)];
    expect(await ours.inputIds.read()).toEqual(await theirs.inputIds.read());
    expect(await ours.shiftLabels.read()).toEqual(await theirs.shiftLabels.read());
  }
  await dataset.close();
  const inOrder = sequenceBatches(documents, { ...options, isShuffled: false });
  expect(inOrder.count).toBe(5); // of 13 windows
  expect((await (await inOrder.batch(0)).inputIds.read()).slice(0, 21)).toEqual(tokens.slice(0, 21));
  expect(() => sequenceBatches(documentsOf([4]), options)).toThrow("give more tokens");
});
