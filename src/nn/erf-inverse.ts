import { add, less, log, mul, neg, sqrt, sub, type Tensor, where } from "../tensor/index.ts";

/*
 * Giles 2010, "Approximating the erfinv function", table 5: polynomials in w = -log(1 - x^2), for the middle and the
 * tails, in single precision. Highest power first.
 */
const BORDER = 5;
const MIDDLE = [
  ...[2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 2.1858087e-4],
  ...[-1.25372503e-3, -4.17768164e-3, 0.246640727, 1.50140941],
];
const TAILS = [
  ...[-2.00214257e-4, 1.00950558e-4, 1.34934322e-3, -3.67342844e-3, 5.73950773e-3],
  ...[-7.6224613e-3, 9.43887047e-3, 1.00167406, 2.83297682],
];

function polynomial(x: Tensor<"f32">, [first, second, ...others]: readonly number[]): Tensor<"f32"> {
  return others.reduce((sum, coefficient) => add(mul(sum, x), coefficient), add(mul(x, first), second));
}

/** The number whose error function is x, which is above -1 and below 1. x: [...] -> the same */
export function erfInverse(x: Tensor<"f32">): Tensor<"f32"> {
  const w = neg(log(mul(sub(1, x), add(x, 1))));
  const middle = polynomial(sub(w, 2.5), MIDDLE);
  const tails = polynomial(sub(sqrt(w), 3), TAILS);
  return mul(where(less(w, BORDER), middle, tails), x);
}
