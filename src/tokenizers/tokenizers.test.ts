import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readJson } from "../files/index.ts";
import { DataError } from "../ir/index.ts";
import { BpeTrainer, CharacterTrainer, loadTokenizer } from "./index.ts";

const golden = (name: string) => fileURLToPath(new URL(`../../golden/tokenizers/${name}`, import.meta.url));
type Examples = Record<string, { text: string; ids: number[] }[]>;
const expected = (await readJson(golden("expected.json"))) as unknown as Examples;
const moby = await readFile(golden("moby-60k.txt"), "utf8");
const mixed = await readFile(golden("mixed.txt"), "utf8");

describe.each(["bpe-600", "bpe-700", "char"])("%s", (name) => {
  test("encodes as Hugging Face tokenizers", async () => {
    const tokenizer = await loadTokenizer(golden(`${name}.tokenizer.json`));
    for (const { text, ids } of expected[name]) expect([text, tokenizer.encode(text)]).toEqual([text, ids]);
  });

  test("is written as it was read", async () => {
    const path = golden(`${name}.tokenizer.json`);
    const original = await readJson(path);
    const written = (await loadTokenizer(path)).toJson() as typeof original;
    expect(written.model).toMatchObject(original.model as object);
    expect(written.pre_tokenizer).toEqual(original.pre_tokenizer);
    expect((written.decoder as { type: string })?.type).toEqual((original.decoder as { type: string })?.type);
  });
});

test.each([
  ["bpe-600", [moby]],
  ["bpe-700", [moby, mixed]],
] as const)("training gives the merges of Hugging Face's trainer: %s", async (name, texts) => {
  const original = (await readJson(golden(`${name}.tokenizer.json`))) as { model: { vocab: Record<string, number>; merges: string[][] } };
  const trainer = new BpeTrainer({ vocabSize: Object.keys(original.model.vocab).length });
  for (const text of texts) trainer.add(text);
  const { merges, vocab } = trainer.train().toJson().model as { merges: string[][]; vocab: object };
  expect(merges).toEqual(original.model.merges.map((merge) => (typeof merge === "string" ? (merge as string).split(" ") : merge)));
  expect(vocab).toEqual(original.model.vocab);
});

test("any text comes back", async () => {
  const tokenizer = await loadTokenizer(golden("bpe-600.tokenizer.json"));
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      const clean = new TextDecoder().decode(new TextEncoder().encode(text)).replaceAll("<|endoftext|>", ""); // lone surrogates have no UTF-8
      const ids = tokenizer.encode(clean);
      expect(tokenizer.decode(ids)).toBe(clean.replace(/^\ufeff/, ""));
      const stream = tokenizer.stream();
      expect(ids.map((id) => stream.push(id)).join("") + stream.flush()).toBe(clean.replace(/^\ufeff/, ""));
    }),
  );
});

test("long runs without spaces encode as short ones do", async () => {
  const tokenizer = await loadTokenizer(golden("bpe-700.tokenizer.json"));
  const long = "白日依山尽黄河入海流".repeat(40);
  expect(tokenizer.decode(tokenizer.encode(long))).toBe(long);
  // every piece of the long run that stands between the same neighbours has the same tokens
  const ids = tokenizer.encode(long);
  expect(new Set(ids).size).toBeLessThan(60);
});

test("a text that repeats little gives the vocabulary it can", () => {
  const trainer = new BpeTrainer({ vocabSize: 5000 });
  trainer.add("aaaa bbbb aaaa bbbb");
  expect(trainer.train().vocabSize).toBe(257 + 5); // aa, aaaa, bb, bbbb and " bbbb"
  expect(() => new BpeTrainer({ vocabSize: 100 })).toThrow(/at least 257/);
});

test("characters: Chinese, and a character that was not in the text", () => {
  const trainer = new CharacterTrainer();
  trainer.add("床前明月光，疑是地上霜。\n😀");
  const tokenizer = trainer.train();
  expect(tokenizer.decode(tokenizer.encode("明月光\n😀"))).toBe("明月光\n😀");
  expect(() => tokenizer.encode("é")).toThrow(/U\+00E9/);
});

test("damaged tokenizer files give a DataError, never another error", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kindling-"));
  const path = join(folder, "tokenizer.json");
  const original = await readFile(golden("bpe-600.tokenizer.json"), "utf8");
  const change = fc.record({ at: fc.nat(original.length), length: fc.nat(40), text: fc.constantFrom("", "0", '"', "null", "[]", "{}", ",", "-1", "\u0000") });
  await fc.assert(
    fc.asyncProperty(change, async ({ at, length, text }) => {
      await writeFile(path, original.slice(0, at) + text + original.slice(at + length));
      try {
        (await loadTokenizer(path)).encode("whale 鯨");
      } catch (error) {
        expect(error).toBeInstanceOf(DataError);
      }
    }),
    { numRuns: 300 },
  );
  for (const broken of [
    { added_tokens: 3 },
    { added_tokens: [null] },
    { model: null },
    { model: { type: "BPE", vocab: { a: 2 ** 40 }, merges: [] } },
    { model: { type: "BPE", vocab: {}, merges: [3] } },
  ]) {
    await writeFile(path, JSON.stringify({ ...JSON.parse(original), ...broken }));
    await expect(loadTokenizer(path)).rejects.toThrow(DataError);
  }
  await rm(folder, { recursive: true });
});
