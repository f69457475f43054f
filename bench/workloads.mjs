// @ts-check
/** Kindling's side of the workloads in torch/workloads.py: the same shapes, sizes and optimizers. */
import { GPT2LMHeadModel } from "../dist/models/index.js";
import { AdamW, clipFactor, globalNorm } from "../dist/optim/index.js";
import {
  add,
  autocast,
  batchNorm,
  compile,
  conv,
  crossEntropy,
  gather,
  gelu,
  grad,
  layerNorm,
  linear,
  maxPool,
  mean,
  mul,
  normal,
  randomKey,
  relu,
  reshape,
  scaledDotProductAttention,
  scan,
  sigmoid,
  split,
  sub,
  tanh,
  tensor,
  transpose,
  Variable,
  zeros,
} from "../dist/tensor/index.js";
import { compileTrainStep, languageModel } from "../dist/train/index.js";
import { gptSizes } from "./gpt-sizes.mjs";

let seed = 0;
/** @param {number[]} shape @param {number} scale @returns {any} */
const weight = (shape, scale) =>
  new Variable({ dtype: "f32", shape }, normal(randomKey(seed++), shape, { standardDeviation: scale }));
/** @param {number[]} shape @param {number} value @returns {any} */
const constant = (shape, value) =>
  new Variable({ dtype: "f32", shape }, new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value));
/** @param {number} inputs @param {number} outputs */
const dense = (inputs, outputs) => ({ w: weight([outputs, inputs], 1 / Math.sqrt(inputs)), b: constant([outputs], 0) });
/** @param {any} x @param {{ w: any, b: any }} layer @returns {any} */
const apply = (x, { w, b }) => linear(x, w.value, b.value, { transposeB: true });

/** All variables inside nested arrays and objects. @param {any} holder @returns {any[]} */
const variablesOf = (holder) =>
  holder instanceof Variable
    ? [holder]
    : holder && typeof holder === "object"
      ? Object.values(holder).flatMap(variablesOf)
      : [];

/** @param {number} count @param {number} below */
const integers = (count, below) => Int32Array.from({ length: count }, () => Math.floor(Math.random() * below));
/** @param {number} count */
const floats = (count) => Float32Array.from({ length: count }, () => Math.random() * 2 - 1);

/**
 * @typedef {object} WorkloadOptions
 * @property {"f32" | "f16"} [precision] dtype of products
 * @property {boolean} [profile] measure each kernel
 * @property {boolean} [isSmallest] every operation at sizes that take no time, to see that it works
 */
/** @typedef {Omit<WorkloadOptions, "isSmallest">} GptOptions */

/** The loss with its products in another dtype. @param {any} x @param {WorkloadOptions} [options] */
const inPrecision = (x, { precision = "f32" } = {}) => (precision === "f32" ? x : autocast(x, precision));

/**
 * A compiled step of Adam, with the gradient clipped to `clip` if given. @param {any[]} parameters @param {(x: any, y:
 * any) => any} loss @param {number} [clip] @param {WorkloadOptions} [options]
 */
function adamStep(parameters, loss, clip, options) {
  const optimizer = new AdamW(new Map(parameters.map((p, i) => [String(i), p])), { weightDecay: 0 });
  const step = (/** @type {any} */ x, /** @type {any} */ y) => {
    const value = inPrecision(loss(x, y), options);
    const gradients = /** @type {any} */ (grad(value, parameters));
    const scale = clip ? clipFactor(globalNorm(gradients), clip) : undefined;
    optimizer.update(gradients, { learningRate: tensor(1e-3), scale });
    return value;
  };
  return compile(step, { profile: options?.profile });
}

/** @param {WorkloadOptions} [options] */
function mlp(options) {
  const layers = [dense(784, 512), dense(512, 256), dense(256, 10)];
  const loss = (/** @type {any} */ x, /** @type {any} */ y) =>
    crossEntropy(apply(relu(apply(relu(apply(x, layers[0])), layers[1])), layers[2]), y);
  const step = adamStep(variablesOf(layers), loss, undefined, options);
  return {
    parameters: variablesOf(layers),
    data: () => [tensor(floats(128 * 784), { shape: [128, 784] }), tensor(integers(128, 10), { shape: [128] })],
    step,
    profile: () => step.profile(),
  };
}

/** @param {WorkloadOptions} [options] */
function lstm(options) {
  const [vocab, width, batch, time] = options?.isSmallest ? [50, 16, 4, 6] : [10000, 256, 32, 64];
  const embedding = weight([vocab, width], 1);
  const cells = [0, 1].map(() => ({
    ...dense(width, 4 * width),
    u: weight([4 * width, width], 1 / 16),
    c: constant([4 * width], 0),
  }));
  const head = dense(width, vocab);
  const all = [embedding, cells, head];
  const run = (/** @type {any} */ x, /** @type {any} */ cell) => {
    const projected = apply(x, cell); // the inputs' part of all steps at once
    const init = [zeros([batch, width]), zeros([batch, width])];
    const { ys } = scan(
      ([h, c], /** @type {import("../dist/tensor/index.js").Tensor<"f32">} */ input) => {
        const [i, f, g, o] = split(add(input, linear(h, cell.u.value, cell.c.value, { transposeB: true })), 4, -1);
        const next = add(mul(sigmoid(f), c), mul(sigmoid(i), tanh(g)));
        const y = mul(sigmoid(o), tanh(next));
        return { carry: [y, next], y };
      },
      { init, xs: projected },
    );
    return ys;
  };
  const loss = (/** @type {any} */ ids, /** @type {any} */ targets) => {
    /** @type {any} */
    let x = gather(embedding.value, transpose(ids)); // [T, B, D]
    for (const cell of cells) x = run(x, cell);
    /** @type {any} */
    const logits = reshape(apply(x, head), [time * batch, vocab]);
    return crossEntropy(logits, reshape(transpose(targets), [-1]));
  };
  const step = adamStep(variablesOf(all), loss, 1, options);
  const ids = () => tensor(integers(batch * time, vocab), { shape: [batch, time] });
  return { parameters: variablesOf(all), data: () => [ids(), ids()], step, profile: () => step.profile() };
}

/** @param {WorkloadOptions} [options] */
function resnet18(options) {
  const kaiming = (/** @type {number} */ o, /** @type {number} */ i, /** @type {number} */ k) =>
    weight([o, i, k, k], Math.sqrt(2 / (o * k * k)));
  const norm = (/** @type {number} */ c) => ({
    w: constant([c], 1),
    b: constant([c], 0),
    stats: { mean: constant([c], 0), variance: constant([c], 1) },
  });
  const block = (/** @type {number} */ i, /** @type {number} */ o, /** @type {number} */ stride) => ({
    stride,
    c1: kaiming(o, i, 3),
    n1: norm(o),
    c2: kaiming(o, o, 3),
    n2: norm(o),
    ...(stride !== 1 || i !== o ? { c3: kaiming(o, i, 1), n3: norm(o) } : {}),
  });
  const [images, pixels, widths] = options?.isSmallest ? [2, 16, [8, 16]] : [32, 64, [64, 128, 256, 512]];
  const [first, last] = [widths[0], widths[widths.length - 1]];
  const blocks = widths.flatMap((o, i) => [block(i === 0 ? first : widths[i - 1], o, i === 0 ? 1 : 2), block(o, o, 1)]);
  const stem = { c: kaiming(first, 3, 7), n: norm(first) };
  const head = dense(last, 200);
  const all = { stem, blocks, head };
  const statistics = new Set(
    variablesOf([stem.n.stats, ...blocks.flatMap((b) => [b.n1.stats, b.n2.stats, b.n3?.stats])]),
  );
  const parameters = variablesOf(all).filter((v) => !statistics.has(v));
  const velocities = parameters.map((p) => constant(p.shape, 0));
  const normalize = (/** @type {any} */ x, /** @type {any} */ { w, b, stats }) => {
    const state = {
      weight: w.value,
      bias: b.value,
      runningMean: stats.mean.value,
      runningVariance: stats.variance.value,
    };
    const result = batchNorm(x, state, { training: true });
    stats.mean.assign(result.runningMean);
    stats.variance.assign(result.runningVariance);
    return result.y;
  };
  const train = (/** @type {any} */ images, /** @type {any} */ targets) => {
    let x = relu(normalize(conv(images, stem.c.value, undefined, { stride: 2, padding: 3 }), stem.n));
    x = maxPool(x, { kernelSize: 3, stride: 2, padding: 1 });
    for (const b of blocks) {
      const y = relu(normalize(conv(x, b.c1.value, undefined, { stride: b.stride, padding: 1 }), b.n1));
      const z = normalize(conv(y, b.c2.value, undefined, { padding: 1 }), b.n2);
      const skip = b.c3 ? normalize(conv(x, b.c3.value, undefined, { stride: b.stride }), b.n3) : x;
      x = relu(add(z, skip));
    }
    const loss = inPrecision(crossEntropy(apply(mean(x, { axes: [2, 3] }), head), targets), options);
    grad(loss, parameters).forEach((gradient, i) => {
      const velocity = add(mul(velocities[i].value, 0.9), gradient);
      velocities[i].assign(velocity);
      parameters[i].assign(sub(parameters[i].value, mul(velocity, 0.1)));
    });
    return loss;
  };
  const step = compile(train, { profile: options?.profile });
  return {
    parameters,
    data: () => [
      tensor(floats(images * 3 * pixels * pixels), { shape: [images, 3, pixels, pixels] }),
      tensor(integers(images, 200), { shape: [images] }),
    ],
    step,
    profile: () => step.profile(),
  };
}

/** @param {WorkloadOptions} [options] */
function bert(options) {
  const [batch, time, width, heads, hidden, vocab, depth] = options?.isSmallest
    ? [1, 8, 16, 2, 32, 50, 1]
    : [8, 128, 768, 12, 3072, 30522, 12];
  const norm = () => ({ w: constant([width], 1), b: constant([width], 0) });
  const table = (/** @type {number} */ rows) => weight([rows, width], 0.02);
  const embeddings = { word: table(vocab), position: table(512), type: table(2), norm: norm() };
  const layers = Array.from({ length: depth }, () => ({
    q: dense(width, width),
    k: dense(width, width),
    v: dense(width, width),
    o: dense(width, width),
    n1: norm(),
    up: dense(width, hidden),
    down: dense(hidden, width),
    n2: norm(),
  }));
  /** @param {any} x @returns {any} */
  const heads4 = (x) => transpose(reshape(x, [batch, time, heads, width / heads]), [0, 2, 1, 3]);
  /** @param {any} x @param {any} norm @returns {any} */
  const normalize = (x, { w, b }) => layerNorm(x, w.value, b.value, 1e-12);
  const positions = tensor(Int32Array.from({ length: time }, (_, i) => i));
  const run = (/** @type {any} */ ids) => {
    /** @type {any} */
    const sum = add(
      add(gather(embeddings.word.value, ids), gather(embeddings.position.value, positions)),
      gather(embeddings.type.value, tensor(0, { dtype: "i32" })),
    );
    let x = normalize(sum, embeddings.norm);
    for (const l of layers) {
      const y = scaledDotProductAttention(heads4(apply(x, l.q)), heads4(apply(x, l.k)), heads4(apply(x, l.v)));
      x = normalize(add(x, apply(reshape(transpose(y, [0, 2, 1, 3]), [batch, time, width]), l.o)), l.n1);
      x = normalize(add(x, apply(gelu(apply(x, l.up)), l.down)), l.n2);
    }
    return inPrecision(x, options);
  };
  const forward = compile(run, { profile: options?.profile });
  return {
    parameters: variablesOf([embeddings, layers]),
    data: () => [tensor(integers(batch * time, vocab), { shape: [batch, time] })],
    step: forward.run,
    profile: () => forward.profile(),
  };
}

/** @param {(typeof gptSizes)["gpt-S"]} size @param {Partial<import("../dist/train/index.js").StepOptions>} [options] */
export function gpt({ vocab, width, heads, layers, batch, context }, options) {
  const none = { embeddingDropout: 0, attentionDropout: 0, residualDropout: 0 };
  const shape = {
    vocabSize: vocab,
    hiddenSize: width,
    numHeads: heads,
    numLayers: layers,
    maxPositionEmbeddings: context,
  };
  const model = new GPT2LMHeadModel({ ...shape, ...none }, randomKey(0));
  const optimizer = new AdamW(model.namedParameters(), { betas: [0.9, 0.95], weightDecay: 0.1 });
  const train = compileTrainStep(languageModel(model), optimizer, { clipNorm: 1, ...options });
  let count = 0;
  const ids = () => tensor(integers(batch * context, vocab), { shape: [batch, context] });
  const step = async (/** @type {any} */ inputIds, /** @type {any} */ shiftLabels) =>
    (await train({ inputIds, shiftLabels }, 1e-3, tensor(count++, { dtype: "i32" }))).loss;
  return {
    parameters: [...model.namedParameters().values()],
    data: () => [ids(), ids()],
    step,
    profile: () => train.profile(),
  };
}

export const workloads = {
  "gpt-S": (/** @type {GptOptions} */ options = {}) => gpt(gptSizes["gpt-S"], options),
  "gpt-M": (/** @type {GptOptions} */ options = {}) => gpt(gptSizes["gpt-M"], options),
  "gpt-L": (/** @type {GptOptions} */ options = {}) => gpt(gptSizes["gpt-L"], options),
  resnet18,
  lstm,
  bert,
  mlp,
};
