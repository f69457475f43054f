// @ts-check
/**
 * Prefill and decode of a Llama of 1.1 B random weights (the sizes of TinyLlama) on the card: with weights, products
 * and cache in f16, in blocks of 4 bits, or all in f32.
 */
import { HalfArray, hostArrayFrom } from "../../../dist/base/index.js";
import { Generator } from "../../../dist/generate/index.js";
import { LlamaForCausalLM } from "../../../dist/models/index.js";
import { Linear, mapModules, mapParameters, Parameter, Projection, useBlocks } from "../../../dist/nn/index.js";
import { Device } from "../../../dist/runtime/index.js";
import { cast, matmul, randomKey, setDefaultDevice } from "../../../dist/tensor/index.js";
import { obstacleToF16 } from "./half.mjs";
import { args, cardMemory, isSmallest, median, provider, report } from "./part.mjs";

const kind = /** @type {"f16" | "4-bit" | "f32"} */ (args[0]);
const [PROMPT, TOKENS] = isSmallest ? [8, 4] : [512, 64];
const config = isSmallest
  ? { vocabSize: 64, hiddenSize: 32, intermediateSize: 64, numLayers: 1, numHeads: 2, numKeyHeads: 1 }
  : { vocabSize: 32000, hiddenSize: 2048, intermediateSize: 5632, numLayers: 22, numHeads: 32, numKeyHeads: 4 };

/** A layer without bias whose product is computed in f16, with a weight that is stored so. */
class HalfLinear extends Projection {
  /** @param {Linear} layer */
  constructor(layer) {
    super();
    this.weight = layer.weight;
  }
  get inFeatures() {
    return this.weight.shape[1];
  }
  get outFeatures() {
    return this.weight.shape[0];
  }
  matrix() {
    return this.weight.value;
  }
  /** @param {import("../../../dist/tensor/index.js").Tensor<"f32">} x */
  forward(x) {
    // the cast of the weight undoes the one that widens it: neither runs
    return cast(matmul(cast(x, "f16"), cast(this.weight.value, "f16"), { transposeB: true }), "f32");
  }
}

const before = await cardMemory();
const obstacle = kind === "f16" ? await obstacleToF16() : undefined;
if (obstacle && !isSmallest) {
  report({ kind, failure: obstacle, isComplete: true });
  process.exit();
}
// on the CPU the part itself is still seen to work
const device = new Device({ type: obstacle ? "cpu" : provider });
setDefaultDevice(device);
const model = new LlamaForCausalLM({ ...config, maxPositionEmbeddings: 2048 }, randomKey(0));
// the same noise for all matrices: drawing 1.1 B random numbers takes longer than what is measured
const matrices = [...model.namedState().values()].filter(({ shape }) => shape.length === 2);
const sizes = matrices.map(({ shape }) => shape[0] * shape[1]);
let noise = new Float32Array(kind === "4-bit" ? 0 : Math.max(...sizes));
for (let i = 0; i < Math.min(2 ** 16, noise.length); i++) noise[i] = 0.03 * Math.sin(i * i);
for (let filled = 2 ** 16; filled < noise.length; filled *= 2) noise.copyWithin(filled, 0, filled);
if (kind === "f32") for (const [i, matrix] of matrices.entries()) matrix.set(noise.slice(0, sizes[i]));
if (kind === "f16") {
  const bits = /** @type {Uint16Array} */ (hostArrayFrom("f16", noise));
  noise = new Float32Array();
  /** @param {readonly number[]} shape @returns {Parameter<"f32">} */
  const halfOf = (shape) =>
    new Parameter(shape, new HalfArray("f16", bits.slice(0, shape[0] * shape[1])), { dtype: "f32", stored: "f16" });
  mapParameters(model, (_, { shape }) => (shape.length === 2 ? halfOf(shape) : undefined));
  mapModules(model, (_, layer) => (layer instanceof Linear ? new HalfLinear(layer) : undefined));
}
if (kind === "4-bit") {
  const kindOfBlocks = /** @type {const} */ ({ bits: 4, blockSize: 32, zero: 8, hasMinimums: false });
  useBlocks(model, () => ({
    kind: kindOfBlocks,
    pack: ({ packed, scales }) => {
      packed.fill(0x79); // nibbles 9 and 7: plus and minus one scale
      scales.fill(0.02);
    },
  }));
}
const generator = new Generator(model, {
  contextLength: 2048,
  initialRoom: 1024,
  cacheDtype: kind === "f16" ? "f16" : "f32",
});
const prompt = (/** @type {number} */ shift) =>
  Array.from({ length: PROMPT }, (_, i) => (i * 31 + shift) % config.vocabSize);

/** @param {number[]} ids @param {number} maxNewTokens */
async function timesOf(ids, maxNewTokens) {
  const times = [];
  let last = performance.now();
  for await (const _ of generator.generate(ids, { temperature: 0, maxNewTokens, stopTokens: [] })) {
    times.push(performance.now() - last);
    last = performance.now();
  }
  return times;
}

const started = performance.now();
await timesOf(prompt(1), 4); // makes the weights, compiles
const firstMs = performance.now() - started;
const [prefillMs, ...tokens] = await timesOf(prompt(2), TOKENS);
const after = await cardMemory();
report({
  kind,
  ...(obstacle ? { failure: `${obstacle}; the numbers are the CPU's` } : {}),
  firstMs,
  prefillTokensPerSecond: (PROMPT / prefillMs) * 1000,
  decodeTokensPerSecond: 1000 / median(tokens),
  cardMiB: before !== undefined && after !== undefined ? after - before : undefined,
  residentMiB: Math.round(process.memoryUsage().rss / 2 ** 20),
  isComplete: true,
});
generator.dispose();
await device.close();
