import { ConstantOp, Graph, Node, placeholder, topologicalOrder, type Value } from "../ir/index.ts";
import type { OpEntry } from "../ops/index.ts";

/**
 * The same values, with constants that loops, branches and calls have inside their bodies as inputs of those: a
 * gradient reaches what is an input alone. What contains none of the constants stays as it is.
 */
export function captureConstants(values: readonly Value[], targets: readonly Value[]): Value[] {
  const constants = targets.filter(({ node }) => node.op instanceof ConstantOp);
  return constants.length > 0
    ? replaced(values, new Map(constants.map((value) => [value, value] as const)))
    : [...values];
}

/** Values computed anew with stand-ins for constants, inside of bodies too. */
function replaced(values: readonly Value[], stands: ReadonlyMap<Value, Value>): Value[] {
  const copies = new Map<Node, Node>();
  const lookUp = (value: Value): Value => stands.get(value) ?? copies.get(value.node)?.outputs[value.index] ?? value;
  for (const node of topologicalOrder(values)) {
    let op = node.op as OpEntry;
    let inputs = node.inputs.map(lookUp);
    const captured = constantsIn(op, stands);
    if (captured.length > 0 && op.bodies && op.withCaptured) {
      const bodies = op.bodies.map((body) => withInputs(body, captured));
      ({ op, inputs } = op.withCaptured(bodies, inputs, captured.map(lookUp)));
    }
    if (op !== node.op || inputs.some((input, i) => input !== node.inputs[i]))
      copies.set(node, new Node(op, inputs, node.attributes, node.outputs, node.scope));
  }
  return values.map(lookUp);
}

/** Those constants that an op has in its bodies, or in those of ops in them. */
function constantsIn({ bodies = [] }: OpEntry, stands: ReadonlyMap<Value, Value>): Value[] {
  const present = new Set<Value>();
  for (const body of bodies) {
    for (const value of body.outputs) if (stands.has(value)) present.add(value);
    for (const node of body.nodes) {
      for (const input of node.inputs) if (stands.has(input)) present.add(input);
      for (const value of constantsIn(node.op as OpEntry, stands)) present.add(value);
    }
  }
  return [...present];
}

/** A body with a further input in the place of each constant. */
function withInputs(body: Graph, constants: readonly Value[]): Graph {
  const stands = new Map(constants.map((value, i) => [value, placeholder(`captured constant ${i}`, value)] as const));
  return new Graph([...body.inputs, ...stands.values()], replaced(body.outputs, stands));
}
