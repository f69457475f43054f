/** `convert` there and back, over every kind of model that GGUF has a place for. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { readGgufHeader, readJson, readSafetensors } from "../files/index.ts";
import { fromConfig, fromPretrained, saveGguf, savePretrained } from "../models/index.ts";
import { randomKey } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { ggufModels } from "../testing/gguf-models.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { convertCommand } from "./convert.ts";

const golden = (path: string) => fileURLToPath(new URL(`../../golden/${path}`, import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));
const output = vi.spyOn(process.stdout, "write").mockImplementation(() => true);
const notes = vi.spyOn(process.stderr, "write").mockImplementation(() => true);
const warnings = vi.spyOn(console, "warn").mockImplementation(() => {});
afterEach(() => {
  for (const spy of [output, notes, warnings]) spy.mockClear();
});

const tokenizer = await Tokenizer.fromJson(
  JSON.parse(await readFile(golden("tokenizers/kinds/smollm.tokenizer.json"), "utf8")),
  {
    bos_token: "<|im_start|>",
    eos_token: "<|im_end|>",
    pad_token: "<|im_end|>",
  },
);
const END = 482; // <|im_end|>
const generation = {
  do_sample: true,
  temperature: 0.7,
  top_k: 40,
  top_p: 0.9,
  repetition_penalty: 1.1,
  no_repeat_ngram_size: 3,
};
const template = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}";
const toolTemplate = "{{ tools }}";
const card =
  '---\nlicense: apache-2.0\nlicense_link: "https://www.apache.org/licenses/LICENSE-2.0"\nlanguage:\n- en\n- de\ntags:\n- tiny\nmodel_name: Tiny\n---\n# Tiny\n';
const texts = ["Call me Ishmael. 1851", "<|im_start|>user\n  two  spaces<|im_end|>", "déjà vu 海"];

/** A folder as a repository has it. */
async function writeRepository(path: string, json: Record<string, unknown>): Promise<void> {
  const model = fromConfig(json as never, { task: "causal-lm", key: randomKey(5) });
  model.generationConfig = { ...generation, bos_token_id: 481, eos_token_id: [END, 480], pad_token_id: END };
  await savePretrained(model, path);
  await tokenizer.save(path);
  await writeFile(join(path, "chat_template.jinja"), template);
  await mkdir(join(path, "additional_chat_templates"));
  await writeFile(join(path, "additional_chat_templates", "tool_use.jinja"), toolTemplate);
  await writeFile(join(path, "README.md"), card);
  model.dispose();
}

/** What a config says but for ids, which are the tokenizer's in a GGUF file, and how training began. */
const settled = async (path: string) => {
  const {
    eos_token_id: _,
    bos_token_id: __,
    pad_token_id: ___,
    initializer_range: ____,
    ...config
  } = await readJson(join(path, "config.json"));
  return config;
};

describe.each(Object.entries(ggufModels))("%s", (name, json) => {
  test("safetensors, GGUF, GGUF and safetensors again say the same", { timeout: 60_000 }, async () => {
    const path = (part: string) => join(folder, `${name.replace(/\W/g, "-")}${part}`);
    await writeRepository(path(""), json);
    await convertCommand(path(""), path("-a.gguf"), { runs: "runs", type: "f32" });
    await convertCommand(path("-a.gguf"), path("-b.gguf"), { runs: "runs", type: "f32" });
    await convertCommand(path("-b.gguf"), path("-again"), { runs: "runs" });
    const [a, b] = await Promise.all(["-a.gguf", "-b.gguf"].map((part) => readGgufHeader(path(part))));
    expect(b.metadata).toEqual(a.metadata);
    expect(a.metadata.get("general.license")).toBe("apache-2.0");
    await expectSameWeights(path(""), path("-again"));
    const isLlama = json.model_type === "mistral"; // which is one, without its window
    if (!isLlama) expect(await settled(path("-again"))).toMatchObject(await settled(path("")));
    expect(await readJson(join(path("-again"), "generation_config.json"))).toMatchObject({
      ...generation,
      bos_token_id: 481,
      eos_token_id: [END, 480],
    });
    const { chatTemplates } = await Tokenizer.open(path("-again"));
    expect(Object.fromEntries(chatTemplates)).toEqual({ default: template, tool_use: toolTemplate });
    const again = await readFile(join(path("-again"), "README.md"), "utf8");
    for (const line of ["license: apache-2.0", "- de", "- tiny", "model_name: Tiny"]) expect(again).toContain(line);
    await expectSameTokens(path("-b.gguf"), path("-again"));
    expect(warnings).not.toHaveBeenCalled();
    await Promise.all(["", "-a.gguf", "-b.gguf", "-again"].map((part) => rm(path(part), { recursive: true })));
  });
});

async function expectSameWeights(a: string, b: string): Promise<void> {
  const [first, second] = await Promise.all(
    [a, b].map(async (path) => (await readSafetensors(join(path, "model.safetensors"))).tensors),
  );
  const names = (tensors: typeof first) => [...tensors.keys()].filter((key) => key !== "lm_head.weight").sort();
  expect(names(second)).toEqual(names(first));
  for (const [key, { shape, data }] of first) {
    expect([key, second.get(key)?.shape]).toEqual([key, shape]);
    // Gemma's norms are stored with 1 added
    expectClose(key, second.get(key)?.data as Float32Array, data as Float32Array, 1e-6);
  }
}

async function expectSameTokens(gguf: string, again: string): Promise<void> {
  const readers = [await Tokenizer.open(gguf), await Tokenizer.open(again)];
  for (const text of texts) {
    const ids = await tokenizer.encode(text);
    for (const reader of readers) expect([text, await reader.encode(text)]).toEqual([text, ids]);
  }
  expect((await readJson(join(again, "tokenizer_config.json"))).eos_token).toBe("<|im_end|>");
}

test("numbers in another type than was asked for are told of", async () => {
  const path = join(folder, "narrow");
  await writeRepository(path, ggufModels.llama);
  await convertCommand(path, `${path}.gguf`, { runs: "runs", type: "q4_k" });
  expect(notes.mock.calls.join()).toMatch(
    /note: \d+k of \d+k numbers are q5_0: their rows are no whole blocks of q4_k/,
  );
  expect(output.mock.calls.join()).toMatch(/numbers: .*q8_0.*q5_0/);
});

test("a folder in ONNX has what opens it again", async () => {
  const path = join(folder, "onnx-source");
  await writeRepository(path, ggufModels.gpt2);
  await convertCommand(path, `${path}.gguf`, { runs: "runs", type: "f32" });
  for (const source of [path, `${path}.gguf`]) {
    const target = join(folder, "onnx");
    await convertCommand(source, target, { runs: "runs", to: "onnx" });
    const model = await fromPretrained(target, { task: "causal-lm" });
    expect(model.generationConfig).toMatchObject({ eos_token_id: [END, 480], temperature: 0.7 });
    const again = await Tokenizer.open(target);
    expect(await again.encode(texts[0])).toEqual(await tokenizer.encode(texts[0]));
    expect(again.chatTemplate).toBe(template);
    await rm(target, { recursive: true });
  }
});

test("a target that is the source, and options of another format, are refused before anything is written", async () => {
  const path = join(folder, "same");
  await writeRepository(path, ggufModels.llama);
  await expect(convertCommand(path, `${path}/`, { runs: "runs" })).rejects.toThrow(/another target/);
  await expect(convertCommand(path, `${path}.gguf`, { runs: "runs", dtype: "f16" })).rejects.toThrow(
    /--dtype is for safetensors/,
  );
  await expect(convertCommand(join(folder, "none"), `${path}.gguf`, { runs: "runs" })).rejects.toThrow(
    /the name of a run/,
  );
});

test("what llama.cpp has no place for is refused by name", async () => {
  const save = async (json: Record<string, unknown>) =>
    saveGguf(fromConfig(json as never, { task: "causal-lm" }), join(folder, "x.gguf"), { tokenizer: null });
  const { llama, gemma2, gpt2, gpt_neox: neox, qwen3_moe: moe, smollm3 } = ggufModels;
  await expect(save({ ...llama, hidden_act: "gelu" })).rejects.toThrow(
    /hidden_act of "silu", as llama\.cpp has it; received "gelu"/,
  );
  await expect(save({ ...gemma2, query_pre_attn_scalar: 10 })).rejects.toThrow(/query_pre_attn_scalar of 16/);
  await expect(save({ ...gpt2, activation_function: "relu" })).rejects.toThrow(/activation_function/);
  await expect(save({ ...neox, attention_bias: false })).rejects.toThrow(/attention_bias/);
  await expect(save({ ...moe, mlp_only_layers: [1] })).rejects.toThrow(/mlp_only_layers/);
  await expect(save({ ...smollm3, no_rope_layers: [1, 0, 1, 0] })).rejects.toThrow(/each 4th layer/);
});
