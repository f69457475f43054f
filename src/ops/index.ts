/**
 * One entry per op: shape rule, gradient, ONNX lowering and plain reference, side by side. Imports only ir/.
 * No file imports one that imports it: what an entry needs of later files (sums over broadcast axes, batches) is data
 * that autodiff/ interprets.
 */
export {
  celu,
  elu,
  type GeluApproximation,
  gelu,
  hardsigmoid,
  hardswish,
  hardtanh,
  leakyRelu,
  logSigmoid,
  mish,
  prelu,
  relu,
  relu6,
  reluSquared,
  type SoftplusOptions,
  selu,
  silu,
  softplus,
  softshrink,
  softsign,
} from "./activation.ts";
export { apply, applyAll, constantOf, constantScalar, filled, type Operand, scalar, toValue, vector } from "./apply.ts";
export {
  abs,
  add,
  ceil,
  clip,
  div,
  exp,
  exp2,
  expm1,
  floor,
  floorDivide,
  log,
  log1p,
  log2,
  logAddExp,
  maximum,
  minimum,
  mul,
  neg,
  pow,
  reciprocal,
  remainder,
  round,
  rsqrt,
  sign,
  sqrt,
  square,
  sub,
  trunc,
} from "./arithmetic.ts";
export { linearSumAssignment } from "./assignment.ts";
export {
  type AttentionOptions,
  type AttentionScoreOptions,
  attentionScores,
  HIDDEN_SCORE,
  plainAttention,
  scaledDotProductAttention,
} from "./attention.ts";
export { type CachedAttentionInputs, type CachedAttentionOptions, cachedAttention } from "./cached-attention.ts";
export { stopGradient } from "./control.ts";
export { conv, convTranspose } from "./convolution.ts";
export type { ConvOptions, ConvTransposeOptions } from "./convolution-window.ts";
export { eigenvalues, eigh, qr, svd } from "./decompositions.ts";
export { defineMultiOp, defineOp, notDifferentiable, onHost } from "./define.ts";
export { einsum } from "./einsum.ts";
export { type BinaryOp, cast, type UnaryOp, unary, where, widenedFrom } from "./elementwise.ts";
export type {
  BatchFunction,
  BatchRule,
  HostContext,
  HostFunction,
  HostValue,
  NamedBatchRule,
  OpEntry,
} from "./entry.ts";
export { type FftNorm, type FftOptions, fft, ifft, irfft, rfft } from "./fft.ts";
export { type Float4MatmulOptions, float4Matmul } from "./float4.ts";
export {
  biasedGeluEntry,
  biasedGeluGradientEntry,
  blockMatmulMinimumsEntry,
  blockMatmulPlusEntry,
  LEAST_TILED_NUMBERS,
  tiledMatmulEntry,
  tiledMatmulRowsEntry,
  tilesOf,
} from "./fused.ts";
export { addAtPositions, embedding, gather, indexAdd, scatter, scatterAddAlong, takeAlong } from "./gather.ts";
export { type GridSampleOptions, gridSample } from "./grid-sample.ts";
export { type HostTensor, hostTensor } from "./host-tensor.ts";
export {
  cholesky,
  determinant,
  inverse,
  logDeterminant,
  solve,
  type TriangularOptions,
  triangularSolve,
} from "./linear-systems.ts";
export {
  bitwiseAnd,
  bitwiseNot,
  bitwiseOr,
  bitwiseXor,
  equal,
  greater,
  greaterEqual,
  isInfinite,
  isNan,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  logicalXor,
  notEqual,
  shiftLeft,
  shiftRight,
} from "./logic.ts";
export {
  type CrossEntropyOptions,
  crossEntropy,
  type LossReduction,
  type NllLossOptions,
  nllLoss,
  requireReduction,
} from "./loss.ts";
export {
  type LoweredBody,
  type Lowering,
  ONNX_UINT32,
  type OnnxAttribute,
  type OnnxAttributes,
  type OnnxDomain,
  OnnxFloat,
  onnxTypeCode,
} from "./lowering.ts";
export { linear, type MatmulOptions, matmul } from "./matmul.ts";
export {
  arange,
  causalMask,
  diagonal,
  eye,
  maskedFill,
  oneHot,
  type Padding,
  type PadMode,
  pad,
  repeatInterleave,
  roll,
  splitSizes,
  squeeze,
  stack,
  swapAxes,
  tile,
  triangularMask,
  tril,
  triu,
  unsqueeze,
  unstack,
} from "./movement.ts";
export {
  type AffineNormOptions,
  type BatchNormInputs,
  type BatchNormOptions,
  batchNorm,
  groupNorm,
  instanceNorm,
  type LocalResponseNormOptions,
  l2Normalize,
  localResponseNorm,
  rmsNorm,
} from "./normalization.ts";
export { layerNorm, logSoftmax, softmax } from "./normalize.ts";
export {
  type ArgOptions,
  argmax,
  argmin,
  argsort,
  type CumulativeOptions,
  cumprod,
  cumsum,
  type Ordered,
  sort,
  topk,
} from "./order.ts";
export {
  type AveragePoolOptions,
  adaptiveAveragePool,
  adaptiveMaxPool,
  averagePool,
  globalAveragePool,
  globalMaxPool,
  type MaxPoolOptions,
  maxPool,
  maxPoolWithPositions,
  type PoolOptions,
} from "./pooling.ts";
export {
  type BlockMatmulOptions,
  blockMatmul,
  dequantizeLinear,
  type FakeQuantizeOptions,
  fakeQuantize,
  type QuantizedDType,
  type QuantizeOptions,
  quantizeLinear,
} from "./quantize.ts";
export {
  boxMuller,
  foldKey,
  foldKeyOnHost,
  randomCategorical,
  randomExponential,
  randomGumbel,
  randomInteger,
  randomNormal,
  randomPermutation,
  randomUniform,
  uniformOnHost,
} from "./random.ts";
export {
  all,
  any,
  logSumExp,
  max,
  mean,
  min,
  norm,
  prod,
  type ReduceOptions,
  standardDeviation,
  sum,
  sumTo,
  type VarianceOptions,
  variance,
} from "./reduce.ts";
export { evaluate, foldNode } from "./reference.ts";
export {
  type InterpolateOptions,
  interpolate,
  pixelShuffle,
  pixelUnshuffle,
  type ResampleOptions,
  type ResizeMode,
  resampleAxes,
} from "./resize.ts";
export { plainRotaryEmbedding, type RotaryOptions, rotaryEmbedding } from "./rotary.ts";
export { currentScope, withScope } from "./scope.ts";
export { beneathReshapes, broadcastTo, moveAxis, reshape, transpose } from "./shape.ts";
export { concat, flip, type SliceOptions, slice, split } from "./slice.ts";
export {
  acos,
  acosh,
  asin,
  asinh,
  atan,
  atan2,
  atanh,
  cos,
  cosh,
  erf,
  sigmoid,
  sin,
  sinh,
  tan,
  tanh,
} from "./special.ts";
export { fold, type UnfoldOptions, unfold } from "./unfold.ts";
