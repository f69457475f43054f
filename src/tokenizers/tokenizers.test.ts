/** The tokenizers that are trained here: byte-level BPE, and characters. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { KindlingError } from "../base/index.ts";
import { readJson } from "../files/index.ts";
import { BpeTrainer, CharacterTrainer, chatFormat, encodePrompt, Tokenizer } from "./index.ts";

const golden = (name: string) => fileURLToPath(new URL(`../../golden/tokenizers/${name}`, import.meta.url));
type Examples = Record<string, { text: string; ids: number[] }[]>;
const expected = (await readJson(golden("expected.json"))) as unknown as Examples;
const moby = await readFile(golden("moby-60k.txt"), "utf8");
const mixed = await readFile(golden("mixed.txt"), "utf8");

describe.each(["bpe-600", "bpe-700", "char"])("%s", (name) => {
  test("encodes as Hugging Face tokenizers", async () => {
    const tokenizer = await Tokenizer.open(golden(`${name}.tokenizer.json`));
    for (const { text, ids } of expected[name]) expect([text, await tokenizer.encode(text)]).toEqual([text, ids]);
    expect(tokenizer.endOfTextId).toBe(0);
  });

  test("is written as it was read", async () => {
    const path = golden(`${name}.tokenizer.json`);
    expect((await Tokenizer.open(path)).toJson()).toEqual(await readJson(path));
  });
});

test.each([
  ["bpe-600", [moby]],
  ["bpe-700", [moby, mixed]],
] as const)("training gives the merges of Hugging Face's trainer: %s", async (name, texts) => {
  const original = (await readJson(golden(`${name}.tokenizer.json`))) as {
    model: { vocab: Record<string, number>; merges: string[][] };
  };
  const trainer = new BpeTrainer({ vocabSize: Object.keys(original.model.vocab).length });
  for (const text of texts) trainer.add(text);
  const { merges, vocab } = trainer.toJson().model as { merges: string[][]; vocab: object };
  expect(merges).toEqual(
    original.model.merges.map((merge) => (typeof merge === "string" ? (merge as string).split(" ") : merge)),
  );
  expect(vocab).toEqual(original.model.vocab);
  expect((await trainer.train()).special).toEqual({ bos: "<|endoftext|>", eos: "<|endoftext|>" });
});

test("any text comes back", async () => {
  const tokenizer = await Tokenizer.open(golden("bpe-600.tokenizer.json"));
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "binary", maxLength: 200 }), async (text) => {
      const clean = new TextDecoder("utf-8", { ignoreBOM: true })
        .decode(new TextEncoder().encode(text))
        .replaceAll("<|endoftext|>", ""); // lone surrogates have no UTF-8
      const ids = await tokenizer.encode(clean);
      expect(await tokenizer.decode(ids)).toBe(clean);
      const stream = tokenizer.stream();
      let whole = "";
      for (const id of ids) whole += await stream.push(id);
      expect(whole + (await stream.flush())).toBe(clean);
    }),
  );
});

test("long runs without spaces encode as short ones do", async () => {
  const tokenizer = await Tokenizer.open(golden("bpe-700.tokenizer.json"));
  const long = "白日依山尽黄河入海流".repeat(40);
  const ids = await tokenizer.encode(long);
  expect(await tokenizer.decode(ids)).toBe(long);
  // every piece of the long run that stands between the same neighbours has the same tokens
  expect(new Set(ids).size).toBeLessThan(60);
});

test("a text that repeats little gives the vocabulary it can", async () => {
  const trainer = new BpeTrainer({ vocabSize: 5000 });
  trainer.add("aaaa bbbb aaaa bbbb");
  expect((await trainer.train()).vocabSize).toBe(257 + 5); // aa, aaaa, bb, bbbb and " bbbb"
  expect(() => new BpeTrainer({ vocabSize: 100 })).toThrow(/at least 257/);
});

describe("characters", async () => {
  const trainer = new CharacterTrainer();
  trainer.add("床前明月光，疑是地上霜。\n😀");
  const tokenizer = await trainer.train();

  test("Chinese, and what was not in the text", async () => {
    expect(await tokenizer.decode(await tokenizer.encode("明月光\n😀"))).toBe("明月光\n😀");
    expect(tokenizer.special.unk).toBe("<unk>");
    expect((await tokenizer.encodeText("月é光")).tokens).toEqual(["月", "<unk>", "光"]);
    expect((await tokenizer.encode("月é光"))[1]).toBe(tokenizer.tokenToId("<unk>"));
    expect(tokenizer.missingCharacters("月é光éñ")).toEqual(["é", "ñ"]);
  });

  test("a chat in an alphabet without the letters of the roles has one line per message", async () => {
    const format = chatFormat(undefined, tokenizer);
    const prompt = format.render([
      { role: "user", content: "明月" },
      { role: "assistant", content: "光" },
    ]);
    expect([prompt, format.stop]).toEqual(["明月\n光\n", ["\n"]]);
    expect(await encodePrompt(tokenizer, prompt)).not.toContain(tokenizer.tokenToId("<unk>"));
    const bpe = await Tokenizer.open(golden("bpe-600.tokenizer.json"));
    expect(chatFormat(undefined, bpe).render([{ role: "user", content: "hi" }])).toBe("user: hi\nassistant:");
  });

  test("characters of a prompt that are unknown are named, and refused where they would be lost", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    await encodePrompt(tokenizer, "月");
    expect(warn).not.toHaveBeenCalled();
    await encodePrompt(tokenizer, "月é!é");
    expect(warn).toHaveBeenCalledExactlyOnceWith(
      expect.stringContaining('no token stands for "é" (U+00E9), "!" (U+0021): read as <unk>'),
    );
    const older = await Tokenizer.open(golden("char.tokenizer.json"));
    await expect(encodePrompt(older, "a\u{1f9ff}")).rejects.toThrow(/U\+1F9FF.*trained with --tokenizer bpe/);
    warn.mockRestore();
  });
});

test("damaged tokenizer files give an error of ours, never another", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kindling-"));
  const path = join(folder, "tokenizer.json");
  const original = await readFile(golden("bpe-600.tokenizer.json"), "utf8");
  const change = fc.record({
    at: fc.nat(original.length),
    length: fc.nat(40),
    text: fc.constantFrom("", "0", '"', "null", "[]", "{}", ",", "-1", "\u0000"),
  });
  await fc.assert(
    fc.asyncProperty(change, async ({ at, length, text }) => {
      await writeFile(path, original.slice(0, at) + text + original.slice(at + length));
      try {
        await (await Tokenizer.open(path)).encode("whale 鯨");
      } catch (error) {
        expect(error).toBeInstanceOf(KindlingError);
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
    await expect(Tokenizer.open(path)).rejects.toThrow(KindlingError);
  }
  await rm(folder, { recursive: true });
});
