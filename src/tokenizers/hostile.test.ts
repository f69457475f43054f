/**
 * Files of tokenizers that would end the process or never come back: each is an error when it is opened, by both
 * engines.
 */
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DataError } from "../base/index.ts";
import { CharsMap } from "./engine/charsmap.ts";
import { javascriptEngine } from "./engine-javascript.ts";
import { Tokenizer } from "./index.ts";
import { type Json, tokenizerJson } from "./json-parts.ts";
import { checkedTokenizer } from "./safe-file.ts";

const golden = (name: string) => fileURLToPath(new URL(`../../golden/tokenizers/${name}`, import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

const words = { type: "WordLevel", vocab: { "[UNK]": 0 }, unk_token: "[UNK]" };
const pairs = (rest: Json) => ({
  type: "BPE",
  vocab: { a: 0, "##b": 1, ab: 2, "##é": 3 },
  merges: [["a", "##b"]],
  ...rest,
});
const catastrophe = { Regex: "(a+)+$" };

const files: Record<string, [Json & { model: Json }, RegExp]> = {
  "an id that lists would be as long as": [
    { model: { ...words, vocab: { "[UNK]": 0, a: 4e9 } } },
    /model\.vocab, "a": expected ids from 0 to 16777216; received 4000000000/,
  ],
  "an added token of such an id": [
    { model: words, added_tokens: [{ id: 4e9, content: "a" }] },
    /added_tokens\.0\.id: expected ids from 0 to 16777216/,
  ],
  "a prefix longer than the right side of a merge": [
    { model: pairs({ continuing_subword_prefix: "######" }) },
    /model\.merges\.0: expected a right side that begins with the prefix "######"; received "##b"/,
  ],
  "a prefix that ends inside of a character": [
    { model: pairs({ continuing_subword_prefix: "###", merges: [["a", "##é"]] }) },
    /model\.merges\.0/,
  ],
  "a cut that takes exponential time": [
    { model: words, pre_tokenizer: { type: "Split", pattern: catastrophe, behavior: "Isolated" } },
    /takes time linear/,
  ],
  "a replacement that does": [
    { model: words, normalizer: { type: "Replace", pattern: catastrophe, content: "" } },
    /normalizer\.pattern: .*takes time linear/,
  ],
  "a decoder that does": [
    { model: words, decoder: { type: "Sequence", decoders: [{ type: "Replace", pattern: catastrophe, content: "" }] } },
    /decoder\.decoders\.0\.pattern/,
  ],
  "an unknown token that is not in the vocabulary": [
    { model: { ...words, unk_token: "<unk>" } },
    /model\.unk_token: expected a token of the vocabulary; received "<unk>"/,
  ],
  "the same in byte-pair encoding": [{ model: pairs({ unk_token: "<unk>" }) }, /model\.unk_token/],
  "the same in word pieces, which name none": [
    { model: { type: "WordPiece", vocab: { a: 0 } } },
    /model\.unk_token.*\[UNK\]/,
  ],
  "normalizers 100,000 deep": [{ model: words, normalizer: nested(100_000) }, /limit jsonDepth/],
};

function nested(depth: number): Json {
  let json: Json = { type: "Lowercase" };
  for (let i = 0; i < depth; i++) json = { type: "Sequence", normalizers: [json] };
  return json;
}

test.each(Object.entries(files))("%s", async (_, [json, message]) => {
  const error = await Tokenizer.fromJson(tokenizerJson(json)).catch((cause) => cause);
  expect(error).toBeInstanceOf(DataError);
  expect(error.message).toMatch(message);
});

test("what cannot be unknown needs no token for it", async () => {
  const json = JSON.parse(readFileSync(golden("kinds/gpt2.tokenizer.json"), "utf8"));
  const tokenizer = await Tokenizer.fromJson({ ...json, model: { ...json.model, unk_token: "<none>" } });
  expect(await tokenizer.decode(await tokenizer.encode("漢字 é"))).toBe("漢字 é");
});

describe("tables of replacements", () => {
  const original = JSON.parse(readFileSync(golden("kinds/t5.tokenizer.json"), "utf8"));
  const table = Buffer.from(
    (original.normalizer.normalizers ?? [original.normalizer]).find(({ type }: Json) => type === "Precompiled")
      .precompiled_charsmap,
    "base64",
  );
  const size = table.readUInt32LE(0);
  const patched = (change: (bytes: Buffer) => void) => {
    const bytes = Buffer.from(table);
    change(bytes);
    return bytes.toString("base64");
  };
  const tokenizer = (map: string) =>
    tokenizerJson({ model: words, normalizer: { type: "Precompiled", precompiled_charsmap: map } });
  test("a sound one opens", async () => {
    expect((await (await Tokenizer.fromJson(tokenizer(patched(() => {})))).encodeText("ﬁ")).ids).toEqual([0]);
  });
  test.each([
    ["texts that are not UTF-8", patched((bytes) => bytes.fill(0xff, 4 + size, 4 + size + 1)), /texts in UTF-8/],
    [
      "a root that leads outside",
      patched((bytes) => bytes.writeUInt32LE(0x3ffffc00, 4)),
      /a trie within its \d+ units/,
    ],
    ["units that lead outside", patched((bytes) => bytes.fill(0xff, 8, 4 + size).fill(0x61, 1000, 4 + size)), /./],
    ["no texts", patched(() => {}).slice(0, 400), /precompiled_charsmap/],
    ["a size beyond the table", patched((bytes) => bytes.writeUInt32LE(0xfffffffc, 0)), /a trie inside its table/],
    ["no base64", "§§§§", /base64/],
  ])("%s", async (_, map, message) => {
    const error = await Tokenizer.fromJson(tokenizer(map)).catch((cause) => cause);
    if (error instanceof Tokenizer)
      await error.encodeText("any text é 漢字"); // sound by chance: then it must run
    else expect([error instanceof DataError, error.message]).toEqual([true, expect.stringMatching(message)]);
  });
  test("values that point behind the texts, or into a character", () => {
    // a trie of one node whose child "a" has a value
    const trie = (value: number) => {
      const bytes = Buffer.alloc(4 + 4 * 512 + 4);
      bytes.writeUInt32LE(4 * 512, 0);
      const unit = (i: number, content: number) => bytes.writeUInt32LE(content >>> 0, 4 + 4 * i);
      unit(0, 256 << 10); // children from 256 on
      unit(256 ^ 0x61, ((1 << 10) | (1 << 8) | 0x61) >>> 0); // has a value, at 256 ^ 0x61 ^ 1
      unit(256 ^ 0x61 ^ 1, 0x80000000 | value);
      bytes.write("é\0", 4 + 4 * 512);
      return bytes.toString("base64");
    };
    expect(new CharsMap(trie(0), "x").replacement("a")).toBe("é");
    for (const value of [1, 4, 1000])
      expect(() => new CharsMap(trie(value), "x")).toThrow(/values that are beginnings of texts/);
  });
  test("in a SentencePiece model", async () => {
    const model = readFileSync(golden("sentencepiece/unigram-t5.model"));
    const at = model.indexOf(table.subarray(4 + size, 4 + size + 20));
    expect(at).toBeGreaterThan(0);
    model[at] = 0xff;
    await writeFile(join(folder, "bad.model"), model);
    await expect(Tokenizer.open(join(folder, "bad.model"))).rejects.toThrow(/texts in UTF-8/);
  });
});

test("the engine in JavaScript refuses the same", async () => {
  for (const [json, message] of Object.values(files)) {
    const open = async () => javascriptEngine("x", checkedTokenizer("x", tokenizerJson(json)));
    await expect(open()).rejects.toThrow(message);
  }
});
