import { isFloat, KindlingError } from "../base/index.ts";
import { type Node, nameNode, PlaceholderOp, topologicalOrder } from "../ir/index.ts";
import { mul, sum } from "../ops/index.ts";
import { readTensors, Tensor, type Variable } from "../tensor/index.ts";

/** The loss became infinite or not a number. `tensor` names where it began. */
export class DivergedError extends KindlingError {}

/**
 * Finds the first tensor, in the order of computation, that is not finite: among all that `outputs`
 * are computed from, with the state as it is now. Undefined when all are finite.
 * `names` are those of variables, as `model.namedState()` gives them.
 */
export async function firstNonFinite(
  outputs: readonly Tensor[],
  names: ReadonlyMap<string, Variable> = new Map(),
): Promise<string | undefined> {
  const suspects = topologicalOrder(outputs.map((output) => output.ir))
    .flatMap((node) => node.outputs)
    .filter((value) => isFloat(value.dtype));
  // x * 0 is 0 for every finite x and NaN otherwise, so the sum tells about the whole tensor
  const checks = suspects.map((value) => new Tensor(sum(mul(value, 0))));
  const results = await readTensors(checks);
  const at = results.findIndex(([result]) => result !== 0);
  if (at < 0) return undefined;
  const suspect = suspects[at];
  const variable = [...names].find(([, { value }]) => value.ir === suspect);
  return variable ? variable[0] : describeNode(suspect.node);
}

function describeNode(node: Node): string {
  return node.op instanceof PlaceholderOp ? node.op.label : nameNode(node);
}
