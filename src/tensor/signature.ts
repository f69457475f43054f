import { OptionError } from "../base/index.ts";
import { describe, symbol } from "../ir/index.ts";
import type { Structure } from "./structure.ts";
import { Tensor } from "./tensor.ts";

/** A traced function when its arguments are not looked at. */
// biome-ignore lint/suspicious/noExplicitAny: the arguments are rebuilt with the structure that they came with
export type Traceable = (...args: any[]) => unknown;

/** For each argument, in order of its tensors, a name for each axis whose size may differ between calls. */
export type SymbolicSizes = readonly (readonly (string | null)[] | null)[];

/** What a compiled function is called with: where the traced function takes a scalar tensor, a number will do. */
export type CallArguments<A extends readonly unknown[]> = {
  [K in keyof A]: A[K] extends Tensor ? A[K] | number : A[K];
};

/**
 * Refuses functions with numbers among their parameters: while they are traced these would be tensors, and `n > 3`
 * would not compare numbers.
 */
export type WithoutNumbers<A> =
  true extends HasNumber<A>
    ? "declare this parameter as Tensor<'f32'>: numbers are tensors while a function is traced"
    : unknown;
type HasNumber<T> = 0 extends 1 & T // any is not looked into
  ? false
  : [Extract<T, number>] extends [never]
    ? T extends Tensor | string | boolean | null | undefined | ((...args: never) => unknown)
      ? false
      : T extends readonly (infer E)[]
        ? HasNumber<E>
        : { [K in keyof T]: HasNumber<T[K]> }[keyof T]
    : true;

interface FlatArguments {
  leaves: (Tensor | number)[];
  signature: string;
}

/**
 * Tensors and numbers of the arguments in order, and a text that is equal for arguments that one graph can serve.
 * @throws OptionError for a symbol or a bigint
 */
export function flattenArguments(args: Structure, symbolicSizes: SymbolicSizes | undefined): FlatArguments {
  const leaves: (Tensor | number)[] = [];
  const visit = (x: Structure): string => {
    if (x instanceof Tensor) {
      const names = symbolicSizes?.[leaves.length];
      const { dtype, shape } = x;
      leaves.push(x);
      return describe({ dtype, shape: shape.map((size, axis) => (names?.[axis] ? symbol(names[axis]) : size)) });
    }
    if (typeof x === "number") {
      leaves.push(x);
      return "number";
    }
    if (Array.isArray(x)) return `[${x.map(visit)}]`;
    if (x !== null && typeof x === "object") {
      const fields = Object.entries(x as Record<string, Structure>);
      return `{${fields.map(([key, child]) => `${JSON.stringify(key)}:${visit(child)}`)}}`;
    }
    return nameConstant(x);
  };
  return { signature: visit(args), leaves };
}

/** The text of an argument that is a part of the compiled function. */
function nameConstant(x: unknown): string {
  if (typeof x === "function") return `function ${numberOf(x)}`;
  if (typeof x !== "symbol" && typeof x !== "bigint") return JSON.stringify(x) ?? "undefined";
  throw new OptionError({
    where: "call of a compiled function",
    expected: "tensors, numbers, strings, booleans and functions, and arrays and objects of those",
    received: `the ${typeof x} ${String(x)}`,
    fix: "give a tensor, or a string that names it",
  });
}

/** Functions are told apart by what they are, not by their text: one that was made anew may hold other values. */
const numbers = new WeakMap<object, number>();
let numberedCount = 0;

function numberOf(x: object): number {
  const present = numbers.get(x);
  if (present !== undefined) return present;
  numbers.set(x, ++numberedCount);
  return numberedCount;
}
