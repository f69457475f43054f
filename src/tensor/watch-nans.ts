import { isFloat, RuntimeError } from "../base/index.ts";
import { describe, type Node, nameNode, topologicalOrder, type Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import type { Probe } from "./probe.ts";

/** Fails a run that makes a NaN, and names the first node that did. Its value: a flag for each node, i32. */
export function watchNans(outputs: readonly Value[]): Probe | undefined {
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
  return {
    values: [ops.concat(flags)],
    look: ([flags]) => {
      const first = watched.find((_, i) => Number(flags[i]) !== 0);
      if (first) throw nanError(first);
    },
  };
}

function nanError(node: Node): RuntimeError {
  return new RuntimeError({
    where: nameNode(node),
    expected: "numbers",
    received: `NaN from ${node.op.name}(${node.inputs.map(describe).join(", ")})`,
    fix: "look at its inputs: a logarithm of a negative number, 0 / 0 or infinity - infinity makes NaN",
  });
}
