import { ConstantOp, decodeElement, GraphError, type Node, PlaceholderOp, topologicalOrder, type Value } from "../ir/index.ts";
import { type HostTensor, hostTensor, type OpEntry } from "./define.ts";

/** Computes values by the ops' plain reference implementations, in double precision. Static shapes only. */
export function evaluate(outputs: readonly Value[], inputs: ReadonlyMap<Value, HostTensor>): HostTensor[] {
  const results = new Map<Node, readonly HostTensor[]>();
  for (const node of topologicalOrder(outputs)) {
    const { op } = node;
    if (op instanceof PlaceholderOp) {
      const given = inputs.get(node.outputs[0]);
      if (!given) throw new GraphError({ where: "evaluate", expected: `numbers for ${op.label}`, received: "none", fix: "pass them" });
      results.set(node, [given]);
    } else if (op instanceof ConstantOp) {
      const numbers = Array.from({ length: op.data.length }, (_, i) => decodeElement(op.type.dtype, op.data, i));
      results.set(node, [hostTensor(op.type.shape, numbers)]);
    } else {
      const operands = node.inputs.map((input) => (results.get(input.node) as readonly HostTensor[])[input.index]);
      results.set(node, (op as OpEntry).reference(operands, node.attributes, node.outputs));
    }
  }
  return outputs.map((output) => (results.get(output.node) as readonly HostTensor[])[output.index]);
}
