import { appendFile, mkdtemp, readdir, readFile, rm, stat, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Tokenizer } from "../../tokenizers/index.ts";
import { mapRows, packedBatches, rowsOf, TokenRows, tokeniseRows } from "../index.ts";

const golden = new URL("../../../golden/tokenizers/", import.meta.url).pathname;
let folder: string;
let tokenizer: Tokenizer;
let texts: string[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  tokenizer = await Tokenizer.open(join(golden, "bpe-600.tokenizer.json"));
  texts = (await readFile(join(golden, "mixed.txt"), "utf8")).split("\n");
  texts = Array.from({ length: 45 }, () => texts).flat();
});
afterAll(() => rm(folder, { recursive: true }));

const options = (name: string) => ({
  folder: join(folder, name),
  tokenizer,
  textOf: ({ text }: { text: string }) => text,
  name: "text",
});
const rows = () => rowsOf(texts.map((text) => ({ text })));
const idsOf = async (tokens: TokenRows) => {
  const all = await Promise.all(Array.from({ length: tokens.count }, async (_, i) => [...(await tokens.row(i))]));
  await tokens.close();
  return all;
};
const expectedIds = () => Promise.all(texts.map((text) => tokenizer.encode(text, { addSpecialTokens: false })));

test("threads and this thread give the tokenizer's ids; a second call reads no row", async () => {
  const expected = await expectedIds();
  for (const threads of [0, 2]) {
    const name = `threads${threads}`;
    expect(await idsOf(await tokeniseRows(rows(), { ...options(name), threads }))).toEqual(expected);
    const unread = { ...rows(), [Symbol.asyncIterator]: () => expect.unreachable() };
    expect(await idsOf(await tokeniseRows(unread, { ...options(name), threads }))).toEqual(expected);
  }
});

test("other rows, another tokenizer and other options have a folder of their own", async () => {
  const some = rowsOf([{ text: "one two three" }, { text: "four" }]);
  const base = options("keys");
  const whole = await idsOf(await tokeniseRows(some, { ...base, threads: 0 }));
  const cut = await idsOf(await tokeniseRows(some, { ...base, threads: 0, maxTokens: 3, endId: 5 }));
  expect(cut).toEqual(whole.map((ids) => [...ids.slice(0, 2), 5]));
  const char = await Tokenizer.open(join(golden, "char.tokenizer.json"));
  await (await tokeniseRows(some, { ...base, tokenizer: char, threads: 0 })).close();
  await (await tokeniseRows(rowsOf([{ text: "one" }]), { ...base, threads: 0 })).close();
  expect(await readdir(base.folder)).toHaveLength(4);
});

test("what was written before an end is not encoded again, and torn rows are cut off", async () => {
  const base = options("resume");
  const controller = new AbortController();
  const stop = (done: number) => done > 1500 && controller.abort();
  const call = tokeniseRows(rows(), { ...base, threads: 0, signal: controller.signal, onProgress: stop });
  await expect(call).rejects.toThrow(/abort/);
  const [part] = (await readdir(base.folder)).filter((name) => name.endsWith(".part"));
  const [tokens, lengths] = ["tokens.bin", "lengths.bin"].map((name) => join(base.folder, part, name));
  await appendFile(lengths, Uint8Array.of(9, 0, 0, 0, 1, 0)); // a row whose tokens are missing, and half a number
  await truncate(tokens, (await stat(tokens)).size - 3); // and some of the last one's
  let encoded = 0;
  const counting = ({ text }: { text: string }) => {
    encoded++;
    return text;
  };
  const result = await tokeniseRows(rows(), { ...base, textOf: counting, threads: 0 });
  expect(encoded).toBeLessThan(texts.length - 1000);
  expect(await idsOf(result)).toEqual(await expectedIds());
  expect(await readdir(base.folder)).toHaveLength(1);
});

test("they are packed into windows", async () => {
  const tokens = await tokeniseRows(rows(), { ...options("packed"), threads: 0, endId: 0 });
  const source = packedBatches(tokens, { contextLength: 64, batchSize: 2 });
  expect(source.windows.fill).toBeGreaterThan(0.95);
  expect((await source.batch(3)).inputIds.shape).toEqual([2, 64]);
  await tokens.close();
});

test("mistakes", async () => {
  const unnamed = mapRows(rows(), (row) => row);
  await expect(tokeniseRows(unnamed, options("x"))).rejects.toThrow(/without a name.*mapRows/);
  await expect(tokeniseRows(rows(), { ...options("x"), threads: -1 })).rejects.toThrow(/threads to be an integer/);
  const tokens = await tokeniseRows(rowsOf([{ text: "abc" }]), { ...options("damaged"), threads: 0 });
  await tokens.close();
  await truncate(join(tokens.folder, "tokens.bin"), 1);
  await expect(TokenRows.open(tokens.folder)).rejects.toThrow(/1 rows of \d+ tokens.*delete the folder/);
});
