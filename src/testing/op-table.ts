/**
 * How the cases of each file in golden/ops/ are computed by Kindling. One row for each file; a missing row fails the
 * tests.
 */
import type { Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { ctcLoss, Tensor } from "../tensor/index.ts";
import type { ApplyOp } from "./golden-case.ts";
import type { TestOpOptions } from "./test-op.ts";

type Row =
  | ApplyOp
  | (Pick<TestOpOptions, "secondOrder" | "finiteDifferences" | "webgpuTolerance"> & { compute: ApplyOp });
const unary =
  (op: (x: Value) => Value): ApplyOp =>
  ([x]) =>
    op(x);
const binary =
  (op: (a: Value, b: Value) => Value): ApplyOp =>
  ([a, b]) =>
    op(a, b);
const withOptions =
  (op: (x: Value, options: never) => Value): ApplyOp =>
  ([x], options) =>
    op(x, options as never);
const infinite = (p: number | string) =>
  p === "inf" ? Number.POSITIVE_INFINITY : p === "-inf" ? Number.NEGATIVE_INFINITY : p;

/** Golden zero points are one to a byte; the op takes 4-bit ones in pairs, low one first. */
function packZeroPoints(zeroPoints: Value | undefined, bits: number): Value | undefined {
  if (!zeroPoints || bits === 8) return zeroPoints;
  const [rows, count] = zeroPoints.shape as number[];
  const even = ops.pad(ops.cast(zeroPoints, "i32"), [[0, count % 2]]);
  const pairs = ops.reshape(even, [rows, Math.ceil(count / 2), 2]);
  return ops.cast(ops.sum(ops.mul(pairs, ops.vector([1, 16], "i32")), { axes: 2 }), "u8");
}

const elementwise: Record<string, Row> = {
  ...Object.fromEntries(
    Object.entries({
      neg: ops.neg,
      abs: ops.abs,
      sign: ops.sign,
      exp: ops.exp,
      exp2: ops.exp2,
      expm1: ops.expm1,
      log: ops.log,
      log2: ops.log2,
      log1p: ops.log1p,
      sqrt: ops.sqrt,
      rsqrt: ops.rsqrt,
      reciprocal: ops.reciprocal,
      floor: ops.floor,
      ceil: ops.ceil,
      round: ops.round,
      trunc: ops.trunc,
      sin: ops.sin,
      cos: ops.cos,
      tan: ops.tan,
      asin: ops.asin,
      acos: ops.acos,
      atan: ops.atan,
      sinh: ops.sinh,
      cosh: ops.cosh,
      tanh: ops.tanh,
      asinh: ops.asinh,
      acosh: ops.acosh,
      atanh: ops.atanh,
      erf: ops.erf,
      sigmoid: ops.sigmoid,
      relu: ops.relu,
      relu6: ops.relu6,
      reluSquared: ops.reluSquared,
      silu: ops.silu,
      mish: ops.mish,
      hardswish: ops.hardswish,
      hardsigmoid: ops.hardsigmoid,
      selu: ops.selu,
      softsign: ops.softsign,
      logSigmoid: ops.logSigmoid,
      logicalNot: ops.logicalNot,
      bitwiseNot: ops.bitwiseNot,
      gelu: (x: Value) => ops.gelu(x),
      geluTanh: (x: Value) => ops.gelu(x, "tanh"),
    }).map(([name, op]) => [name, unary(op)]),
  ),
  ...Object.fromEntries(
    Object.entries({
      add: ops.add,
      sub: ops.sub,
      mul: ops.mul,
      div: ops.div,
      pow: ops.pow,
      maximum: ops.maximum,
      minimum: ops.minimum,
      atan2: ops.atan2,
      remainder: ops.remainder,
      floorDivide: ops.floorDivide,
      logAddExp: ops.logAddExp,
      equal: ops.equal,
      notEqual: ops.notEqual,
      less: ops.less,
      lessEqual: ops.lessEqual,
      greater: ops.greater,
      greaterEqual: ops.greaterEqual,
      logicalAnd: ops.logicalAnd,
      logicalOr: ops.logicalOr,
      logicalXor: ops.logicalXor,
      bitwiseAnd: ops.bitwiseAnd,
      bitwiseOr: ops.bitwiseOr,
      bitwiseXor: ops.bitwiseXor,
      shiftLeft: ops.shiftLeft,
      shiftRight: ops.shiftRight,
    }).map(([name, op]) => [name, binary(op)]),
  ),
  leakyRelu: ([x], { negativeSlope }) => ops.leakyRelu(x, negativeSlope),
  elu: ([x], { alpha }) => ops.elu(x, alpha),
  celu: ([x], { alpha }) => ops.celu(x, alpha),
  prelu: ([x, weight]) => ops.prelu(x, weight),
  softplus: withOptions(ops.softplus),
  softshrink: ([x], { lambda }) => ops.softshrink(x, lambda),
  hardtanh: ([x], { min, max }) => ops.hardtanh(x, min, max),
  clip: withOptions(ops.clip),
  where: ([condition, a, b]) => ops.where(condition, a, b),
};

const reductions: Record<string, Row> = {
  ...Object.fromEntries(
    Object.entries({
      sum: ops.sum,
      mean: ops.mean,
      max: ops.max,
      min: ops.min,
      variance: ops.variance,
      standardDeviation: ops.standardDeviation,
      logSumExp: ops.logSumExp,
      any: ops.any,
      all: ops.all,
      argmax: ops.argmax,
      argmin: ops.argmin,
      cumsum: ops.cumsum,
    }).map(([name, op]) => [name, withOptions(op)]),
  ),
  prod: { compute: ([x], options) => ops.prod(x, options), secondOrder: false }, // not followed at zeros
  norm: ([x], { p, ...options }) => ops.norm(x, { p: infinite(p) as number, ...options }),
  cumprod: ([x], { axis }) => ops.cumprod(x, axis),
  linearSumAssignment: { compute: ([cost, valid]) => ops.linearSumAssignment(cost, valid), secondOrder: false },
  sort: ([x], options) => Object.values(ops.sort(x, options)),
  topk: ([x], { k, ...options }) => Object.values(ops.topk(x, k, options)),
};

const movement: Record<string, Row> = {
  reshape: ([x], { shape }) => ops.reshape(x, shape),
  transpose: ([x], { permutation }) => ops.transpose(x, permutation),
  broadcastTo: ([x], { shape }) => ops.broadcastTo(x, shape),
  concat: (xs, { axis }) => ops.concat(xs, axis),
  stack: (xs, { axis }) => ops.stack(xs, axis),
  slice: ([x], options) => ops.slice(x, options),
  // Python's None stands for "beyond the first", which is -size - 1 here
  sliceNegative: ([x], { end, start, ...options }) =>
    ops.slice(x, { ...options, start: start ?? undefined, end: end ?? undefined }),
  split: ([x], { parts, axis }) => ops.split(x, parts, axis),
  splitSizes: ([x], { sizes, axis }) => ops.splitSizes(x, sizes, axis),
  squeeze: ([x], { axes }) => ops.squeeze(x, axes),
  unsqueeze: ([x], { axes }) => ops.unsqueeze(x, axes),
  moveAxis: ([x], { source, destination }) => ops.moveAxis(x, source, destination),
  flip: ([x], { axes }) => ops.flip(x, axes),
  roll: ([x], { shifts, axes }) => ops.roll(x, shifts, axes),
  pad: ([x], { padding, ...options }) => ops.pad(x, padding, options),
  tile: ([x], { repeats }) => ops.tile(x, repeats),
  repeatInterleave: ([x], { repeats, axis }) => ops.repeatInterleave(x, repeats, axis),
  tril: ([x], { diagonal }) => ops.tril(x, diagonal),
  triu: ([x], { diagonal }) => ops.triu(x, diagonal),
  diagonal: withOptions(ops.diagonal),
  maskedFill: ([x, mask], { value }) => ops.maskedFill(x, mask, value),
  oneHot: ([indices], { depth }) => ops.oneHot(indices, depth),
  gather: ([x, indices], { axis }) => ops.gather(x, indices, axis),
  takeAlong: ([x, indices], { axis }) => ops.takeAlong(x, indices, axis),
  scatter: ([base, indices, updates], { axis }) => ops.scatter(base, indices, updates, axis),
  scatterAdd: ([base, indices, updates], { axis }) => ops.scatterAddAlong(base, indices, updates, axis),
  indexAdd: ([base, indices, updates]) => ops.indexAdd(base, indices, updates),
  // no gradient for the padding row, on purpose
  embedding: {
    compute: ([weight, indices], options) => ops.embedding(weight, indices, options),
    finiteDifferences: false,
  },
};

const products: Record<string, Row> = {
  matmul: ([a, b], options) => ops.matmul(a, b, options),
  linear: ([x, weight, bias], options) => ops.linear(x, weight, bias, options),
  einsum: (operands, { equation }) => ops.einsum(equation, ...operands),
  fft: withOptions(ops.fft),
  ifft: withOptions(ops.ifft),
  rfft: withOptions(ops.rfft),
  irfft: withOptions(ops.irfft),
  conv: ([x, weight, bias], options) => ops.conv(x, weight, bias, options),
  convTranspose: ([x, weight, bias], options) => ops.convTranspose(x, weight, bias, options),
  maxPool: withOptions(ops.maxPool),
  averagePool: withOptions(ops.averagePool),
  adaptiveAveragePool: ([x], { outputSize }) => ops.adaptiveAveragePool(x, outputSize),
  adaptiveMaxPool: ([x], { outputSize }) => ops.adaptiveMaxPool(x, outputSize),
  globalAveragePool: unary(ops.globalAveragePool),
  globalMaxPool: unary(ops.globalMaxPool),
  interpolate: withOptions(ops.interpolate),
  pixelShuffle: ([x], { upscaleFactor }) => ops.pixelShuffle(x, upscaleFactor),
  pixelUnshuffle: ([x], { downscaleFactor }) => ops.pixelUnshuffle(x, downscaleFactor),
  unfold: withOptions(ops.unfold),
  fold: withOptions(ops.fold),
  gridSample: { compute: ([x, grid], options) => ops.gridSample(x, grid, options), secondOrder: false },
};

const gram = (x: Value) =>
  ops.add(
    ops.matmul(x, x, { transposeB: true }),
    ops.mul(ops.eye(x.shape[x.shape.length - 1] as number, undefined, x.dtype), x.shape[x.shape.length - 1] as number),
  );
/** a diag(b) c */
const sandwich = (a: Value, b: Value, c: Value) => ops.matmul(ops.mul(a, ops.unsqueeze(b, -2)), c);

const matrices: Record<string, Row> = {
  cholesky: ([x]) => ops.cholesky(gram(x)),
  solve: ([a, b]) => ops.solve(a, b),
  inverse: unary(ops.inverse),
  determinant: unary(ops.determinant),
  logDeterminant: unary(ops.logDeterminant),
  triangularSolve: ([a, b], options) => ops.triangularSolve(options.upper ? ops.triu(a) : ops.tril(a), b, options),
  qr: ([x]) => Object.values(ops.qr(x)),
  // in forms that do not depend on the signs of the vectors
  eigh: ([x]) => {
    const { values, vectors } = ops.eigh(ops.mul(ops.add(x, ops.swapAxes(x, -1, -2)), 0.5));
    return [values, sandwich(vectors, ops.square(values), ops.swapAxes(vectors, -1, -2))];
  },
  svd: ([x]) => {
    const { u, s, vh } = ops.svd(x);
    return [s, sandwich(u, ops.square(s), vh)];
  },
  eigenvalues: {
    compute: ([x]) => ops.squeeze(ops.slice(ops.eigenvalues(x), { axis: -1, end: 1 }), -1),
    secondOrder: false,
  },
};

const layers: Record<string, Row> = {
  softmax: ([x], { axis }) => ops.softmax(x, axis),
  logSoftmax: ([x], { axis }) => ops.logSoftmax(x, axis),
  layerNorm: ([x, weight, bias], { epsilon }) => ops.layerNorm(x, weight, bias, epsilon),
  rmsNorm: ([x, weight], { epsilon }) => ops.rmsNorm(x, weight, epsilon),
  batchNorm: ([x, weight, bias, runningMean, runningVariance], options) =>
    Object.values(ops.batchNorm(x, { weight, bias, runningMean, runningVariance }, options)),
  groupNorm: ([x, weight, bias], { numGroups, epsilon }) => ops.groupNorm(x, numGroups, { weight, bias, epsilon }),
  instanceNorm: ([x, weight, bias], { epsilon }) => ops.instanceNorm(x, { weight, bias, epsilon }),
  l2Normalize: withOptions(ops.l2Normalize),
  localResponseNorm: withOptions(ops.localResponseNorm),
  attention: {
    compute: ([q, k, v], { isCausal }) => ops.scaledDotProductAttention(q, k, v, { isCausal }),
    secondOrder: false,
  },
  attentionOptions: {
    compute: ([q, k, v, extra], { hasBias, ...options }) =>
      ops.scaledDotProductAttention(q, k, v, { ...options, [hasBias ? "bias" : "mask"]: extra }),
    secondOrder: false,
  },
  rotaryEmbedding: ([x, cos, sin], options) => ops.rotaryEmbedding(x, cos, sin, options),
  rotaryHeads: ([x, cos, sin], options) => ops.rotaryEmbedding(x, cos, sin, options),
  crossEntropy: ([logits, targets], options) => ops.crossEntropy(logits, targets, options),
  crossEntropyOptions: ([logits, targets, weight], options) =>
    ops.crossEntropy(logits, targets, { ...options, weight }),
  quantizeLinear: withOptions(ops.quantizeLinear),
  dequantizeLinear: withOptions(ops.dequantizeLinear),
  ctcLoss: {
    // PyTorch's own gradient is right only together with that of the log-softmax before it
    compute: ([logits, targets, inputLengths, targetLengths], options) => {
      const tensors = { logProbs: ops.logSoftmax(logits), targets, inputLengths, targetLengths };
      return ctcLoss(
        Object.fromEntries(Object.entries(tensors).map(([name, value]) => [name, new Tensor(value)])) as never,
        options,
      ).ir;
    },
    secondOrder: false,
  },
  blockMatmul: ([x, packed, scales, zeroPoints], options) =>
    ops.blockMatmul(x, packed, scales, packZeroPoints(zeroPoints, options.bits), options),
  float4Matmul: ([x, packed, absmax], options) => ops.float4Matmul(x, packed, absmax, options),
  // its gradient is straight-through on purpose
  fakeQuantize: { compute: withOptions(ops.fakeQuantize), finiteDifferences: false },
};

const rows: Record<string, Row> = { ...elementwise, ...reductions, ...movement, ...products, ...matrices, ...layers };

/** WGSL allows sin and cos an absolute error of 2^-11, and acos and asin what follows from atan2's 4096 units. */
const TRIGONOMETRY = 2 ** -11;
for (const name of ["sin", "cos", "tan", "asin", "acos", "fft", "ifft", "rfft", "irfft"]) {
  const row = rows[name];
  rows[name] = { ...(typeof row === "function" ? { compute: row } : row), webgpuTolerance: TRIGONOMETRY };
}

/** Options of testOp for each golden file. */
export const opTable: Readonly<Record<string, TestOpOptions>> = Object.fromEntries(
  Object.entries(rows).map(([golden, row]) => {
    if (typeof row === "function") return [golden, { golden, apply: row }];
    const { compute, ...options } = row;
    return [golden, { golden, apply: compute, ...options }];
  }),
);
