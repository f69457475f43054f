import { checkOptions, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import {
  add,
  clip,
  diagonal,
  erf,
  full,
  greaterEqual,
  mul,
  normal,
  qr,
  type RandomKey,
  reshape,
  sub,
  type Tensor,
  tensor,
  transpose,
  uniform,
  where,
} from "../tensor/index.ts";
import { erfInverse } from "./erf-inverse.ts";

/** Makes the first value of a parameter. Nothing is computed until it is needed. */
export type Initializer = (key: RandomKey, shape: readonly number[]) => Tensor<"f32">;

/** Numbers in and out of a weight [fanOut, fanIn, ...kernel]; of a vector, its length for both. */
function fans(shape: readonly number[]): { fanIn: number; fanOut: number } {
  const kernel = shape.slice(2).reduce((a, b) => a * b, 1);
  const [first, second = first] = shape;
  return { fanIn: second * kernel, fanOut: first * kernel };
}

/** Normal with mean 0. */
export const normalInit =
  (standardDeviation: number): Initializer =>
  (key, shape) =>
    normal(key, shape, { standardDeviation });

/** Uniform in [-bound, bound]. */
export const uniformInit =
  (bound: number): Initializer =>
  (key, shape) =>
    uniform(key, shape, { low: -bound, high: bound });

/** Uniform with variance 2 / (fanIn + fanOut). Glorot and Bengio 2010. */
export const xavierUniform: Initializer = (key, shape) => {
  const { fanIn, fanOut } = fans(shape);
  return uniformInit(Math.sqrt(6 / (fanIn + fanOut)))(key, shape);
};

/** Normal with variance 2 / (fanIn + fanOut). Glorot and Bengio 2010. */
export const xavierNormal: Initializer = (key, shape) => {
  const { fanIn, fanOut } = fans(shape);
  return normalInit(Math.sqrt(2 / (fanIn + fanOut)))(key, shape);
};

/** Normal with variance 2 / fanIn, for ReLU. He et al. 2015, arXiv:1502.01852. */
export const heNormal: Initializer = (key, shape) => normalInit(Math.sqrt(2 / fans(shape).fanIn))(key, shape);

/** Uniform with variance 2 / fanIn, for ReLU. He et al. 2015, arXiv:1502.01852. */
export const heUniform: Initializer = (key, shape) => uniformInit(Math.sqrt(6 / fans(shape).fanIn))(key, shape);

/** Every element the same. */
export const constantInit =
  (value: number): Initializer =>
  (_, shape) =>
    full(shape, value);

/** PyTorch's default of linear layers: uniform in plus or minus 1 / sqrt(fanIn). */
export const linearInit: Initializer = (key, shape) => uniformInit(1 / Math.sqrt(fans(shape).fanIn))(key, shape);

/** Bounds and shape of a truncated normal distribution. */
export interface TruncatedNormalOptions {
  /** Of the distribution before it is cut. @default 0 */
  mean?: number;
  /** Of the distribution before it is cut. @default 1 */
  standardDeviation?: number;
  /** Least value, not a number of standard deviations. @default -2 */
  low?: number;
  /** Greatest value. @default 2 */
  high?: number;
}

/**
 * Normal, cut off at two bounds: torch.nn.init.trunc_normal_, whose defaults these are. For weights of a standard
 * deviation of 0.02 the bounds -2 and 2 cut nothing.
 * @throws OptionError for a standard deviation that is not above 0, or bounds that are no interval
 */
export function truncatedNormalInit(options: TruncatedNormalOptions = {}): Initializer {
  const name = "truncatedNormalInit";
  checkOptions(name, options, ["mean", "standardDeviation", "low", "high"]);
  const { mean = 0, standardDeviation = 1, low = -2, high = 2 } = options;
  const finite = { range: "to be a number", isFine: Number.isFinite };
  requireNumbers(
    name,
    { mean, standardDeviation, low, high },
    { mean: finite, standardDeviation: numberRules.positive, low: finite, high: finite },
  );
  if (low >= high) {
    throw new OptionError({
      where: name,
      expected: `low below high (${high})`,
      received: String(low),
      fix: "lower low",
    });
  }
  const scale = standardDeviation * Math.SQRT2;
  return (key, shape) => {
    const [first, last] = [low, high].map((bound) => erf(tensor((bound - mean) / scale)));
    const shares = add(mul(uniform(key, shape), sub(last, first)), first); // of the error function, equally likely
    return clip(add(mul(erfInverse(clip(shares, { min: -LAST_SHARE, max: LAST_SHARE })), scale), mean), {
      min: low,
      max: high,
    });
  };
}

/** The number next to 1: of 1 itself the inverse error function is infinite. */
const LAST_SHARE = 1 - 2 ** -24;

/**
 * Orthogonal, times a gain: rows, or columns where there are fewer, are at right angles and of length `gain`; of a
 * kernel [fanOut, ...] those of the matrix [fanOut, others]. Saxe et al. 2013, arXiv:1312.6120; as
 * torch.nn.init.orthogonal_.
 * @throws OptionError for a gain that is not above 0; the initialiser for a shape of fewer than 2 axes
 */
export function orthogonalInit(gain = 1): Initializer {
  requireNumbers("orthogonalInit", { gain }, { gain: numberRules.positive });
  return (key, shape) => {
    if (shape.length < 2) {
      throw new OptionError({
        where: "orthogonalInit",
        expected: "a shape of 2 axes or more",
        received: `[${shape.join(", ")}]`,
        fix: "give vectors another initialiser",
      });
    }
    const [rows] = shape;
    const columns = shape.slice(1).reduce((a, b) => a * b, 1);
    const { q, r } = qr(normal(key, [Math.max(rows, columns), Math.min(rows, columns)]));
    const signs = where(greaterEqual(diagonal(r), 0), 1, -1); // so that all orthogonal matrices are equally likely
    const basis = mul(mul(q, signs), gain);
    return reshape(rows < columns ? transpose(basis) : basis, shape);
  };
}
