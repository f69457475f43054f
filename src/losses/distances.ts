import type { FloatDType } from "../base/index.ts";
import { add, div, mul, norm, sqrt, sub, sum, type Tensor } from "../tensor/index.ts";

/** Added to squared lengths, PyTorch's: the cosine with a zero vector is 0. */
const LEAST_SQUARE = 1e-12;
/** Added to differences, PyTorch's: the distance of equal vectors has a gradient. */
export const LEAST_DIFFERENCE = 1e-6;

/** Cosines of the angles between rows. a and b: [..., D] -> [...] */
export function cosineOf<D extends FloatDType>(a: Tensor<D>, b: Tensor<NoInfer<D>>): Tensor<D> {
  const square = (x: Tensor<D>) => add(sum(mul(x, x), { axes: -1 }), LEAST_SQUARE);
  return div(sum(mul(a, b), { axes: -1 }), sqrt(mul(square(a), square(b))));
}

/** Distances of rows by a p-norm. a and b: [..., D] -> [...] */
export const distanceOf = <D extends FloatDType>(
  a: Tensor<D>,
  b: Tensor<NoInfer<D>>,
  { p = 2, epsilon = LEAST_DIFFERENCE }: { p?: number; epsilon?: number } = {},
): Tensor<D> => norm(add(sub(a, b), epsilon), { p, axes: -1 });
