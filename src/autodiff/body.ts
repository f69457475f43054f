import {
  ConstantOp,
  dependents,
  Graph,
  placeholder,
  substitute,
  type TensorType,
  topologicalOrder,
  type Value,
} from "../ir/index.ts";

/** A function of values as a graph of its own. */
export interface Body {
  /** Inputs: those of the function, then one for each captured value. */
  graph: Graph;
  /** Values from outside that the function uses, constants left out: those are copied into the graph. */
  captured: Value[];
}

/** Traces `fn` on fresh inputs of the given types. */
export function traceBody(types: readonly TensorType[], fn: (...inputs: Value[]) => readonly Value[]): Body {
  const inputs = types.map((type, i) => placeholder(`input ${i}`, type));
  return closeOver(inputs, fn(...inputs));
}

/**
 * The part of a graph that depends on `inputs`, as a graph of its own. What it uses besides becomes further inputs:
 * work that is the same in every run of the body stays outside of it.
 */
export function closeOver(inputs: readonly Value[], outputs: readonly Value[]): Body {
  const inside = dependents(topologicalOrder(outputs), inputs);
  const formal = new Set(inputs);
  const isOutside = (value: Value) =>
    !formal.has(value) && !inside.has(value.node) && !(value.node.op instanceof ConstantOp);
  const captured = new Set<Value>();
  for (const node of inside) for (const input of node.inputs) if (isOutside(input)) captured.add(input);
  for (const output of outputs) if (isOutside(output)) captured.add(output);
  const stands = new Map([...captured].map((value, i) => [value, placeholder(`captured ${i}`, value)] as const));
  return { graph: new Graph([...inputs, ...stands.values()], substitute(outputs, stands)), captured: [...captured] };
}

/** The outputs of a graph for given inputs, as part of the graph around. */
export function inlineGraph(graph: Graph, inputs: readonly Value[]): Value[] {
  return substitute(graph.outputs, new Map(graph.inputs.map((input, i) => [input, inputs[i]] as const)));
}
