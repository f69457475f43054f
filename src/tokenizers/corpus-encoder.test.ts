/** Training data is encoded as its tokenizer encodes it, by whatever reader. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { folders, golden, pathOf } from "../testing/tokenizer-kinds.ts";
import { corpusEncoder } from "./corpus-encoder.ts";
import { Tokenizer } from "./index.ts";

const file = (name: string) => fileURLToPath(new URL(`../../golden/tokenizers/${name}`, import.meta.url));
const json = async (path: string) => JSON.parse(await readFile(path, "utf8"));

/** Whether the light reader takes a text: the tokenizer itself is then not asked for it. */
async function isLight(tokenizer: Tokenizer): Promise<boolean> {
  const encode = vi.spyOn(tokenizer, "encode");
  await corpusEncoder(tokenizer)("the whale");
  const isAsked = encode.mock.calls.length > 0;
  encode.mockRestore();
  return !isAsked;
}

async function expectSame(tokenizer: Tokenizer, texts: readonly string[]): Promise<void> {
  const encode = corpusEncoder(tokenizer);
  for (const text of texts)
    expect([text, await encode(text)]).toEqual([text, await tokenizer.encode(text, { addSpecialTokens: false })]);
}

test.each(Object.keys(golden.kinds))("%s", async (name) => {
  const tokenizer = await Tokenizer.open(pathOf(name));
  await expectSame(tokenizer, golden.texts);
  expect(await isLight(tokenizer)).toBe(["gpt2", "smollm"].includes(name));
});

test.each(Object.entries(folders))("the folder %s", async (name, { files, cases }) => {
  const json = files["tokenizer.json"];
  if (json === undefined) return;
  const tokenizer = await Tokenizer.fromJson(
    json as Record<string, unknown>,
    files["tokenizer_config.json"] as Record<string, unknown>,
  );
  await expectSame(
    tokenizer,
    cases.map(({ text }) => text),
  );
  // tokens around a text are no part of training data
  expect([name, await isLight(tokenizer)]).toEqual([
    name,
    ["nonspecial", "bos", "frame", "decseq", "proto"].includes(name),
  ]);
});

test("parts that a plain reader does not know are left to the tokenizer", async () => {
  const plain = await json(file("bpe-600.tokenizer.json"));
  const others: object[] = [
    { normalizer: { type: "Lowercase" } },
    { pre_tokenizer: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true } },
    { pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false } },
    { pre_tokenizer: null },
    { model: { ...plain.model, ignore_merges: true } },
    { model: { ...plain.model, unk_token: "a" } },
    { model: { ...plain.model, byte_fallback: true } },
    { added_tokens: [{ ...plain.added_tokens[0], lstrip: true }] },
  ];
  expect(await isLight(await Tokenizer.fromJson(plain))).toBe(true);
  for (const part of others) {
    const tokenizer = await Tokenizer.fromJson({ ...plain, ...part });
    expect([part, await isLight(tokenizer)]).toEqual([part, false]);
    await expectSame(tokenizer, ["The whale, 12 whales", " a<|endoftext|> b"]);
  }
});

test("any text, with letters that only the newest Unicode knows", async () => {
  const tokenizers = await Promise.all(
    ["bpe-600", "bpe-700"].map((name) => Tokenizer.open(file(`${name}.tokenizer.json`))),
  );
  const newest = ["a\u{1e6c0}b \u{10940}1", "\u{11de0}a", "x\u{323b0}y", "a\u088fb"];
  for (const tokenizer of tokenizers) {
    await expectSame(tokenizer, newest);
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary", maxLength: 60 }), (text) => expectSame(tokenizer, [text])),
      { numRuns: 150 },
    );
  }
});
