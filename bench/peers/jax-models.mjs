// @ts-check
/** The workloads' models in jax-js. A value is freed by its last use; `.ref` announces one more. */
import { lax, nn, numpy as np } from "@jax-js/jax";
import { gptSizes } from "../gpt-sizes.mjs";
import { integers, normals, uniforms } from "./serve.mjs";

/** @typedef {any} Value a jax-js array, or what stands for it while tracing */
/** @typedef {{ w: number, b: number }} Layer numbers of two parameters */

/**
 * `forward` takes the parameters and the data; of a model that is trained it gives the loss.
 * @typedef {object} Workload
 * @property {number} batch
 * @property {(p: Value[], ...data: Value[]) => Value} forward
 * @property {(batch: number) => Value[]} data
 * @property {{ kind: "adam", beta2: number, clip: number } | { kind: "momentum" } | undefined} optimizer none for
 *   inference
 */

/** @type {Value[]} */
export const parameters = [];

/** @param {ArrayLike<number>} numbers @param {number[]} shape @returns {Value} */
const array = (numbers, shape) => np.array(/** @type {any} */ (numbers)).reshape(shape);
/**
 * Remembers a parameter and gives its number. @param {number[]} shape @param {number} deviation @param {number} [value]
 */
const parameter = (shape, deviation, value = 0) => {
  const size = shape.reduce((a, b) => a * b, 1);
  parameters.push(array(deviation > 0 ? normals(size, deviation) : new Float32Array(size).fill(value), shape));
  return parameters.length - 1;
};
/** @param {number} inputs @param {number} outputs @param {number} deviation @returns {Layer} */
const dense = (inputs, outputs, deviation) => ({
  w: parameter([inputs, outputs], deviation),
  b: parameter([outputs], 0),
});
/** @param {number} width @returns {Layer} */
const norm = (width) => ({ w: parameter([width], 0, 1), b: parameter([width], 0) });
/** @param {Value[]} p @param {Value} x @param {Layer} layer @returns {Value} */
const apply = (p, x, { w, b }) => np.dot(x, p[w].ref).add(p[b].ref);
/** @param {Value[]} p @param {Value} x @param {Layer} layer @returns {Value} */
const normalize = (p, x, { w, b }) => nn.standardize(x, -1).mul(p[w].ref).add(p[b].ref);

/** @param {Value} logits [N, C] @param {Value} targets [N] @param {number} classes @returns {Value} */
const crossEntropy = (logits, targets, classes) =>
  nn.logSoftmax(logits).mul(nn.oneHot(targets, classes)).sum(-1).mean().neg();
/** @param {number} rows @param {number} length @param {number} vocab */
const ids = (rows, length, vocab) => array(integers(rows * length, vocab), [rows, length]);

/** @returns {Workload} */
function mlp() {
  const layers = [784, 512, 256].map((inputs, i) => dense(inputs, [512, 256, 10][i], 1 / Math.sqrt(inputs)));
  return {
    batch: 128,
    forward: (p, x, y) =>
      crossEntropy(apply(p, nn.relu(apply(p, nn.relu(apply(p, x, layers[0])), layers[1])), layers[2]), y, 10),
    data: (batch) => [array(uniforms(batch * 784), [batch, 784]), array(integers(batch, 10), [batch])],
    optimizer: { kind: "adam", beta2: 0.999, clip: 0 },
  };
}

/** @param {number} width @param {number} heads @param {boolean} isCausal */
function attention(width, heads, isCausal) {
  const [qkv, project] = [dense(width, 3 * width, 0.02), dense(width, width, 0.02)];
  return (/** @type {Value[]} */ p, /** @type {Value} */ x) => {
    const [rows, length] = x.shape;
    const all = apply(p, x, qkv)
      .reshape([rows, length, 3, heads, width / heads])
      .transpose([2, 0, 3, 1, 4]);
    const [q, k, v] = [0, 1, 2].map((i) => all.ref.slice(i));
    all.dispose();
    const scores = np.matmul(q, k.transpose([0, 1, 3, 2])).mul(1 / Math.sqrt(width / heads));
    const hidden = () =>
      np
        .tril(np.ones([length, length]))
        .sub(1)
        .mul(1e9);
    const y = np.matmul(nn.softmax(isCausal ? scores.add(hidden()) : scores), v);
    return apply(p, y.transpose([0, 2, 1, 3]).reshape([rows, length, width]), project);
  };
}

/** @param {(typeof gptSizes)["gpt-S"]} size @returns {Workload} */
function gpt({ vocab, width, heads, layers, batch, context }) {
  const [words, positions] = [parameter([vocab, width], 0.02), parameter([context, width], 0.02)];
  const blocks = Array.from({ length: layers }, () => ({
    norm1: norm(width),
    attend: attention(width, heads, true),
    norm2: norm(width),
    up: dense(width, 4 * width, 0.02),
    down: dense(4 * width, width, 0.02),
  }));
  const last = norm(width);
  return {
    batch,
    forward: (p, inputs, targets) => {
      const rows = inputs.shape[0];
      let x = np.take(p[words].ref, inputs, 0).add(p[positions].ref);
      for (const block of blocks) {
        x = x.ref.add(block.attend(p, normalize(p, x, block.norm1)));
        const y = nn.gelu(apply(p, normalize(p, x.ref, block.norm2), block.up), { approximate: true });
        x = x.add(apply(p, y, block.down));
      }
      const flat = normalize(p, x, last).reshape([rows * context, width]);
      return crossEntropy(np.matmul(flat, p[words].ref.transpose()), targets.reshape([rows * context]), vocab);
    },
    data: (rows) => [ids(rows, context, vocab), ids(rows, context, vocab)],
    optimizer: { kind: "adam", beta2: 0.95, clip: 1 },
  };
}

/** @returns {Workload} */
function bert() {
  const [time, width, heads, hidden, vocab] = [128, 768, 12, 3072, 30522];
  const [words, positions, types] = [vocab, 512, 2].map((rows) => parameter([rows, width], 0.02));
  const first = norm(width);
  const blocks = Array.from({ length: 12 }, () => ({
    attend: attention(width, heads, false),
    norm1: norm(width),
    up: dense(width, hidden, 0.02),
    down: dense(hidden, width, 0.02),
    norm2: norm(width),
  }));
  return {
    batch: 8,
    forward: (p, inputs) => {
      const positionOf = p[positions].ref.slice([0, time]);
      let x = normalize(p, np.take(p[words].ref, inputs, 0).add(positionOf).add(p[types].ref.slice(0)), first);
      for (const { attend, norm1, up, down, norm2 } of blocks) {
        x = normalize(p, x.ref.add(attend(p, x)), norm1);
        x = normalize(p, x.ref.add(apply(p, nn.gelu(apply(p, x, up), { approximate: false }), down)), norm2);
      }
      return x;
    },
    data: (rows) => [ids(rows, time, vocab)],
    optimizer: undefined,
  };
}

/** Unrolled over time: jax-js has no scan. One bias for each gate, where PyTorch has two. @returns {Workload} */
function lstm() {
  const [vocab, width, time] = [10000, 256, 64];
  // the shift is there because jax-js 0.1.25 cannot compile a lookup whose gradient is used only once
  const [embedding, shift] = [parameter([vocab, width], 1), parameter([width], 0)];
  const cells = [0, 1].map(() => ({ ...dense(width, 4 * width, 1 / 16), u: parameter([width, 4 * width], 1 / 16) }));
  const head = dense(width, vocab, 1 / 16);
  return {
    batch: 32,
    forward: (p, inputs, targets) => {
      const batch = inputs.shape[0];
      let x = np.take(p[embedding].ref, inputs, 0).add(p[shift].ref); // [B, T, D]
      for (const cell of cells) {
        const projected = np.split(apply(p, x, cell), time, 1); // [B, 1, 4 D] each
        /** @type {Value} */
        let h = np.zeros([batch, width]);
        /** @type {Value} */
        let c = np.zeros([batch, width]);
        const outputs = [];
        for (let t = 0; t < time; t++) {
          const gates = projected[t].reshape([batch, 4 * width]).add(np.dot(h, p[cell.u].ref));
          const [i, f, g, o] = np.split(gates, 4, -1);
          c = nn
            .sigmoid(f)
            .mul(c)
            .add(nn.sigmoid(i).mul(np.tanh(g)));
          h = nn.sigmoid(o).mul(np.tanh(c.ref));
          outputs.push(h.ref);
        }
        for (const value of [h, c]) value.dispose();
        x = np.stack(outputs, 1);
      }
      const logits = apply(p, x.reshape([batch * time, width]), head);
      return crossEntropy(logits, targets.reshape([batch * time]), vocab);
    },
    data: (batch) => [ids(batch, time, vocab), ids(batch, time, vocab)],
    optimizer: { kind: "adam", beta2: 0.999, clip: 1 },
  };
}

/** Without the running statistics of batch norm, which a step here need not write. @returns {Workload} */
function resnet18() {
  /** @param {number} i @param {number} o @param {number} size @param {number} stride */
  const convNorm = (i, o, size, stride) => {
    const kernel = parameter([o, i, size, size], Math.sqrt(2 / (o * size * size)));
    const [w, b] = [parameter([1, o, 1, 1], 0, 1), parameter([1, o, 1, 1], 0)];
    const edge = size >> 1;
    return (/** @type {Value[]} */ p, /** @type {Value} */ x) => {
      const y = lax.convGeneralDilated(
        x,
        p[kernel].ref,
        [stride, stride],
        [
          [edge, edge],
          [edge, edge],
        ],
      );
      return nn.standardize(y, [0, 2, 3]).mul(p[w].ref).add(p[b].ref);
    };
  };
  const stem = convNorm(3, 64, 7, 2);
  const blocks = [64, 64, 128, 128, 256, 256, 512, 512].map((o, n, widths) => {
    const [i, stride] = [n === 0 ? 64 : widths[n - 1], n > 0 && n % 2 === 0 ? 2 : 1];
    return {
      first: convNorm(i, o, 3, stride),
      second: convNorm(o, o, 3, 1),
      skip: stride === 1 ? undefined : convNorm(i, o, 1, stride),
    };
  });
  const head = dense(512, 200, 1 / Math.sqrt(512));
  return {
    batch: 32,
    forward: (p, images, targets) => {
      const batch = images.shape[0];
      const edges = [
        [0, 0],
        [0, 0],
        [1, 1],
        [1, 1],
      ];
      // with 0, which is below none of relu's
      const padded = np.pad(nn.relu(stem(p, images)), /** @type {any} */ (edges));
      let x = lax
        .reduceWindow(padded.reshape([batch * 64, 34, 34]), (window) => np.max(window), [3, 3], [2, 2])
        .reshape([batch, 64, 16, 16]);
      for (const { first, second, skip } of blocks) {
        const y = second(p, nn.relu(first(p, x.ref)));
        x = nn.relu(y.add(skip ? skip(p, x) : x));
      }
      return crossEntropy(apply(p, np.mean(x, [2, 3]), head), targets, 200);
    },
    data: (batch) => [array(normals(batch * 3 * 64 * 64), [batch, 3, 64, 64]), array(integers(batch, 200), [batch])],
    optimizer: { kind: "momentum" },
  };
}

/** @type {Record<string, () => Workload>} */
export const workloads = {
  mlp,
  lstm,
  resnet18,
  bert,
  ...Object.fromEntries(Object.entries(gptSizes).map(([name, size]) => [name, () => gpt(size)])),
};
