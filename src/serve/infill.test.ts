/** `suffix` of completions: filling in, by the marks that each kind of model was taught. */
import { expect, test } from "vitest";
import { jsonPost } from "../testing/json-post.ts";
import { scriptedModel } from "../testing/served-model.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { createApp } from "./index.ts";

const letters = [..." abcdefghijklmnopqrstuvwxyz()=+:☺▁"];

/** A token for each character, after special ones. @param spaced whether texts begin with a space, as Llama's do */
function tokenizerOf(special: readonly string[], spaced = false): Promise<Tokenizer> {
  const tokens = [...special, ...letters];
  const added = special.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const normalizers = [
    { type: "Prepend", prepend: "▁" },
    { type: "Replace", pattern: { String: " " }, content: "▁" },
  ];
  const bos = special.includes("<s>") && {
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 0 } }],
      special_tokens: { "<s>": { id: "<s>", ids: [special.indexOf("<s>")], tokens: ["<s>"] } },
    },
  };
  const json = {
    version: "1.0",
    added_tokens: added,
    ...(spaced && { normalizer: { type: "Sequence", normalizers } }),
    ...bos,
    decoder: { type: "Fuse" },
    model: { type: "BPE", vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges: [] },
  };
  return Tokenizer.fromJson(json, bos ? { bos_token: "<s>" } : {});
}

async function filled(special: readonly string[], body: object, spaced = false) {
  const model = { ...scriptedModel(""), tokenizer: await tokenizerOf(special, spaced), chatTemplate: undefined };
  const tokens = [...special, ...letters];
  const answer = await createApp(model).request("/v1/completions", jsonPost({ max_tokens: 2, ...body }));
  const { generator } = model;
  return {
    status: answer.status,
    body: (await answer.json()) as { error?: { message: string }; usage: object; choices: { text: string }[] },
    prompt: generator.prompts
      .at(-1)
      ?.map((id) => tokens[id])
      .join(""),
    stops: generator.options.at(-1)?.stopTokens?.map((id) => tokens[id]),
  };
}

const body = { prompt: "def f(x):", suffix: "  f(a)" };
test.each([
  ["Qwen2.5-Coder", ["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"], "def f(x):", "  f(a)"],
  ["StarCoder", ["<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>"], "def f(x):", "  f(a)"],
  ["SantaCoder", ["<fim-prefix>", "<fim-middle>", "<fim-suffix>"], "def f(x):", "  f(a)"],
  ["DeepSeek-Coder", ["<｜fim▁begin｜>", "<｜fim▁end｜>", "<｜fim▁hole｜>"], "def f(x):", "  f(a)"],
])("the marks of %s", async (_, marks, before, behind) => {
  const { prompt, stops, status } = await filled(marks, body);
  expect(status).toBe(200);
  expect(prompt).toBe(`${marks[0]}${before}${marks[2]}${behind}${marks[1]}`);
  expect(stops).toEqual(expect.arrayContaining([marks[0], marks[1]]));
});

test("CodeLlama's, behind <s>; what is behind the gap gets no space of its own", async () => {
  const special = ["<s>", "▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"];
  const { prompt, stops } = await filled(special, body, true);
  expect(prompt).toBe("<s>▁<PRE>▁def▁f(x):▁<SUF>▁▁f(a)▁<MID>");
  expect(stops).toContain("▁<EOT>");
});

const fim = ["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"];
test("ids, nothing before the gap, and an echo", async () => {
  expect((await filled(fim, { prompt: "", suffix: "x" })).prompt).toBe("<|fim_prefix|><|fim_suffix|>x<|fim_middle|>");
  const both = await filled(fim, { prompt: [[4, 5], [6]], suffix: "x", echo: true });
  expect(both.prompt).toBe("<|fim_prefix|>c<|fim_suffix|>x<|fim_middle|>");
  expect(both.body.choices.map(({ text }) => text)).toEqual(["ab", "c"]);
  const plain = await filled(fim, { prompt: "x", suffix: "" });
  expect([plain.prompt, plain.stops]).toEqual(["x", undefined]);
  const all = await filled(fim, { ...body, ignore_eos: true, stop_token_ids: [3] });
  expect(all.stops).toHaveLength(1);
});

test("what is behind the gap needs room, and a model that was taught it", async () => {
  const long = await filled(fim, { prompt: "a", suffix: "x".repeat(4096) });
  expect([long.status, long.body.error?.message]).toEqual([400, expect.stringContaining("resulted in 4100 tokens")]);
  const { status, body: refused } = await filled(["<s>"], body);
  expect([status, refused.error?.message]).toEqual([
    400,
    expect.stringContaining(
      "'suffix': this model was not taught to fill in: its tokenizer has no tokens such as <|fim_prefix|>",
    ),
  ]);
});
