import { gradients } from "../autodiff/index.ts";
import type { FloatDType } from "../base/index.ts";
import { Tensor } from "./tensor.ts";
/** Gradients with the dtypes of what they belong to. */
export type GradientsOf<T extends readonly Tensor<FloatDType>[]> = {
  -readonly [K in keyof T]: T[K] extends Tensor<infer D> ? Tensor<D> : never;
};

/**
 * Gradients of a scalar with respect to tensors or variables, each with its shape. They are tensors like any other:
 * `grad` of a gradient gives second derivatives.
 * @throws GraphError when `loss` is not a float scalar or does not depend on one of the targets.
 *
 * @example
 * const x = tensor([1, 2, 3]);
 * const [dx] = grad(sum(mul(x, x)), [x]);
 * await dx.toArray(); // [2, 4, 6]
 */
export function grad<const T extends readonly Tensor<FloatDType>[]>(
  loss: Tensor<FloatDType>,
  targets: T,
): GradientsOf<T> {
  const values = targets.map(({ ir }) => ir);
  return gradients(loss.ir, values).map((value) => new Tensor(value)) as GradientsOf<T>;
}

/**
 * Turns a function that gives a scalar into one that gives the scalar and the gradients of its arguments.
 *
 * @example
 * const f = valueAndGrad((x: Tensor<"f32">) => sum(mul(x, x)));
 * const { value, gradients } = f(tensor([1, 2, 3]));
 * await value.item(); // 14
 */
export function valueAndGrad<const A extends readonly Tensor<FloatDType>[]>(
  fn: (...args: A) => Tensor<FloatDType>,
): (...args: A) => { value: Tensor<FloatDType>; gradients: GradientsOf<A> } {
  return (...args) => {
    const value = fn(...args);
    return { value, gradients: grad(value, args) };
  };
}
