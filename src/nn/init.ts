import { full, normal, type RandomKey, type Tensor, uniform } from "../tensor/index.ts";

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
