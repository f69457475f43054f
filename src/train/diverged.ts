import { isFloat, KindlingError, type Node, nameNode, PlaceholderOp, topologicalOrder } from "../ir/index.ts";
import { mul, sum } from "../ops/index.ts";
import { readTensors, Tensor } from "../tensor/index.ts";

/** The loss became infinite or not a number. `tensor` names where it began. */
export class DivergedError extends KindlingError {}

/**
 * Finds the first tensor, in the order of computation, that is not finite: among all that `outputs`
 * are computed from, with the state as it is now. Undefined when all are finite.
 */
export async function firstNonFinite(outputs: readonly Tensor[]): Promise<string | undefined> {
  const suspects = topologicalOrder(outputs.map((output) => output.value))
    .flatMap((node) => node.outputs)
    .filter((value) => isFloat(value.dtype));
  // x * 0 is 0 for every finite x and NaN otherwise, so the sum tells about the whole tensor
  const checks = suspects.map((value) => new Tensor(sum(mul(value, 0))));
  const results = await readTensors(checks);
  const at = results.findIndex(([result]) => result !== 0);
  return at < 0 ? undefined : describeNode(suspects[at].node);
}

function describeNode(node: Node): string {
  return node.op instanceof PlaceholderOp ? node.op.label : nameNode(node);
}
