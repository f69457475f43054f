import { OptionError } from "../base/index.ts";
import { Tensor } from "./tensor.ts";

/** What arguments and results are made of: tensors, and arrays and plain objects of such. */
export type Structure =
  | Tensor
  | number
  | string
  | boolean
  | undefined
  | null
  | readonly Structure[]
  | { readonly [key: string]: Structure };

/** The same structure with each tensor or number replaced. */
export function mapStructure(x: Structure, replace: (leaf: Tensor | number) => unknown): unknown {
  if (x instanceof Tensor || typeof x === "number") return replace(x);
  if (Array.isArray(x)) return x.map((child) => mapStructure(child, replace));
  if (x !== null && typeof x === "object") {
    return Object.fromEntries(
      Object.entries(x as Record<string, Structure>).map(([key, child]) => [key, mapStructure(child, replace)]),
    );
  }
  return x;
}

/** The tensors of a structure in order, and a function that puts others in their places. */
export function takeApart(
  where: string,
  x: unknown,
): { tensors: Tensor[]; rebuild: (tensors: readonly Tensor[]) => unknown } {
  const tensors: Tensor[] = [];
  const positions = mapStructure(x as Structure, (leaf) => {
    if (typeof leaf === "number") {
      throw new OptionError({
        where,
        expected: "tensors, and arrays and objects of tensors",
        received: `the number ${leaf}`,
        fix: "make it a tensor: tensor(x)",
      });
    }
    tensors.push(leaf);
    return tensors.length - 1;
  }) as Structure;
  return { tensors, rebuild: (others) => mapStructure(positions, (position) => others[position as number]) };
}
