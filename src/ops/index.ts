/**
 * One entry per op: shape rule, gradient, ONNX lowering and plain reference, side by side. Imports only ir/.
 * The files refer to one another, since the gradient of an op is written with other ops.
 */
export { type GeluApproximation, gelu } from "./activation.ts";
export { type AttentionOptions, type CachedAttentionInputs, cachedAttention, plainAttention, scaledDotProductAttention } from "./attention.ts";
export { stopGradient } from "./control.ts";
export {
  apply,
  applyAll,
  constantScalar,
  currentScope,
  defineOp,
  filled,
  type HostTensor,
  hostTensor,
  type Lowering,
  notDifferentiable,
  type OnnxAttribute,
  type OnnxAttributes,
  type OnnxDomain,
  OnnxFloat,
  type OpEntry,
  type Operand,
  scalar,
  toValue,
  withScope,
} from "./define.ts";
export {
  abs,
  add,
  type BinaryOp,
  cast,
  cos,
  div,
  equal,
  erf,
  exp,
  greater,
  greaterEqual,
  less,
  lessEqual,
  log,
  logicalAnd,
  maximum,
  minimum,
  mul,
  neg,
  onnxTypeCode,
  pow,
  reciprocal,
  relu,
  rsqrt,
  sigmoid,
  sign,
  silu,
  sin,
  sqrt,
  square,
  sub,
  tanh,
  type UnaryOp,
  unary,
  where,
} from "./elementwise.ts";
export { causalMask, gather, indexAdd, scatterAddAlong, takeAlong } from "./gather.ts";
export { crossEntropy } from "./loss.ts";
export { linear, type MatmulOptions, matmul } from "./matmul.ts";
export { layerNorm, logSoftmax, softmax } from "./normalize.ts";
export { foldKey, foldKeyOnHost, hash32, randomNormal, randomUniform } from "./random.ts";
export { argmax, max, mean, type ReduceOptions, sum, sumTo } from "./reduce.ts";
export { broadcastTo, concat, reshape, type SliceOptions, slice, split, transpose } from "./shape.ts";
