/** Memory of known models, compared with what is published of them. */
import { describe, expect, test } from "vitest";
import type { OptionError } from "../base/index.ts";
import { memoryFolder } from "../files/index.ts";
import { type DeployedModel, deployedFolder, deployedModels } from "../testing/deployed-models.ts";
import { cacheBytesOfText, cacheBytesPerToken, cacheRules } from "./cache-size.ts";
import { readModelShape } from "./read-shape.ts";
import { GIB, type SizingRequest, sizeDeployment, weightBytesOf } from "./sizing.ts";

const shapeOf = (name: DeployedModel, further = {}) => readModelShape(deployedFolder(name, further));
const vllm: SizingRequest = {
  engine: "vllm",
  context: 8192,
  concurrency: 8,
  gpuMemoryBytes: 80 * GIB,
  isDownloaded: true,
};

describe("the cache of a token", () => {
  test.each([
    ["llama-3-8b", 131_072], // 32 layers x 2 x 8 heads x 128 x 2 bytes
    ["qwen2.5-0.5b", 12_288], // 24 layers x 2 x 2 heads x 64 x 2 bytes
    ["deepseek-v3", 70_272], // 61 layers x (512 + 64) x 2 bytes: arXiv:2412.19437 and others, "70 KB per token"
    ["gemma-3-12b", 393_216], // 48 layers x 2 x 8 heads x 256 x 2 bytes, before windows
  ] as const)("%s: %i bytes", async (name, bytes) => {
    expect(cacheBytesPerToken(await shapeOf(name), cacheRules.vllm)).toBe(bytes);
  });

  test("an engine that does not keep latents keeps all heads", async () => {
    const bytes = cacheBytesPerToken(await shapeOf("deepseek-v3"), cacheRules.kindling);
    expect(bytes).toBe(61 * 128 * (192 + 128) * 2);
  });

  test("cards share heads, one at least for each, and not latents", async () => {
    const llama = await shapeOf("llama-3-8b");
    expect(cacheBytesPerToken(llama, cacheRules.vllm, 4)).toBe(131_072 / 4);
    expect(cacheBytesPerToken(llama, cacheRules.vllm, 16)).toBe(131_072 / 8);
    expect(cacheBytesPerToken(await shapeOf("deepseek-v3"), cacheRules.vllm, 8)).toBe(70_272);
  });
});

describe("windows", () => {
  test("layers with one keep no more than it and what is being read", async () => {
    const shape = await shapeOf("gemma-3-12b");
    expect(shape.layers.filter(({ window }) => window === null)).toHaveLength(8);
    const perLayer = 2 * 8 * 256 * 2;
    const kept = 8 * 65_536 + 40 * (1024 + 8192);
    expect(cacheBytesOfText(shape, cacheRules.vllm, 65_536)).toBe(perLayer * kept);
    expect(cacheBytesOfText(shape, cacheRules.kindling, 65_536)).toBe(perLayer * 48 * 65_536);
  });

  test("those of Qwen2 count when they are used, and above max_window_layers", async () => {
    expect((await shapeOf("qwen2.5-0.5b")).layers.every(({ window }) => window === null)).toBe(true);
    const shape = await shapeOf("qwen2.5-0.5b", {
      use_sliding_window: true,
      max_window_layers: 20,
      sliding_window: 64,
    });
    expect(shape.layers.filter(({ window }) => window === 64)).toHaveLength(4);
  });

  test("layer_types name each, and others than attention are refused", async () => {
    const types = (last: string) => ({
      layer_types: [...Array(31).fill("sliding_attention"), last],
      sliding_window: 512,
    });
    const shape = await shapeOf("llama-3-8b", types("full_attention"));
    expect(shape.layers.filter(({ window }) => window === 512)).toHaveLength(31);
    await expect(shapeOf("llama-3-8b", types("linear_attention"))).rejects.toThrow(
      /layer_types .*received "linear_attention"/,
    );
  });
});

describe("weights", () => {
  test("are as stored for vllm, in f32 for kindling, in 16 bits for ollama", async () => {
    const shape = await shapeOf("llama-3-8b");
    const { bytes } = deployedModels["llama-3-8b"];
    expect(shape.weights.parameters).toBe(8_030_261_248);
    expect(weightBytesOf(shape, "vllm").bytes).toBe(bytes);
    expect(weightBytesOf(shape, "ollama").bytes).toBe(bytes);
    expect(weightBytesOf(shape, "kindling").bytes).toBe(2 * bytes);
    const f32 = await shapeOf("llama-3-8b", { torch_dtype: "float32" });
    expect(weightBytesOf(f32, "vllm").bytes).toBe(bytes / 2);
  });

  test("that are quantized are vllm's alone", async () => {
    const shape = await shapeOf("deepseek-v3");
    expect(weightBytesOf(shape, "vllm").bytes).toBe(deployedModels["deepseek-v3"].bytes);
    expect(() => weightBytesOf(shape, "kindling")).toThrow(/quantized in safetensors. Fix: name a GGUF file/);
  });
});

describe("cards", () => {
  test("as many as hold the weights and the texts", async () => {
    const gpusOf = async (name: DeployedModel, request: Partial<SizingRequest>) =>
      sizeDeployment(await shapeOf(name), { ...vllm, ...request }).gpus;
    expect(await gpusOf("llama-3-8b", {})).toBe(1);
    // 15.0 of weights, 8 of cache, 1.5 for CUDA, and activations are over 21.6
    expect(await gpusOf("llama-3-8b", { gpuMemoryBytes: 24 * GIB })).toBe(2);
    expect(await gpusOf("llama-3-8b", { gpuMemoryBytes: 24 * GIB, concurrency: 2 })).toBe(1);
    expect(await gpusOf("deepseek-v3", { gpuMemoryBytes: 141 * GIB })).toBe(8); // as its authors deploy it
  });

  test("only numbers that divide the heads", async () => {
    const shape = await shapeOf("qwen2.5-0.5b"); // 14 heads, 2 of keys and values
    expect(() => sizeDeployment(shape, { ...vllm, gpus: 4 })).toThrow(
      /one of 1, 2, 14, .* 14 heads; received 4. Fix: --gpus 2/,
    );
    expect(sizeDeployment(shape, { ...vllm, gpus: 2 }).gpus).toBe(2);
  });

  test("what does not fit is told in numbers, with what would: each proposal fits", async () => {
    const shape = await shapeOf("llama-3-8b");
    const request = { ...vllm, gpus: 1, gpuMemoryBytes: 24 * GIB };
    const error = errorOf(() => sizeDeployment(shape, request));
    expect(error.message).toContain("expected at most 21.6 GiB on the card (0.9 of 24.0 GiB)");
    expect(error.received).toMatch(/^25\.\d GiB: weights 15\.0 GiB, cache 8\.0 GiB of 8 texts of 8,192 tokens/);
    const proposal = (flag: string) => Number(new RegExp(`${flag} (\\d+)`).exec(error.fix)?.[1]);
    expect(sizeDeployment(shape, { ...request, gpus: proposal("--gpus") }).gpus).toBe(2);
    expect(sizeDeployment(shape, { ...request, context: proposal("--context") }).gpus).toBe(1);
    expect(sizeDeployment(shape, { ...request, concurrency: proposal("--concurrency") }).gpus).toBe(1);
    expect(sizeDeployment(shape, { ...request, gpuMemoryBytes: proposal("--gpu-memory") * GIB }).gpus).toBe(1);
    const oneMore = { ...request, context: proposal("--context") + 256 };
    expect(() => sizeDeployment(shape, oneMore)).toThrow();
  });

  test("their memory must be told", async () => {
    const shape = await shapeOf("llama-3-8b");
    expect(() => sizeDeployment(shape, { ...vllm, gpuMemoryBytes: undefined })).toThrow(/--gpu-memory 24 for an L4/);
  });
});

describe("without cards", () => {
  const kindling: SizingRequest = { engine: "kindling", context: 4096, concurrency: 4, isDownloaded: false };

  test("weights, texts, kept beginnings, buffers, program", async () => {
    const shape = await shapeOf("qwen2.5-0.5b");
    const { memoryBytes, rows } = sizeDeployment(shape, kindling);
    const held = 2 * deployedModels["qwen2.5-0.5b"].bytes + 5 * 4096 * 12_288;
    expect(memoryBytes).toBeCloseTo(1.15 * held + GIB, -3);
    expect(rows.map(({ what }) => what)).toContain("cache of a token");
  });

  test("what does not fit is told with what would", async () => {
    const shape = await shapeOf("qwen2.5-0.5b");
    const request = { ...kindling, context: 32_768, concurrency: 16, memoryBytes: 6 * GIB };
    const error = errorOf(() => sizeDeployment(shape, request));
    const proposal = (flag: string) => Number(new RegExp(`${flag} (\\d+)`).exec(error.fix)?.[1]);
    expect(sizeDeployment(shape, { ...request, context: proposal("--context") }).memoryBytes).toBeLessThan(6 * GIB);
    expect(sizeDeployment(shape, { ...request, concurrency: proposal("--concurrency") }).memoryBytes).toBeLessThan(
      6 * GIB,
    );
  });

  test("no context beyond what the model was made for", async () => {
    const shape = await shapeOf("llama-3-8b");
    expect(() => sizeDeployment(shape, { ...kindling, context: 8193 })).toThrow(
      /at most 8,192 tokens.* --context 8192/,
    );
  });
});

describe("files that do not tell", () => {
  test.each([
    [{}, /num_attention_heads or n_head; received neither/],
    [{ num_attention_heads: -1 }, /positive integer; received -1/],
    [{ num_attention_heads: 1e300 }, /positive integer/],
    [{ num_attention_heads: 4, hidden_size: 8, vocab_size: 9, num_hidden_layers: 1e9 }, /at most 10000 layers/],
  ])("config %j", async (config, message) => {
    const folder = memoryFolder({ "config.json": JSON.stringify(config) });
    await expect(readModelShape(folder)).rejects.toThrow(message);
  });

  test("no weights", async () => {
    const { config } = deployedModels["llama-3-8b"];
    const folder = memoryFolder({ "config.json": JSON.stringify(config) });
    await expect(readModelShape(folder)).rejects.toThrow(/model.safetensors; received neither/);
  });
});

function errorOf(run: () => unknown): OptionError {
  try {
    run();
  } catch (error) {
    return error as OptionError;
  }
  throw new Error("nothing was thrown");
}
