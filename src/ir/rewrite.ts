/** Making nodes, and graphs from graphs. */
import { type Attributes, Graph, Node, type Op, PlaceholderOp, topologicalOrder, type Value } from "./graph.ts";

/** Applies an op: infers the types and makes the node. */
export function applyOp(op: Op, inputs: readonly Value[], attributes: Attributes = {}, scope = ""): readonly Value[] {
  return new Node(op, inputs, attributes, op.inferTypes(inputs, attributes), scope).outputs;
}

/**
 * Rebuilds a graph bottom-up. `replace` sees each non-leaf node with its already rewritten inputs and returns the
 * values that stand for its outputs, or undefined to keep the node.
 */
export function rewrite(
  graph: Graph,
  replace: (node: Node, inputs: readonly Value[]) => readonly Value[] | undefined,
): Graph {
  const replaced = new Map<Node, readonly Value[]>();
  const lookUp = (value: Value): Value => replaced.get(value.node)?.[value.index] ?? value;
  for (const node of graph.nodes) {
    if (node.op instanceof PlaceholderOp) continue;
    const inputs = node.inputs.map(lookUp);
    const result = replace(node, inputs);
    if (result) replaced.set(node, result);
    else if (inputs.some((input, i) => input !== node.inputs[i])) {
      replaced.set(node, new Node(node.op, inputs, node.attributes, node.outputs, node.scope).outputs);
    }
  }
  return new Graph(graph.inputs, graph.outputs.map(lookUp));
}

/** The nodes of `order` (inputs before users) that depend on one of `roots`, without the roots' own nodes. */
export function dependents(order: readonly Node[], roots: Iterable<Value>): Set<Node> {
  const rootValues = new Set(roots);
  const dependentNodes = new Set<Node>();
  for (const node of order) {
    if (node.inputs.some((input) => rootValues.has(input) || dependentNodes.has(input.node))) dependentNodes.add(node);
  }
  return dependentNodes;
}

/** `values` computed anew with other values in the place of some: nodes that depend on none of these are shared. */
export function substitute(values: readonly Value[], replacements: ReadonlyMap<Value, Value>): Value[] {
  const copies = new Map<Node, Node>();
  const lookUp = (value: Value): Value =>
    replacements.get(value) ?? copies.get(value.node)?.outputs[value.index] ?? value;
  for (const node of topologicalOrder(values)) {
    const inputs = node.inputs.map(lookUp);
    if (inputs.some((input, i) => input !== node.inputs[i]))
      copies.set(node, new Node(node.op, inputs, node.attributes, node.outputs, node.scope));
  }
  return values.map(lookUp);
}

/** How often each value is used, counting graph outputs. */
export function countUses(graph: Graph): Map<Value, number> {
  const uses = new Map<Value, number>();
  const count = (value: Value) => uses.set(value, (uses.get(value) ?? 0) + 1);
  for (const node of graph.nodes) node.inputs.forEach(count);
  graph.outputs.forEach(count);
  return uses;
}
