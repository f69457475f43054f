import { isFloat, RuntimeError } from "../base/index.ts";
import { describe, type Node, nameNode, topologicalOrder, type Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";

/** Whether each node's results have a NaN, in the order in which they are computed: i32, one for each. */
export function watchNans(outputs: readonly Value[]): { watched: Node[]; flags: Value } | undefined {
  const watched = topologicalOrder(outputs).filter(
    ({ inputs, outputs }) => inputs.length > 0 && outputs.some(({ dtype }) => isFloat(dtype)),
  );
  if (watched.length === 0) return undefined;
  const flagOf = (value: Value) => ops.reshape(ops.cast(ops.any(ops.isNan(value)), "i32"), [1]);
  const flags = watched.map((node) =>
    node.outputs
      .filter(({ dtype }) => isFloat(dtype))
      .map(flagOf)
      .reduce((a, b) => ops.maximum(a, b)),
  );
  return { watched, flags: ops.concat(flags) };
}

export function nanError(node: Node): RuntimeError {
  return new RuntimeError({
    where: nameNode(node),
    expected: "numbers",
    received: `NaN from ${node.op.name}(${node.inputs.map(describe).join(", ")})`,
    fix: "look at its inputs: a logarithm of a negative number, 0 / 0 or infinity - infinity makes NaN",
  });
}
