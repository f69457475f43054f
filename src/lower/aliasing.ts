import { type Graph, type Node, shapesEqual, type Value } from "../ir/index.ts";
import { entryOf } from "./passes.ts";

/**
 * Whether the graph may write output `outputIndex` into the memory of input `inputIndex` while it runs: every node that
 * reads the input must have finished before the node that makes the output starts, or be that node itself and allow it.
 */
export function mayOverwrite(graph: Graph, outputIndex: number, inputIndex: number): boolean {
  const output = graph.outputs[outputIndex];
  const input = graph.inputs[inputIndex];
  const isOnlyUse = graph.outputs.filter((value) => value === output).length === 1;
  if (!isOnlyUse || output.node.inputs.length === 0 || graph.outputs.includes(input)) return false;
  const ancestors = ancestorsOf(output.node);
  const users = usersOf(graph);
  const readers = readersOf(input, users);
  return readers.every(({ node, value }) => {
    if (node === output.node) {
      const isAllowed = (entryOf(node).inPlace ?? []).some(([i, o]) => node.inputs[i] === value && node.outputs[o] === output);
      return isAllowed && shapesEqual(value.shape, output.shape); // a broadcast operand is read again after its place was written
    }
    return ancestors.has(node);
  });
}

/** Nodes that read the memory of `value`, directly or through views of it. */
function readersOf(value: Value, users: Map<Value, Node[]>): { node: Node; value: Value }[] {
  return (users.get(value) ?? []).flatMap((node) => {
    const direct = { node, value };
    return entryOf(node).isView ? [direct, ...readersOf(node.outputs[0], users)] : [direct];
  });
}

const cachedUsers = new WeakMap<Graph, Map<Value, Node[]>>();

function usersOf(graph: Graph): Map<Value, Node[]> {
  const known = cachedUsers.get(graph);
  if (known) return known;
  const users = new Map<Value, Node[]>();
  for (const node of graph.nodes) {
    for (const input of new Set(node.inputs)) users.set(input, [...(users.get(input) ?? []), node]);
  }
  cachedUsers.set(graph, users);
  return users;
}

function ancestorsOf(start: Node): Set<Node> {
  const seen = new Set<Node>();
  const stack = [start];
  for (let node = stack.pop(); node; node = stack.pop()) {
    for (const { node: next } of node.inputs) {
      if (seen.has(next)) continue;
      seen.add(next);
      stack.push(next);
    }
  }
  return seen;
}
