/** SentencePiece models and tiktoken's ranks: the ids of sentencepiece and tiktoken themselves. */
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DataError } from "../../base/index.ts";
import { writeGguf } from "../../files/index.ts";
import { chatFormat, ggufTokenizer, Tokenizer } from "../index.ts";
import { parseSentencePiece } from "./sentencepiece-model.ts";
import { tiktokenJson } from "./tiktoken.ts";

const golden = (path: string) => fileURLToPath(new URL(`../../../golden/tokenizers/${path}`, import.meta.url));
const unpack = async (path: string) => JSON.parse(gunzipSync(await readFile(golden(path))).toString());

interface Golden {
  texts: string[];
  models: Record<
    string,
    {
      spec: { pieces: [string, number, number][] };
      ids: number[][];
      decoded: string[];
      converted: Record<string, number[][]>;
    }
  >;
}
const { texts, models } = (await unpack("sentencepiece/expected.json.gz")) as Golden;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

/**
 * Hugging Face's library applies the rules of a model by graphemes, SentencePiece by characters: a letter with two
 * marks comes out otherwise.
 */
const byGraphemes = ["composed é ä ñ ộ Å and combining é ä ñ ộ Å"];

describe.each(Object.keys(models))("%s", (name) => {
  const { spec, ids, decoded, converted } = models[name];
  /** Special tokens are read from text here; SentencePiece never does. */
  const special = spec.pieces.filter(([, , type]) => type === 2 || type === 3).map(([piece]) => piece);
  const unknown = spec.pieces.findIndex(([, , type]) => type === 2);
  const plain = texts
    .map((text, i) => ({ text, i }))
    .filter(({ text }) => !special.some((piece) => text.includes(piece)));

  test("ids and texts of sentencepiece", async () => {
    const tokenizer = await Tokenizer.open(golden(`sentencepiece/${name}.model`));
    const differing: string[] = [];
    for (const { text, i } of plain) {
      const tokenIds = await tokenizer.encode(text);
      if (JSON.stringify(tokenIds) !== JSON.stringify(ids[i])) differing.push(text.normalize("NFC"));
      else if (!tokenIds.includes(unknown))
        expect([text, await tokenizer.decode(tokenIds)]).toEqual([text, decoded[i]]);
    }
    expect(differing.filter((text) => !byGraphemes.map((each) => each.normalize("NFC")).includes(text))).toEqual([]);
  });

  // TokenizersBackend of transformers leaves the space out that a model wants in front of a text: the other classes do
  // not
  test.each(Object.keys(converted).filter((className) => className !== "TokenizersBackend"))(
    "as %s of transformers",
    async (className) => {
      await copyFile(golden(`sentencepiece/${name}.model`), join(folder, "spiece.model"));
      await writeFile(
        join(folder, "tokenizer_config.json"),
        JSON.stringify({ tokenizer_class: className, add_bos_token: false }),
      );
      const tokenizer = await Tokenizer.open(folder);
      const same = await Promise.all(
        plain.map(
          async ({ text, i }) =>
            JSON.stringify(await tokenizer.encode(text, { addSpecialTokens: false })) ===
            JSON.stringify(converted[className][i]),
        ),
      );
      // its conversions differ from sentencepiece where there are several spaces, or control characters
      expect(same.filter(Boolean).length / same.length).toBeGreaterThan(0.93);
    },
  );
});

test("pairs, and the tokens before and after", async () => {
  const open = async (name: string, config: object) => {
    await copyFile(golden(`sentencepiece/${name}.model`), join(folder, "spiece.model"));
    await writeFile(join(folder, "tokenizer_config.json"), JSON.stringify(config));
    return Tokenizer.open(folder);
  };
  const tokens = async (tokenizer: Tokenizer) => (await tokenizer.encodeText("a", { pair: "a" })).tokens.join(" ");
  expect(await tokens(await open("bpe-llama", { tokenizer_class: "LlamaTokenizer" }))).toBe("<s> ▁a <s> ▁a");
  expect(await tokens(await open("unigram-t5", { tokenizer_class: "T5TokenizerFast", extra_ids: 3 }))).toBe(
    "▁a </s> ▁a </s>",
  );
  expect(await tokens(await open("unigram", { tokenizer_class: "XLMRobertaTokenizer" }))).toBe(
    "<s> ▁a </s> </s> ▁a </s>",
  );
  const t5 = await open("unigram-t5", { tokenizer_class: "T5Tokenizer" });
  expect([t5.vocabSize, t5.tokenToId("<extra_id_0>"), t5.tokenToId("<extra_id_99>")]).toEqual([500, 499, 400]);
  await expect(open("unigram", { tokenizer_class: "T5Tokeniser" })).rejects.toThrow(/did you mean "T5Tokenizer"/);
  await expect(open("unigram", { tokenizer_class: "AlbertTokenizer" })).rejects.toThrow(/a piece \[CLS\]/);
});

test("what ALBERT's and DeBERTa's classes do to a text before its model", async () => {
  /** A piece as SentencePiece's protobuf has it: its text, a score of 0, type 3 (control). */
  const piece = (text: string) => [
    0x0a,
    text.length + 9,
    0x0a,
    text.length,
    ...Buffer.from(text),
    0x15,
    0,
    0,
    0,
    0,
    0x18,
    3,
  ];
  const bytes = Buffer.concat([
    await readFile(golden("sentencepiece/unigram.model")),
    Buffer.from([...piece("[CLS]"), ...piece("[SEP]")]),
  ]);
  const open = async (config: object) => {
    await writeFile(join(folder, "spiece.model"), bytes);
    await writeFile(join(folder, "tokenizer_config.json"), JSON.stringify(config));
    return Tokenizer.open(folder);
  };
  const plain = await open({});
  const expectSame = async (config: object, text: string, prepared: string) =>
    expect(await (await open(config)).encode(text, { addSpecialTokens: false })).toEqual(await plain.encode(prepared));
  await expectSame({ tokenizer_class: "AlbertTokenizer" }, "``Été'' WHALE", '"ete" whale');
  await expectSame(
    { tokenizer_class: "AlbertTokenizer", do_lower_case: false, keep_accents: true },
    "``Été'' WHALE",
    '"Été" WHALE',
  );
  await expectSame({ tokenizer_class: "DebertaV2Tokenizer" }, "The WHALE", "The WHALE");
  await expectSame({ tokenizer_class: "DebertaV2Tokenizer", do_lower_case: true }, "The WHALE", "the whale");
  const cut = await open({ tokenizer_class: "DebertaV2Tokenizer", split_by_punct: true });
  expect((await cut.encodeText("(whale).", { addSpecialTokens: false })).wordIds.at(-1)).toBeGreaterThan(1);
});

describe("tiktoken", async () => {
  const expected = (await unpack("tiktoken/expected.json.gz")) as {
    specialTokens: Record<string, number>;
    texts: string[];
    patterns: Record<
      string,
      { pattern: string; ids: number[][]; ordinaryIds: number[][]; decoded: [number[], string][] }
    >;
  };
  const specialTokens = Object.keys(expected.specialTokens);
  test.each(Object.keys(expected.patterns))("%s", async (name) => {
    const { pattern, ids, ordinaryIds, decoded } = expected.patterns[name];
    const named = { r50k: "r50k_base", cl100k: "cl100k_base", llama3: "llama3" }[name];
    for (const specified of [pattern, named]) {
      const tokenizer = await Tokenizer.open(golden("tiktoken/ranks.tiktoken"), { pattern: specified, specialTokens });
      expect(await Promise.all(expected.texts.map((text) => tokenizer.encode(text)))).toEqual(ids);
      expect(await Promise.all(expected.texts.map((text) => tokenizer.encode(text, { isLiteral: true })))).toEqual(
        ordinaryIds,
      );
      for (const [row, text] of decoded) expect(await tokenizer.decode(row)).toBe(text);
    }
  });
  test("is the file that transformers makes", async () => {
    const json = JSON.parse(await readFile(golden("tiktoken/tiktoken.tokenizer.json"), "utf8"));
    const ours = tiktokenJson("ranks", await readFile(golden("tiktoken/ranks.tiktoken"), "utf8"), { specialTokens });
    expect(ours.model).toEqual(json.model);
    expect(ours.added_tokens).toEqual(json.added_tokens);
  });
  test.each(["", "IQ==", "IQ== 0\nIg== 2", "IQ== 0\nIQ== 1", "!! 0", "IQ== x"])("damaged ranks: %j", (text) => {
    expect(() => tiktokenJson("ranks", text)).toThrow(DataError);
  });
});

test("damaged models are errors of ours", async () => {
  const bytes = new Uint8Array(await readFile(golden("sentencepiece/bpe-gemma.model")));
  expect(() => parseSentencePiece("x", new Uint8Array())).toThrow(DataError);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 5 }),
      fc.integer({ min: 0, max: bytes.length }),
      (changes, cut) => {
        const damaged = bytes.slice(0, cut);
        for (const [at, value] of changes) if (at < cut) damaged[at] = value;
        try {
          parseSentencePiece("x", damaged);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      },
    ),
    { numRuns: 300 },
  );
});

describe("inside a GGUF file", async () => {
  const { texts: kindTexts } = (await unpack("kinds/expected.json.gz")) as { texts: string[] };
  test.each([
    "kinds/gpt2.tokenizer.json",
    "kinds/smollm.tokenizer.json",
    "kinds/llama3-whole-words.tokenizer.json",
    "kinds/qwen2.tokenizer.json",
    "kinds/deepseek.tokenizer.json",
    "kinds/o200k.tokenizer.json",
    "kinds/llama2.tokenizer.json",
    "kinds/gemma.tokenizer.json",
    "sentencepiece/bpe-llama.model",
  ])("%s", async (name) => {
    const tokenizer = await Tokenizer.open(golden(name));
    const path = join(folder, "tokenizer.gguf");
    const chatTemplates = new Map([["default", "{{ messages }}"]]);
    await writeGguf(
      path,
      new Map([["general.architecture", "llama"], ...(await ggufTokenizer(tokenizer, { chatTemplates }))]),
      new Map(),
    );
    const again = await Tokenizer.open(path);
    expect(again.chatTemplate).toBe("{{ messages }}");
    for (const text of kindTexts) {
      const ids = await tokenizer.encode(text, { addSpecialTokens: false });
      expect([text, await again.encode(text, { addSpecialTokens: false })]).toEqual([text, ids]);
      expect(await again.decode(ids)).toBe(await tokenizer.decode(ids));
    }
  });
  test("templates see the tokens that end a text", async () => {
    const json = JSON.parse(await readFile(golden("kinds/smollm.tokenizer.json"), "utf8"));
    const chatTemplate = "{{ bos_token }}{% for m in messages %}{{ m.content + eos_token }}{% endfor %}";
    const tokenizer = await Tokenizer.fromJson(json, {
      bos_token: "<|endoftext|>",
      eos_token: "<|im_end|>",
      chat_template: chatTemplate,
    });
    const path = join(folder, "chat.gguf");
    await writeGguf(path, new Map([["general.architecture", "llama"], ...(await ggufTokenizer(tokenizer))]), new Map());
    const again = await Tokenizer.open(path);
    for (const each of [tokenizer, again]) {
      expect(chatFormat(each.chatTemplate, each).render([{ role: "user", content: "hi" }])).toBe(
        "<|endoftext|>hi<|im_end|>",
      );
    }
  });
  test("tokenizers that llama.cpp has no name for are refused", async () => {
    for (const name of ["kinds/bert-cased.tokenizer.json", "kinds/t5.tokenizer.json"]) {
      const tokenizer = await Tokenizer.open(golden(name));
      await expect(ggufTokenizer(tokenizer)).rejects.toThrow(/GGUF tokenizer/);
    }
  });
});

describe("files of older repositories", async () => {
  const { texts: kindTexts } = (await unpack("kinds/expected.json.gz")) as { texts: string[] };
  const json = async (name: string) => JSON.parse(await readFile(golden(`kinds/${name}.tokenizer.json`), "utf8"));
  const write = (files: Record<string, string>) =>
    Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, "old", name), text)));
  beforeAll(() => mkdir(join(folder, "old")));

  test.each([
    ["bert-uncased", "BertTokenizer", {}],
    ["bert-cased", "BertTokenizerFast", { do_lower_case: false, tokenize_chinese_chars: false }],
  ])("vocab.txt of %s", async (name, tokenizer_class, config) => {
    const lines = Object.entries((await json(name)).model.vocab as Record<string, number>).sort(
      ([, a], [, b]) => a - b,
    );
    await write({
      "vocab.txt": `${lines.map(([piece]) => piece).join("\n")}\n`,
      "tokenizer_config.json": JSON.stringify({ tokenizer_class, ...config }),
    });
    await expectSame(name);
    await rm(join(folder, "old", "vocab.txt"));
  });
  test.each([
    ["gpt2", "GPT2Tokenizer", {}],
    ["roberta", "RobertaTokenizer", { add_prefix_space: true }],
  ])("vocab.json and merges.txt of %s", async (name, tokenizer_class, config) => {
    const { model, added_tokens: added } = (await json(name)) as {
      model: { vocab: object; merges: string[][] };
      added_tokens: { id: number; content: string }[];
    };
    const { merges } = model;
    const vocab = { ...model.vocab, ...Object.fromEntries(added.map(({ id, content }) => [content, id])) };
    await write({
      "vocab.json": JSON.stringify(vocab),
      "merges.txt": `#version: 0.2\n${merges.map((pair) => pair.join(" ")).join("\n")}\n`,
      "tokenizer_config.json": JSON.stringify({ tokenizer_class, ...config }),
    });
    await expectSame(name);
    await write({ "tokenizer_config.json": JSON.stringify({ tokenizer_class: "CLIPTokenizer" }) });
    await expect(Tokenizer.open(join(folder, "old"))).rejects.toThrow(/one of GPT2Tokenizer, RobertaTokenizer/);
  });

  async function expectSame(name: string): Promise<void> {
    const known = await json(name);
    if (known.model.type === "WordPiece") known.model.max_input_chars_per_word = 100; // what transformers gives to all
    const [old, present] = await Promise.all([Tokenizer.open(join(folder, "old")), Tokenizer.fromJson(known)]);
    for (const text of kindTexts) expect([text, await old.encode(text)]).toEqual([text, await present.encode(text)]);
  }
});
