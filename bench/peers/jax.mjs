// @ts-check
/**
 * jax-js as a peer: its wasm backend, the step under jit, as its documentation advises. A value is freed by its last use; `.ref` announces
 * one more.
 *   node jax.mjs --workload mlp|gpt-S|gpt-M|gpt-L
 */
import { readFileSync } from "node:fs";
import { defaultDevice, init, jit, nn, numpy as np, valueAndGrad } from "@jax-js/jax";
import { gptSizes } from "../gpt-sizes.mjs";
import { integers, normals, peerArguments, serve, uniforms } from "./serve.mjs";

/** @typedef {any} Value a jax-js array, or what stands for it while tracing */

const { workload, batch: asked } = peerArguments();
await init("wasm");
defaultDevice("wasm");

/** @param {ArrayLike<number>} numbers @param {number[]} shape @returns {Value} */
const array = (numbers, shape) => np.array(/** @type {any} */ (numbers)).reshape(shape);
/** @type {Value[]} */
const parameters = [];
/** Remembers a parameter and gives its number. @param {number[]} shape @param {number} deviation @param {number} [value] */
const parameter = (shape, deviation, value = 0) => {
  const size = shape.reduce((a, b) => a * b, 1);
  parameters.push(array(deviation > 0 ? normals(size, deviation) : new Float32Array(size).fill(value), shape));
  return parameters.length - 1;
};
/** @param {number} inputs @param {number} outputs @param {number} deviation */
const dense = (inputs, outputs, deviation) => ({ w: parameter([inputs, outputs], deviation), b: parameter([outputs], 0) });
/** @param {Value[]} p @param {Value} x @param {{ w: number, b: number }} layer @returns {Value} */
const apply = (p, x, { w, b }) => np.dot(x, p[w].ref).add(p[b].ref);

/** @param {Value} logits [N, C] @param {Value} targets [N] @param {number} classes @returns {Value} */
const crossEntropy = (logits, targets, classes) => nn.logSoftmax(logits).mul(nn.oneHot(targets, classes)).sum(-1).mean().neg();

function mlp() {
  const layers = [784, 512, 256].map((inputs, i) => dense(inputs, [512, 256, 10][i], 1 / Math.sqrt(inputs)));
  return {
    batch: 128,
    loss: (/** @type {Value[]} */ p, /** @type {Value} */ x, /** @type {Value} */ y) =>
      crossEntropy(apply(p, nn.relu(apply(p, nn.relu(apply(p, x, layers[0])), layers[1])), layers[2]), y, 10),
    data: (/** @type {number} */ batch) => [array(uniforms(batch * 784), [batch, 784]), array(integers(batch, 10), [batch])],
    beta2: 0.999,
    clip: 0,
  };
}

/** @param {(typeof gptSizes)["gpt-S"]} size */
function gpt({ vocab, width, heads, layers, batch, context }) {
  const norm = () => ({ w: parameter([width], 0, 1), b: parameter([width], 0) });
  const [words, positions] = [parameter([vocab, width], 0.02), parameter([context, width], 0.02)];
  const blocks = Array.from({ length: layers }, () => ({
    norm1: norm(),
    qkv: dense(width, 3 * width, 0.02),
    project: dense(width, width, 0.02),
    norm2: norm(),
    up: dense(width, 4 * width, 0.02),
    down: dense(4 * width, width, 0.02),
  }));
  const last = norm();
  /** @param {Value[]} p @param {Value} x @param {{ w: number, b: number }} norm @returns {Value} */
  const normalize = (p, x, { w, b }) => nn.standardize(x, -1).mul(p[w].ref).add(p[b].ref);
  /** @param {Value[]} p @param {Value} x @param {(typeof blocks)[0]} block @param {number} rows */
  const attend = (p, x, { qkv, project }, rows) => {
    const all = apply(p, x, qkv)
      .reshape([rows, context, 3, heads, width / heads])
      .transpose([2, 0, 3, 1, 4]);
    const [q, k, v] = [0, 1, 2].map((i) => all.ref.slice(i));
    all.dispose();
    const scores = np.matmul(q, k.transpose([0, 1, 3, 2])).mul(1 / Math.sqrt(width / heads));
    const hidden = np
      .tril(np.ones([context, context]))
      .sub(1)
      .mul(1e9);
    const y = np.matmul(nn.softmax(scores.add(hidden)), v);
    return apply(p, y.transpose([0, 2, 1, 3]).reshape([rows, context, width]), project);
  };
  const ids = (/** @type {number} */ rows) => array(integers(rows * context, vocab), [rows, context]);
  return {
    batch,
    loss: (/** @type {Value[]} */ p, /** @type {Value} */ inputs, /** @type {Value} */ targets) => {
      const rows = inputs.shape[0];
      let x = np.take(p[words].ref, inputs, 0).add(p[positions].ref);
      for (const block of blocks) {
        x = x.ref.add(attend(p, normalize(p, x, block.norm1), block, rows));
        const y = nn.gelu(apply(p, normalize(p, x.ref, block.norm2), block.up), { approximate: true });
        x = x.add(apply(p, y, block.down));
      }
      const flat = normalize(p, x, last).reshape([rows * context, width]);
      return crossEntropy(np.matmul(flat, p[words].ref.transpose()), targets.reshape([rows * context]), vocab);
    },
    data: (/** @type {number} */ rows) => [ids(rows), ids(rows)],
    beta2: 0.95,
    clip: 1,
  };
}

/** @type {Record<string, () => ReturnType<typeof mlp> | ReturnType<typeof gpt>>} */
const workloads = {
  mlp,
  ...Object.fromEntries(Object.entries(gptSizes).map(([name, size]) => [name, () => gpt(size)])),
};
if (!(workload in workloads)) throw new Error(`jax-js is measured on ${Object.keys(workloads).join(", ")}, not on ${workload}`);
const { batch: own, loss, data, beta2, clip } = workloads[workload]();
const batch = asked ?? own;
const count = parameters.reduce((total, p) => total + p.size, 0);

/** One step of Adam; `rate` is the learning rate with both bias corrections. */
const step = jit(
  (/** @type {Value[]} */ p, /** @type {Value[]} */ m, /** @type {Value[]} */ v, /** @type {Value} */ x, /** @type {Value} */ y, /** @type {Value} */ rate) => {
    /** @type {[Value, Value[]]} */
    const [value, found] = /** @type {any} */ (
      valueAndGrad((/** @type {Value[]} */ given) => {
        const result = loss(given, x, y);
        for (const each of given) each.dispose();
        return result;
      })(p.map((each) => each.ref))
    );
    let gradients = found;
    if (clip > 0) {
      const norm = np.sqrt(gradients.map((g) => np.square(g.ref).sum()).reduce((a, b) => a.add(b)));
      const scale = np.minimum(1, np.divide(clip, norm.add(1e-6)));
      gradients = gradients.map((g) => g.mul(scale.ref));
      scale.dispose();
    }
    const means = m.map((old, i) => old.mul(0.9).add(gradients[i].ref.mul(0.1)));
    const squares = v.map((old, i) => old.mul(beta2).add(np.square(gradients[i]).mul(1 - beta2)));
    const next = p.map((old, i) => old.sub(rate.ref.mul(means[i].ref).div(np.sqrt(squares[i].ref).add(1e-8))));
    rate.dispose();
    return [value, next, means, squares];
  },
);

/** @type {[Value[], Value[], Value[]]} */
let state = [parameters, parameters.map((p) => np.zeros(p.shape)), parameters.map((p) => np.zeros(p.shape))];
let steps = 0;
const { version } = JSON.parse(readFileSync(new URL("node_modules/@jax-js/jax/package.json", import.meta.url), "utf8"));
await serve(
  { parameters: count, batch, version: `jax-js ${version}`, backend: "wasm" },
  () => data(batch),
  async ([x, y]) => {
    steps++;
    const rate = (1e-3 * Math.sqrt(1 - beta2 ** steps)) / (1 - 0.9 ** steps);
    const [value, ...next] = /** @type {any} */ (step)(...state, x, y, np.array(rate));
    state = next;
    return value.data();
  },
);
