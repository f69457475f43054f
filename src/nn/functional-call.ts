import { ShapeError } from "../base/index.ts";
import { shapesEqual, substitute } from "../ir/index.ts";
import { Tensor } from "../tensor/index.ts";
import type { Parameter } from "./module.ts";

/**
 * What `compute` gives when parameters have other values, which may be tensors of the graph: gradients go through them.
 * The parameters stay as they are, and what `compute` assigns to variables is computed with them. As
 * torch.func.functional_call.
 * @throws ShapeError for a value of another shape or dtype
 *
 * @example
 * const layer = new Linear({ inFeatures: 1, outFeatures: 1, bias: false }, randomKey(0));
 * const [y] = functionalCall(new Map([[layer.weight, tensor([[5]])]]), () => [layer.forward(tensor([[2]]))]);
 * await y.item(); // 10
 */
export function functionalCall<T extends readonly Tensor[]>(
  values: ReadonlyMap<Parameter, Tensor<"f32">>,
  compute: () => T,
): T {
  for (const [parameter, value] of values) {
    if (value.dtype === parameter.dtype && shapesEqual(value.shape, parameter.shape)) continue;
    throw new ShapeError({
      where: "functionalCall",
      expected: `a value ${parameter.dtype}[${parameter.shape.join(", ")}], as the parameter`,
      received: `${value.dtype}[${value.shape.join(", ")}]`,
      fix: "give each parameter a value of its shape",
    });
  }
  const replacements = new Map([...values].map(([parameter, value]) => [parameter.ir, value.ir] as const));
  const outputs = compute().map(({ ir }) => ir);
  return substitute(outputs, replacements).map((value) => new Tensor(value)) as unknown as T;
}
