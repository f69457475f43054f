import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { type GgufWritable, writeGguf } from "../../files/index.ts";
import { ggufTokenizer, ggufVocabulary, Tokenizer } from "../index.ts";
import { cutNames, ggufCuts } from "./gguf-cuts.ts";

const golden = (name: string) =>
  fileURLToPath(new URL(`../../../golden/tokenizers/kinds/${name}.tokenizer.json`, import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));
const warnings = vi.spyOn(console, "warn").mockImplementation(() => {});
afterEach(() => warnings.mockClear());

type Change = (metadata: Map<string, GgufWritable>) => void;

/** The tokenizer of a golden file after its metadata were changed. */
async function changed(name: string, change: Change) {
  const metadata = await ggufTokenizer(await Tokenizer.open(golden(name)));
  change(metadata);
  const path = join(folder, "changed.gguf");
  await writeGguf(path, new Map([["general.architecture", "llama"], ...metadata]), new Map());
  return Tokenizer.open(path);
}

/** Adds tokens after the last, and gives the id of the first. */
function addTokens(metadata: Map<string, GgufWritable>, tokens: readonly string[], type: number): number {
  const list = metadata.get("tokenizer.ggml.tokens") as string[];
  const types = metadata.get("tokenizer.ggml.token_type") as number[];
  metadata.set("tokenizer.ggml.tokens", [...list, ...tokens]);
  metadata.set("tokenizer.ggml.token_type", [...types, ...tokens.map(() => type)]);
  const scores = metadata.get("tokenizer.ggml.scores") as Float32Array | undefined;
  if (scores) metadata.set("tokenizer.ggml.scores", Float32Array.of(...scores, ...tokens.map(() => -1000)));
  return list.length;
}

const USER_DEFINED = 4;

describe.each(["gpt2", "smollm", "qwen2", "llama3", "llama2", "gemma"])("%s", (name) => {
  test("user-defined tokens are whole wherever they are, and stand for their own text", async () => {
    let first = 0;
    const tokenizer = await changed(name, (metadata) => {
      first = addTokens(metadata, ["<think>", "    ", "<a b>"], USER_DEFINED);
    });
    const ids = await tokenizer.encode("the<think><a b>", { addSpecialTokens: false });
    expect(ids.slice(-2)).toEqual([first, first + 2]);
    expect(await tokenizer.encode("the<think>", { addSpecialTokens: false, isLiteral: true })).toContain(first);
    expect(await tokenizer.decode([first, first + 1, first + 2])).toBe("<think>    <a b>");
  });

  test("lists of kinds and of scores may be missing", async () => {
    const tokenizer = await changed(name, (metadata) => {
      metadata.delete("tokenizer.ggml.token_type");
      if (metadata.get("tokenizer.ggml.model") === "gpt2") metadata.delete("tokenizer.ggml.scores");
    });
    const expected = await (await Tokenizer.open(golden(name))).encode("the whale", { addSpecialTokens: false });
    expect(await tokenizer.encode("the whale", { addSpecialTokens: false })).toEqual(expected);
  });
});

test("every name of a cut that llama.cpp knows is one of ours once", () => {
  expect(new Set(cutNames).size).toBe(cutNames.length);
  expect(cutNames).toContain("deepseek-r1-qwen");
  for (const { names } of ggufCuts) expect(names.length).toBeGreaterThan(0);
});

test("an ordinary token that a file has padding for stays text", async () => {
  const tokenizer = await changed("gpt2", (metadata) => {
    const tokens = metadata.get("tokenizer.ggml.tokens") as string[];
    metadata.set("tokenizer.ggml.padding_token_id", tokens.indexOf("!"));
  });
  expect(await tokenizer.decode(await tokenizer.encode("a whale!!"))).toBe("a whale!!");
});

test("a name that is not known is refused, none is llama.cpp's default with a warning", async () => {
  await expect(changed("gpt2", (metadata) => metadata.set("tokenizer.ggml.pre", "gpt2"))).rejects.toThrow(
    /ggml\.pre: expected one of gpt-2, .*received gpt2/,
  );
  const tokenizer = await changed("gpt2", (metadata) => metadata.delete("tokenizer.ggml.pre"));
  expect(warnings.mock.calls.join()).toMatch(/no tokenizer\.ggml\.pre/);
  expect(await tokenizer.decode(await tokenizer.encode("a1234b"))).toBe("a1234b");
});

describe("what the metadata say of tokens", () => {
  const tokens = ["<unk>", "<s>", "</s>", "a", "b", "<|im_end|>", "<|eot_id|>", "<x>", "<|file_sep|>"];
  const read = (more: Record<string, GgufWritable>) =>
    ggufVocabulary(
      "x",
      new Map(Object.entries({ "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": tokens, ...more })) as never,
    );
  const id = (role: string, value: number) => ({ [`tokenizer.ggml.${role}_token_id`]: value });

  test("llama.cpp's defaults", () => {
    const { roles, addsBos, addsEos, addsSpacePrefix, scores, kinds } = read({});
    expect(roles).toEqual({ bos: 1, eos: 2, unknown: 0 });
    expect([addsBos, addsEos, addsSpacePrefix]).toEqual([true, false, true]);
    expect(scores.every((score) => score === 0)).toBe(true);
    expect(kinds.slice(3, 5)).toEqual(["normal", "normal"]);
    const bpe = read({ "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2" });
    expect([bpe.roles, bpe.addsBos, bpe.addsSpacePrefix]).toEqual([{}, false, false]);
    for (const pre of ["llama-bpe", "tekken"])
      expect(read({ "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre }).addsBos).toBe(true);
  });

  test("tokens that end a generation: eos, eot and eom, and those that their texts tell", () => {
    expect(read({}).endIds).toEqual([2, 5, 6, 8]);
    expect(read({ ...id("eos", 4), ...id("eot", 3), ...id("eom", 7) }).endIds).toEqual([4, 3, 7, 2, 5, 6, 8]);
    expect(read({}).kinds[5]).toBe("control"); // whatever the file says
    const harmony = ["<|end|>", "<|return|>", "<|call|>", "<|channel|>"];
    const { endIds, kinds } = read({ "tokenizer.ggml.tokens": harmony, ...id("eos", 1) });
    expect(endIds).toEqual([1, 2]);
    expect(kinds).toEqual(["user-defined", "control", "control", "user-defined"]);
  });

  test("an id that is no token is passed over with a warning", () => {
    expect(read(id("eos", 99)).roles.eos).toBe(2);
    expect(warnings.mock.calls.join()).toMatch(/eos_token_id is 99, which is no token: 2 is used/);
  });

  test("lists that do not fit are refused", () => {
    expect(() => read({ "tokenizer.ggml.token_type": [1] })).toThrow(/token_type: expected one for each of 9 tokens/);
    expect(() => read({ "tokenizer.ggml.scores": Float32Array.of(1) as never })).toThrow(/scores/);
    expect(() => read({ "tokenizer.ggml.tokens": ["a", "b", "a"] })).toThrow(
      /tokens that differ; received "a" as 0 and 2/,
    );
    expect(() => read({ "tokenizer.ggml.model": "bert" })).toThrow(/ggml\.model: expected "gpt2".*received bert/);
    expect(read({ "tokenizer.ggml.tokens": ["", "b"] }).tokens[0]).toBe("[EMPTY_0]");
  });
});

test("chat templates of several names", async () => {
  const chatTemplates = new Map([
    ["default", "{{ usual }}"],
    ["tool_use", "{{ tools }}"],
  ]);
  const metadata = await ggufTokenizer(await Tokenizer.open(golden("gpt2")), { chatTemplates });
  const path = join(folder, "templates.gguf");
  await writeGguf(path, metadata, new Map());
  expect((await Tokenizer.open(path)).chatTemplates).toEqual(chatTemplates);
  metadata.delete("tokenizer.chat_template");
  metadata.set("tokenizer.chat_template.default", "{{ listed }}");
  await writeGguf(path, metadata, new Map());
  expect((await Tokenizer.open(path)).chatTemplate).toBe("{{ listed }}");
});

test("several ending tokens are written as eos, eot and eom where their texts do not tell", async () => {
  const tokenizer = await Tokenizer.open(golden("smollm")); // 480 is <|endoftext|>, 482 <|im_end|>
  const metadata = await ggufTokenizer(tokenizer, { endIds: [482, 480, 30, 31] });
  const read = ggufVocabulary("x", new Map([...metadata].filter(([key]) => !key.endsWith("scores"))) as never);
  expect(read.endIds).toEqual([482, 30, 31, 480]);
  await ggufTokenizer(tokenizer, { endIds: [482, 30, 31, 32] });
  expect(warnings.mock.calls.join()).toMatch(/no place for more ending tokens: 32/);
});
