/** Where Kindling's numbers may differ from PyTorch's at special inputs, or folded ones from compiled ones, and why. */
import { isFloat } from "../base/index.ts";
import type { Difference } from "./specials.ts";

export interface Exception {
  cause: string;
  /** @default all */
  ops?: ReadonlySet<string>;
  applies: (difference: Difference) => boolean;
}

const set = (names: string) => new Set(names.split(" "));

/** Ops that move or make elements one by one, where the sign of a zero is kept and compared. */
const keepsZeroSigns = set(
  "neg abs add sub mul div sqrt floor ceil round relu sin tan asin atan sinh tanh asinh erf cast reciprocal reshape transpose broadcastTo concat stack slice " +
    "sliceNegative split splitSizes squeeze unsqueeze moveAxis flip roll tile repeatInterleave gather takeAlong scatter diagonal maximum minimum",
);
/** Ops that add up products: their errors are those of the largest part. */
export const sums = set(
  "sum mean cumsum variance standardDeviation matmul linear einsum conv convTranspose averagePool adaptiveAveragePool globalAveragePool fft ifft rfft irfft " +
    "indexAdd scatterAdd fold unfold interpolate gridSample rotaryEmbedding norm layerNorm groupNorm instanceNorm batchNorm rmsNorm l2Normalize " +
    "localResponseNorm attention attentionOptions ctcLoss crossEntropy crossEntropyOptions cumprod prod",
);
const weighted = set(
  "einsum conv convTranspose averagePool adaptiveAveragePool globalAveragePool fft ifft rfft irfft fold interpolate gridSample rotaryEmbedding",
);
const normalized = set(
  "variance standardDeviation layerNorm groupNorm instanceNorm batchNorm rmsNorm l2Normalize localResponseNorm",
);

const numbersOf = ({ inputs }: Difference) => inputs.flat().map(Number);
const hasNan = (difference: Difference) => numbersOf(difference).some(Number.isNaN);
const isInfinite = (x: number) => Math.abs(x) === Number.POSITIVE_INFINITY;
const hasInfinity = (difference: Difference) => numbersOf(difference).some(isInfinite);
/** Anywhere in the inputs, for ops whose results depend on more than one element. */
const isNotFinite = ({ all }: Difference) => all.some((x) => !Number.isFinite(Number(x)));
const isGradient = ({ what }: Difference) => what.startsWith("gradient");
const areZeros = ({ got, wanted }: Difference) => Number(got) === 0 && Number(wanted) === 0;
const F32_MAX = 3.4028234e38;
const F32_NORMAL = 1.1754943e-38;

export const exceptions: readonly Exception[] = [
  {
    cause:
      "ONNX Runtime's Where and its sums make 0 of -0, its 16-bit Max and Min take either; in gradients PyTorch's own kernels differ",
    applies: (difference) =>
      areZeros(difference) &&
      (isGradient(difference) || !keepsZeroSigns.has(difference.op) || difference.dtype === "f16"),
  },
  {
    cause:
      "the gradient of an element that is NaN is chance in PyTorch (0 for one formula, 1 or NaN for another); the value is NaN anyway",
    applies: (difference) => isGradient(difference) && difference.op !== "where" && hasNan(difference),
  },
  {
    cause:
      "0 times infinity: a weight of 0 in padding, interpolation or a Fourier matrix makes NaN where the number is left out elsewhere",
    ops: weighted,
    applies: isNotFinite,
  },
  {
    cause:
      "infinity minus infinity: the mean is infinite, and which terms of the formula become NaN depends on their order",
    ops: normalized,
    applies: isNotFinite,
  },
  {
    cause: "of nothing PyTorch keeps the running statistics as they are, ours move toward 0",
    ops: set("batchNorm"),
    applies: ({ inputs }) => inputs[0].length === 0,
  },
  {
    cause: "products of zeros and infinities: PyTorch multiplies the others of each element anew, we divide by it",
    ops: set("prod cumprod"),
    applies: (difference) => isGradient(difference) && isNotFinite(difference),
  },
  {
    cause:
      "scores of infinities: PyTorch's fused kernel leaves keys out whose score is -Infinity or NaN, as a mask does; here only a mask does",
    ops: set("attention attentionOptions"),
    applies: isNotFinite,
  },
  {
    cause:
      "log probabilities of -Infinity are -1e30 here, so that the scan through the frames has no infinity minus infinity",
    ops: set("ctcLoss"),
    applies: (difference) => isNotFinite(difference) || Number(difference.got) > 1e29,
  },
  {
    cause: "PyTorch's golden number is the running sum minus the element, which is NaN from an infinity on",
    ops: set("cumsum"),
    applies: (difference) => difference.attributes.exclusive === true && isNotFinite(difference),
  },
  {
    cause: "PyTorch's topk takes any of equal elements, ours the first",
    ops: set("topk"),
    applies: ({ what, between, all }) =>
      what !== "output 0" && between !== "folded and compiled" && new Set(all).size < all.length,
  },
  {
    cause: "ONNX Runtime's MaxPool passes over NaN; a second pooling would be needed to find it",
    ops: set("maxPool adaptiveMaxPool globalMaxPool"),
    applies: ({ all }) => all.some((x) => Number.isNaN(x)),
  },
  {
    cause: "which of equal elements of a window the gradient belongs to is left open",
    ops: set("maxPool adaptiveMaxPool globalMaxPool"),
    applies: (difference) => isGradient(difference) && new Set(difference.all).size < difference.all.length,
  },
  {
    cause: "exp(x - y) of PyTorch's gradient has lost what y is rounded by; ours adds up to 1",
    ops: set("logSumExp"),
    applies: (difference) => isGradient(difference) && numbersOf(difference).some((x) => Math.abs(x) >= 1e4),
  },
  {
    cause: "two equal infinities share the gradient here; PyTorch subtracts them",
    ops: set("logAddExp"),
    applies: (difference) => isGradient(difference) && hasInfinity(difference),
  },
  {
    cause: "PyTorch's kernel doubles before it halves: infinity of the largest number, NaN of infinity; the limit is x",
    ops: set("gelu"),
    applies: (difference) => numbersOf(difference).some((x) => x >= 3.38e38),
  },
  {
    cause: "the cube in the tanh form overflows in f32, and not in the double of the folded gradient",
    ops: set("geluTanh"),
    applies: (difference) => isGradient(difference) && numbersOf(difference).some((x) => Math.abs(x) >= F32_MAX),
  },
  {
    cause: "PyTorch multiplies before it divides by 6, which overflows",
    ops: set("hardswish"),
    applies: (difference) => numbersOf(difference).some((x) => Math.abs(x) >= 3.38e38),
  },
  {
    cause: "PyTorch's vectorized fmod takes subnormal divisors for 0, and is NaN where the quotient overflows",
    ops: set("remainder"),
    applies: ({ inputs: [[a], [b]] }) => Math.abs(Number(b)) < F32_NORMAL || Math.abs(Number(a) / Number(b)) > F32_MAX,
  },
  {
    cause:
      "the gradient of the divisor is minus the quotient, which PyTorch rounds once more, and which overflows or is NaN for infinities",
    ops: set("remainder"),
    applies: ({ what, inputs }) =>
      what === "gradient 1" &&
      inputs.some(([x]) => isInfinite(Number(x)) || Math.abs(Number(x)) >= 1e30 || Math.abs(Number(x)) < 1e-7),
  },
  {
    cause: "0 times the overflowing derivative of a / b is NaN in PyTorch; rounding down has the gradient 0",
    ops: set("floorDivide"),
    applies: isGradient,
  },
  {
    cause: "the quotient is rounded to 16 bits before it is rounded down, and may be 0 then",
    ops: set("floorDivide"),
    applies: ({ dtype }) => isFloat(dtype) && dtype !== "f32",
  },
];
