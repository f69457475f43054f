import { GraphError } from "../base/index.ts";
import { Graph, placeholder, type Shape, symbol, type TensorType, type Value } from "../ir/index.ts";
import { capturedLeaves } from "./execute.ts";
import type { Leaf } from "./leaf.ts";
import type { SymbolicSizes, Traceable } from "./signature.ts";
import { mapStructure, type Structure } from "./structure.ts";
import { fromHost, Tensor } from "./tensor.ts";
import { Trace, traced, type Watch } from "./trace.ts";

/** A function as a graph: arguments and captured leaves in, results and new state out. */
export interface TracedFunction {
  graph: Graph;
  argumentCount: number;
  leaves: readonly Leaf[];
  results: readonly Value[];
  updates: readonly (readonly [state: Leaf, next: Value])[];
  watches: readonly Watch[];
  /** What the function returned, with tensors in the places of its results. */
  rebuild(results: readonly Tensor[]): unknown;
}

/** Calls a function with placeholders for its tensors and numbers. @throws GraphError when it is asynchronous */
export function traceFunction(
  fn: Traceable,
  args: readonly Structure[],
  symbolicSizes: SymbolicSizes | undefined,
): TracedFunction {
  const inputs: Value[] = [];
  const placeholders = mapStructure(args, (leaf) => {
    const type: TensorType = leaf instanceof Tensor ? leaf : { dtype: "f32", shape: [] };
    const names = symbolicSizes?.[inputs.length];
    const shape: Shape = type.shape.map((size, axis) => (names?.[axis] ? symbol(names[axis]) : size));
    const input = placeholder(`argument ${inputs.length}`, { dtype: type.dtype, shape });
    inputs.push(input);
    return new Tensor(input);
  }) as unknown[];
  const trace = new Trace();
  const results: Value[] = [];
  const positions = traced(trace, () => {
    const returned = callSynchronous(fn, placeholders);
    return mapStructure(returned as Structure, (leaf) => {
      results.push(typeof leaf === "number" ? fromHost("f32", [], Float32Array.of(leaf)).ir : leaf.ir);
      return results.length - 1;
    });
  });
  const { updates, watches } = trace;
  const outputs = [...results, ...updates.values(), ...watches.map(({ value }) => value)];
  const leaves = capturedLeaves(outputs);
  return {
    graph: new Graph([...inputs, ...leaves.map(({ value }) => value)], [...results, ...updates.values()]),
    argumentCount: inputs.length,
    leaves,
    results,
    updates: [...updates],
    watches,
    rebuild: (tensors) => mapStructure(positions as Structure, (position) => tensors[position as number]),
  };
}

/**
 * Calls a function that is traced.
 * @throws GraphError when it is asynchronous; what its promise comes to is not waited for
 */
export function callSynchronous(fn: Traceable, args: readonly unknown[]): unknown {
  const returned = fn(...args);
  if (!(returned instanceof Promise)) return returned;
  returned.catch(() => {}); // the error below is the one to be told
  throw new GraphError({
    where: "compile",
    expected: "a synchronous function",
    received: "one that returns a promise",
    fix: "remove async and await; read results after the call",
  });
}
