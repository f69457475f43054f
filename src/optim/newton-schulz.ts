import { add, cast, div, matmul, maximum, mul, norm, type Tensor, transpose } from "../tensor/index.ts";

/** How a matrix is made orthogonal. */
export interface NewtonSchulzOptions {
  /** Of x, x³ and x⁵ in the polynomial. */
  coefficients: readonly [number, number, number];
  steps: number;
  /** Least norm that is divided by. */
  epsilon: number;
  /** "bf16" rounds each product, as PyTorch does; "f32" rounds none. */
  precision: "bf16" | "f32";
}

/**
 * Nearly the orthogonal matrix that is nearest to x: its singular values become numbers around 1, by a polynomial of x
 * that is applied a few times. x: [rows, columns] -> the same. Jordan et al. 2024, "Muon: an optimizer for hidden
 * layers in neural networks".
 */
export function newtonSchulz(x: Tensor<"f32">, options: NewtonSchulzOptions): Tensor<"f32"> {
  const { coefficients, steps, epsilon, precision } = options;
  const [a, b, c] = coefficients;
  const rounded = (y: Tensor<"f32">) => (precision === "bf16" ? cast(cast(y, "bf16"), "f32") : y);
  const isTall = x.size(0) > x.size(1);
  let next = rounded(isTall ? transpose(x) : x); // the smaller product
  next = rounded(div(next, maximum(rounded(norm(next)), epsilon))); // no singular value is above 1
  for (let i = 0; i < steps; i++) {
    const gram = rounded(matmul(next, next, { transposeB: true }));
    const polynomial = rounded(add(mul(gram, b), mul(matmul(gram, gram), c)));
    next = rounded(add(mul(next, a), matmul(polynomial, next)));
  }
  return isTall ? transpose(next) : next;
}
