import { bytesPerElement } from "../base/index.ts";
import {
  ConstantOp,
  type Graph,
  isStatic,
  type Node,
  PlaceholderOp,
  type TensorType,
  type Value,
} from "../ir/index.ts";
import type { OpEntry } from "../ops/index.ts";

/** Memory of one run of a graph. */
export interface MemoryEstimate {
  /** Bytes of the graph's inputs and constants. */
  givenBytes: number;
  /** Most bytes of computed values that live at the same time, when nodes run in the graph's order. */
  peakBytes: number;
}

const bytesOf = ({ dtype, shape }: TensorType): number =>
  isStatic(shape) ? shape.reduce((a, b) => a * b, bytesPerElement[dtype]) : 0;

/**
 * What a run of a graph needs. Views take no memory; a value lives from the node that makes it to its last user. ONNX
 * Runtime also writes some results over operands, so it needs somewhat less. Values of symbolic size count as nothing.
 */
export function estimateMemory(graph: Graph): MemoryEstimate {
  const owner = (value: Value): Value =>
    (value.node.op as OpEntry).isView && value.node.inputs.length > 0 ? owner(value.node.inputs[0]) : value;
  const isGiven = ({ node }: Value) => node.op instanceof PlaceholderOp || node.op instanceof ConstantOp;
  const lastUse = new Map<Value, Node>();
  for (const node of graph.nodes) for (const input of node.inputs) lastUse.set(owner(input), node);
  const kept = new Set(graph.outputs.map(owner));
  const ending = new Map<Node, Value[]>();
  for (const [value, node] of lastUse)
    if (!kept.has(value) && !isGiven(value)) ending.set(node, [...(ending.get(node) ?? []), value]);

  let givenBytes = 0;
  let live = 0;
  let peakBytes = 0;
  for (const node of graph.nodes) {
    const allocations = node.outputs.filter((output) => owner(output) === output);
    const bytes = allocations.reduce((total, output) => total + bytesOf(output), 0);
    if (node.op instanceof PlaceholderOp || node.op instanceof ConstantOp) givenBytes += bytes;
    else {
      live += bytes;
      peakBytes = Math.max(peakBytes, live);
      for (const value of ending.get(node) ?? []) live -= bytesOf(value);
      for (const output of allocations) if (!lastUse.has(output) && !kept.has(output)) live -= bytesOf(output);
    }
  }
  return { givenBytes, peakBytes };
}
