import { GraphError } from "../base/index.ts";
import type { Graph } from "./graph.ts";
import { describe, type Node } from "./graph.ts";
import { nameNode } from "./printer.ts";
import { shapesEqual } from "./size.ts";

/** Nodes whose types were inferred again: nodes do not change, and most go through all passes. */
const verified = new WeakSet<Node>();

/**
 * Verifies a graph: inputs come before users, every input is really an output of its node, and inferring the types
 * again gives the types recorded. Runs between passes, so a wrong pass is caught where it happened.
 * @throws GraphError naming the pass and the node.
 */
export function checkGraph(graph: Graph, afterPass: string): void {
  const seen = new Set<Node>();
  for (const node of graph.nodes) {
    for (const input of node.inputs) {
      if (!seen.has(input.node))
        fail(afterPass, node, "inputs that are computed before it", `${nameNode(input.node)}, which comes later`);
      if (input.node.outputs[input.index] !== input)
        fail(afterPass, node, "inputs that are outputs of their node", describe(input));
    }
    seen.add(node);
    if (verified.has(node)) continue;
    const types = node.op.inferTypes(node.inputs, node.attributes);
    types.forEach((type, i) => {
      const recorded = node.outputs[i];
      if (!recorded || recorded.dtype !== type.dtype || !shapesEqual(recorded.shape, type.shape)) {
        fail(afterPass, node, `output ${i} to be ${describe(type)}`, recorded ? describe(recorded) : "nothing");
      }
    });
    for (const body of node.op.bodies ?? []) checkGraph(body, `${afterPass}, body of ${nameNode(node)}`);
    verified.add(node);
  }
}

function fail(afterPass: string, node: Node, expected: string, received: string): never {
  throw new GraphError({
    where: `checker after ${afterPass}, ${nameNode(node)}`,
    expected,
    received,
    fix: "this is a bug in the pass; please report it with the printed graph",
  });
}
