/** What several optimizers' formulas have in common. */
import { add, expm1, mul, neg, square, sub, type Tensor, tensor } from "../tensor/index.ts";

/** A running mean that keeps the share `beta`: beta old + (1 - beta) x. */
export const runningMean = (old: Tensor<"f32">, x: Tensor<"f32">, beta: number): Tensor<"f32"> =>
  add(mul(old, beta), mul(x, 1 - beta));

/** The running mean of the square. */
export const runningSquare = (old: Tensor<"f32">, x: Tensor<"f32">, beta: number): Tensor<"f32"> =>
  runningMean(old, square(x), beta);

/**
 * 1 - beta^step: what a running mean that began at 0 has of its whole weight after some steps. By expm1: in f32,
 * 1 - 0.999 is off by 1e-5.
 */
export const biasCorrection = (beta: number, step: Tensor<"f32">): Tensor<"f32"> =>
  beta > 0 ? neg(expm1(mul(step, Math.log(beta)))) : tensor(1);

/** Weights drawn to 0 apart from the gradient: w (1 - learningRate decay). Loshchilov and Hutter, arXiv:1711.05101. */
export const decayed = (value: Tensor<"f32">, learningRate: Tensor<"f32">, weightDecay: number): Tensor<"f32"> =>
  weightDecay > 0 ? mul(value, sub(1, mul(learningRate, weightDecay))) : value;
