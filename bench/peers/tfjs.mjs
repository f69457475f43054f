// @ts-check
/**
 * TensorFlow.js as a peer, on its cpu or wasm backend: one thread either way (its wasm backend does not thread under
 * Node).
 *   node tfjs.mjs --workload mlp|resnet18|lstm|bert|gpt-S --backend cpu|wasm
 */
import { createRequire } from "node:module";
import { dirname } from "node:path";
import * as tf from "@tensorflow/tfjs";
import * as wasm from "@tensorflow/tfjs-backend-wasm";
import { gptSizes } from "../gpt-sizes.mjs";
import { integers, normals, peerArguments, serve, uniforms } from "./serve.mjs";
import { transformer } from "./tfjs-transformer.mjs";

const require = createRequire(import.meta.url);
const { workload, batch: asked, backend = "cpu" } = peerArguments();
tf.enableProdMode();
wasm.setWasmPaths(`${dirname(require.resolve("@tensorflow/tfjs-backend-wasm"))}/`);
if (!(await tf.setBackend(backend))) throw new Error(`no backend ${backend}`);

/** @param {tf.Tensor} logits @param {tf.Tensor} targets */
const crossEntropy = (logits, targets) => {
  const classes = /** @type {number} */ (logits.shape.at(-1));
  return tf.losses.softmaxCrossEntropy(tf.oneHot(targets.flatten(), classes), logits.reshape([-1, classes])).asScalar();
};

function mlp() {
  const { dense } = tf.layers;
  const layers = [
    dense({ units: 512, activation: "relu", inputShape: [784] }),
    dense({ units: 256, activation: "relu" }),
    dense({ units: 10 }),
  ];
  return tf.sequential({ layers });
}

/** "same" pads a stride-2 layer on other sides than PyTorch, to the same size. @param {number} classes */
function resnet18(classes) {
  /** @param {tf.SymbolicTensor} x @param {number} filters @param {number} kernelSize @param {number} strides */
  const convNorm = (x, filters, kernelSize, strides) => {
    const conv = tf.layers.conv2d({
      filters,
      kernelSize,
      strides,
      padding: "same",
      useBias: false,
      kernelInitializer: "heNormal",
    });
    return tf.layers.batchNormalization({ momentum: 0.9, epsilon: 1e-5 }).apply(conv.apply(x));
  };
  const relu = (/** @type {any} */ x) => tf.layers.reLU().apply(x);
  const image = tf.input({ shape: [64, 64, 3] });
  let x = tf.layers.maxPooling2d({ poolSize: 3, strides: 2, padding: "same" }).apply(relu(convNorm(image, 64, 7, 2)));
  for (const [i, filters] of [64, 64, 128, 128, 256, 256, 512, 512].entries()) {
    const strides = i > 0 && i % 2 === 0 ? 2 : 1;
    const y = convNorm(relu(convNorm(x, filters, 3, strides)), filters, 3, 1);
    x = relu(tf.layers.add().apply([y, strides === 1 ? x : convNorm(x, filters, 1, strides)]));
  }
  const outputs = tf.layers.dense({ units: classes }).apply(tf.layers.globalAveragePooling2d({}).apply(x));
  return tf.model({ inputs: image, outputs: /** @type {tf.SymbolicTensor} */ (outputs) });
}

/** One bias for each gate, where PyTorch has two. */
function lstm() {
  const layer = () =>
    tf.layers.lstm({
      units: 256,
      returnSequences: true,
      recurrentActivation: "sigmoid",
      recurrentInitializer: "glorotNormal",
    });
  const embedding = tf.layers.embedding({ inputDim: 10000, outputDim: 256, inputLength: 64 });
  return tf.sequential({ layers: [embedding, layer(), layer(), tf.layers.dense({ units: 10000 })] });
}

/** A model of tf.layers as what a workload needs. @param {tf.LayersModel} model */
const fromLayers = (model) => ({
  variables: model.trainableWeights.map((weight) => /** @type {tf.Variable} */ (weight.read())),
  forward: (/** @type {tf.Tensor} */ inputs) => /** @type {tf.Tensor} */ (model.apply(inputs, { training: true })),
});

/** @param {number} vocab @param {number} context */
const tokens = (vocab, context) => (/** @type {number} */ batch) => {
  const ids = () => tf.tensor(integers(batch * context, vocab), [batch, context], "int32");
  return [ids(), ids()];
};

/** @param {(typeof gptSizes)["gpt-S"]} size */
const gpt = ({ batch, ...shape }) => ({
  batch,
  model: () => transformer({ ...shape, causal: true }),
  data: tokens(shape.vocab, shape.context),
  optimizer: () => tf.train.adam(1e-3, 0.9, 0.95), // no decoupled weight decay in TensorFlow.js
  clip: 1,
});

/** @typedef {{ variables: tf.Variable[], forward: (inputs: tf.Tensor) => tf.Tensor }} Model */

/** @type {Record<string, { batch: number, model: () => Model, data: (batch: number) => tf.Tensor[],
 *   optimizer?: () => tf.Optimizer, clip?: number }>} */
const workloads = {
  mlp: {
    batch: 128,
    model: () => fromLayers(mlp()),
    data: (batch) => [tf.tensor(uniforms(batch * 784), [batch, 784]), tf.tensor(integers(batch, 10), [batch], "int32")],
    optimizer: () => tf.train.adam(1e-3),
  },
  resnet18: {
    batch: 32,
    model: () => fromLayers(resnet18(200)),
    data: (batch) => [
      tf.tensor(normals(batch * 64 * 64 * 3), [batch, 64, 64, 3]),
      tf.tensor(integers(batch, 200), [batch], "int32"),
    ],
    optimizer: () => tf.train.momentum(0.1, 0.9),
  },
  lstm: {
    batch: 32,
    model: () => fromLayers(lstm()),
    data: tokens(10000, 64),
    optimizer: () => tf.train.adam(1e-3),
    clip: 1,
  },
  bert: {
    batch: 8,
    model: () => transformer({ vocab: 30522, context: 512, width: 768, heads: 12, layers: 12, causal: false }),
    data: tokens(30522, 128),
  },
  ...Object.fromEntries(Object.entries(gptSizes).map(([name, size]) => [name, gpt(size)])),
};

const { batch: defaultBatch, model, data, optimizer: makeOptimizer, clip } = workloads[workload];
const batch = asked ?? defaultBatch;
const { variables, forward } = model();
const optimizer = makeOptimizer?.();

/** @param {tf.NamedTensorMap} gradients @param {number} norm */
function clipped(gradients, norm) {
  const total = tf.sqrt(tf.addN(Object.values(gradients).map((gradient) => gradient.square().sum())));
  const scale = tf.minimum(1, tf.div(norm, total.add(1e-6)));
  return Object.fromEntries(Object.entries(gradients).map(([name, gradient]) => [name, gradient.mul(scale)]));
}

const parameters = variables.reduce((sum, variable) => sum + variable.size, 0);
await serve(
  { parameters, batch, version: `tfjs ${tf.version.tfjs}`, backend, threads: 1 },
  () => data(batch),
  (inputs) => {
    tf.tidy(() => {
      if (!optimizer) return forward(inputs[0]).dataSync();
      const { value, grads } = tf.variableGrads(() => crossEntropy(forward(inputs[0]), inputs[1]), variables);
      optimizer.applyGradients(clip ? clipped(grads, clip) : grads);
      return value.dataSync();
    });
    tf.dispose(inputs);
  },
);
