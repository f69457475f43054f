// @ts-check
/**
 * The two transformers of the workloads in TensorFlow.js: GPT-2 (causal, head tied to the embedding) and BERT (to its
 * last hidden state).
 */
import * as tf from "@tensorflow/tfjs";
import { normals } from "./serve.mjs";

/**
 * @param {{ vocab: number, context: number, width: number, heads: number, layers: number, causal: boolean }} options
 */
export function transformer({ vocab, context, width, heads, layers, causal }) {
  /** @type {tf.Variable[]} */
  const variables = [];
  /** @param {tf.Tensor} initial */
  const variable = (initial) => {
    variables.push(tf.variable(initial));
    return variables[variables.length - 1];
  };
  /** @param {number} rows @param {number} columns */
  const matrix = (rows, columns) => variable(tf.tensor(normals(rows * columns, 0.02), [rows, columns]));
  /** @param {number} inputs @param {number} outputs */
  const linear = (inputs, outputs) => {
    const [weight, bias] = [matrix(inputs, outputs), variable(tf.zeros([outputs]))];
    return (/** @type {tf.Tensor} */ x) =>
      x
        .reshape([-1, inputs])
        .matMul(weight)
        .add(bias)
        .reshape([...x.shape.slice(0, -1), outputs]);
  };
  const layerNorm = () => {
    const [scale, shift] = [variable(tf.ones([width])), variable(tf.zeros([width]))];
    return (/** @type {tf.Tensor} */ x) => {
      const centered = x.sub(x.mean(-1, true));
      return centered
        .mul(tf.rsqrt(centered.square().mean(-1, true).add(1e-5)))
        .mul(scale)
        .add(shift);
    };
  };
  /** @param {tf.Tensor} x */
  const gelu = (x) => {
    if (!causal) return x.mul(0.5).mul(tf.erf(x.mul(Math.SQRT1_2)).add(1));
    return x.mul(0.5).mul(tf.tanh(x.add(x.mul(x).mul(x).mul(0.044715)).mul(Math.sqrt(2 / Math.PI))).add(1));
  };
  const mask = causal
    ? tf.linalg
        .bandPart(tf.ones([context, context]), -1, 0)
        .sub(1)
        .mul(1e9)
    : undefined;
  const attention = () => {
    const [toQkv, project] = [linear(width, 3 * width), linear(width, width)];
    return (/** @type {tf.Tensor} */ x) => {
      const [batch, length] = x.shape;
      const [q, k, v] = toQkv(x)
        .split(3, -1)
        .map((t) => t.reshape([batch, length, heads, width / heads]).transpose([0, 2, 1, 3]));
      const scores = q.matMul(k, false, true).mul(1 / Math.sqrt(width / heads));
      const y = tf.softmax(mask ? scores.add(mask.slice([0, 0], [length, length])) : scores).matMul(v);
      return project(y.transpose([0, 2, 1, 3]).reshape([batch, length, width]));
    };
  };
  const blocks = () =>
    Array.from({ length: layers }, () => ({
      norm1: layerNorm(),
      attend: attention(),
      norm2: layerNorm(),
      widen: linear(width, 4 * width),
      narrow: linear(4 * width, width),
    }));

  const [words, positions, types] = [
    matrix(vocab, width),
    matrix(context, width),
    causal ? undefined : matrix(2, width),
  ];
  const [stack, norm] = [blocks(), layerNorm()];
  /** @param {tf.Tensor} ids */
  const embed = (ids) => {
    const x = tf.gather(words, ids).add(positions.slice([0, 0], [ids.shape[1] ?? 0, width]));
    return types ? x.add(types.slice([0, 0], [1, width])) : x;
  };
  /** @param {tf.Tensor} ids */
  const gpt = (ids) => {
    let x = embed(ids);
    for (const { norm1, attend, norm2, widen, narrow } of stack) {
      x = x.add(attend(norm1(x)));
      x = x.add(narrow(gelu(widen(norm2(x)))));
    }
    return norm(x).reshape([-1, width]).matMul(words, false, true);
  };
  /** @param {tf.Tensor} ids */
  const bert = (ids) => {
    let x = norm(embed(ids));
    for (const { norm1, attend, norm2, widen, narrow } of stack) {
      x = norm1(x.add(attend(x)));
      x = norm2(x.add(narrow(gelu(widen(x)))));
    }
    return x;
  };
  return { variables, forward: causal ? gpt : bert };
}
