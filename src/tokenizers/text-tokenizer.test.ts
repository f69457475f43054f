/** tokenizer.json of every kind: the ids, offsets and texts of Hugging Face's tokenizers. */
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { utf16Positions } from "./encoding.ts";
import { javascriptEngine } from "./engine-javascript.ts";
import { type Encoding, encodePrompt, TextTokenizer, withLiterals } from "./index.ts";
import { checkedTokenizer } from "./safe-file.ts";

const kindsFolder = fileURLToPath(new URL("../../golden/tokenizers/kinds/", import.meta.url));
const gz = async (path: string) => JSON.parse(gunzipSync(await readFile(path)).toString());

interface Kind {
  ids: number[][];
  plainIds: number[][];
  offsets: number[][];
  decoded: string[];
  decodedAll: string[];
  pairs: { ids: number[]; offsets: number[]; typeIds: number[]; specialTokensMask: number[] }[];
  streamed: (string | null)[][];
  literalIds: number[][];
}
interface GoldenEncoding {
  ids: number[];
  attentionMask: number[];
  typeIds: number[];
  offsets: number[];
  overflowing?: GoldenEncoding[];
}
const golden = (await gz(join(kindsFolder, "expected.json.gz"))) as {
  texts: string[];
  pairTexts: [string, string][];
  streamedTexts: number[];
  specialFrom: number;
  kinds: Record<string, Kind>;
  parts: Record<string, { ids: number[][]; offsets: number[][] }>;
  batches: {
    tokenizer: string;
    truncation: object | null;
    padding: object | null;
    texts?: number[];
    pairs?: number[];
    encodings?: GoldenEncoding[];
    error?: string;
  }[];
};
const { texts, pairTexts } = golden;
const pathOf = (name: string) => join(kindsFolder, `${name}.tokenizer.json`);

/** Offsets in code points as JavaScript counts. */
const inUnits = (flat: number[], text: string): number[] => {
  const table = utf16Positions(text);
  return table ? flat.map((position) => table[position]) : flat;
};

describe.each(Object.entries(golden.kinds))("%s", (name, kind) => {
  test("ids, offsets and decoded texts", async () => {
    const tokenizer = await TextTokenizer.open(pathOf(name));
    for (const [i, text] of texts.entries()) {
      const { ids, offsets } = await tokenizer.encodeText(text);
      expect([text, ids]).toEqual([text, kind.ids[i]]);
      expect([text, offsets.flat()]).toEqual([text, inUnits(kind.offsets[i], text)]);
      expect([text, await tokenizer.encode(text, { addSpecialTokens: false })]).toEqual([text, kind.plainIds[i]]);
      expect(await tokenizer.decode(ids)).toBe(kind.decoded[i]);
      expect(await tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(kind.decodedAll[i]);
    }
  });

  test("pairs", async () => {
    const tokenizer = await TextTokenizer.open(pathOf(name));
    for (const [i, [text, pair]] of pairTexts.entries()) {
      const { ids, typeIds, specialTokensMask } = await tokenizer.encodeText(text, { pair });
      const { offsets: _, ...expected } = kind.pairs[i];
      expect({ ids, typeIds, specialTokensMask }).toEqual(expected);
    }
  });

  test("special tokens in a text as plain text", async () => {
    const tokenizer = await TextTokenizer.open(pathOf(name));
    for (const [i, expected] of kind.literalIds.entries()) {
      const text = texts[golden.specialFrom + i];
      expect([text, await tokenizer.encode(text, { isLiteral: true, addSpecialTokens: false })]).toEqual([text, expected]);
    }
  });

  test("decoding one by one gives whole characters, and all of them", async () => {
    const tokenizer = await TextTokenizer.open(pathOf(name));
    for (const [i, chunks] of kind.streamed.entries()) {
      const stream = tokenizer.stream();
      const found: string[] = [];
      for (const id of kind.ids[golden.streamedTexts[i]]) found.push(await stream.push(id));
      expect(found).toEqual(chunks.map((chunk) => chunk ?? ""));
    }
  });
});

test("cut and padded batches", async () => {
  // of parts that did not fit, the reference gives the second text type 1 even where the model's template says 0
  const part = ({ ids, attentionMask }: Encoding | GoldenEncoding) => ({ ids, attentionMask });
  const flat = (encoding: Encoding | GoldenEncoding): object => ({
    ...part(encoding),
    typeIds: encoding.typeIds,
    overflowing: ((encoding.overflowing ?? []) as Encoding[]).map(part),
  });
  for (const { tokenizer: name, truncation, padding, texts: chosen, pairs, encodings } of golden.batches) {
    if (!encodings) continue;
    const path = join(tmpdir(), `kindling-batch-${process.pid}.json`);
    await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(pathOf(name), "utf8")), truncation, padding }));
    const tokenizer = await TextTokenizer.open(path);
    const batch = chosen ? chosen.map((i) => texts[i]) : (pairs ?? []).map((i) => pairTexts[i]);
    const found = await tokenizer.encodeBatch(batch, tokenizer.settings).catch((error) => error);
    if (found instanceof Error) {
      expect([name, truncation, found.message]).toEqual([name, truncation, expect.stringMatching(/room for|stride/)]);
      continue;
    }
    expect([name, truncation, padding, found.map(flat)]).toEqual([name, truncation, padding, encodings.map(flat)]);
  }
});

test("in JavaScript: the kinds that pages may rely on", async () => {
  for (const name of ["gpt2", "llama3", "qwen2", "smollm", "llama2", "mistral", "gemma", "bert-cased", "roberta"]) {
    const engine = await javascriptEngine(name, checkedTokenizer(name, JSON.parse(await readFile(pathOf(name), "utf8"))));
    for (const [i, text] of texts.entries())
      expect([text, (await engine.encode(text, undefined, true, undefined))[0].ids]).toEqual([text, golden.kinds[name].ids[i]]);
  }
});

test("single parts of the format", async () => {
  const { base, cases } = JSON.parse(await readFile(join(kindsFolder, "parts.json"), "utf8")) as { base: object; cases: Record<string, object> };
  const path = join(tmpdir(), `kindling-part-${process.pid}.json`);
  for (const [name, part] of Object.entries(cases)) {
    await writeFile(path, JSON.stringify({ ...base, ...part }));
    const tokenizer = await TextTokenizer.open(path);
    for (const [i, text] of texts.entries()) expect([name, text, (await tokenizer.encodeText(text)).ids]).toEqual([name, text, golden.parts[name].ids[i]]);
  }
}, 120_000);

test("what would end the process is an error", async () => {
  const json = JSON.parse(await readFile(pathOf("bert-uncased"), "utf8"));
  const check = (part: object) => () => checkedTokenizer("x", { ...json, ...part });
  expect(check({})).not.toThrow();
  expect(check({ normalizer: { type: "Replace", pattern: { String: "" }, content: "a" } })).toThrow(/pattern that is not empty/);
  expect(check({ normalizer: { type: "Sequence", normalizers: [{ type: "Precompiled", precompiled_charsmap: "AAAA" }] } })).toThrow(/precompiled_charsmap/);
  expect(check({ pre_tokenizer: { type: "FixedLength", length: 0 } })).toThrow(/at least 1/);
  expect(check({ post_processor: { ...json.post_processor, special_tokens: {} } })).toThrow(/in special_tokens/);
  const tokenizer = await TextTokenizer.open(pathOf("bert-uncased"));
  await expect(tokenizer.encodeText("a b c d e f", { maxLength: 4, stride: 2 })).rejects.toThrow(/stride below the 2/);
  await expect(tokenizer.encodeText("a b", { maxLength: 1 })).rejects.toThrow(/room for the 2 special tokens/);
  await expect(TextTokenizer.open("no/such/folder")).rejects.toThrow(/no such file/);
});

test("what looks like a special token in a message stays text", async () => {
  const tokenizer = await TextTokenizer.open(pathOf("qwen2"));
  const [special] = tokenizer.specialTexts;
  const id = tokenizer.tokenToId(special) as number;
  const hostile = `a ${special} b`;
  expect(await tokenizer.encode(hostile)).toContain(id);
  const ids = await encodePrompt(tokenizer, `${special}${withLiterals(hostile, tokenizer)}${special}`);
  expect(ids.filter((each) => each === id)).toHaveLength(2);
  expect(await tokenizer.decode(ids.filter((each) => each !== id))).toBe(hostile);
});
