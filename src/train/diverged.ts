import { isFloat, KindlingError } from "../base/index.ts";
import { type Node, nameNode, PlaceholderOp, topologicalOrder } from "../ir/index.ts";
import { mul, sum } from "../ops/index.ts";
import { readTensors, Tensor, type Variable } from "../tensor/index.ts";
import type { Objective } from "./objective.ts";

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

/** What is known of a step whose loss or gradients are not finite, its update undone where that was possible. */
interface Divergence<B> {
  objective: Objective<B>;
  step: number;
  loss: number;
  batches: readonly B[];
  checkpoint: string | undefined;
}

/** The error of such a step: it names the tensor that went first, or the lack of labels, and says how to go on. */
export async function divergence<B>(known: Divergence<B>): Promise<DivergedError> {
  const { objective, step, loss, batches, checkpoint } = known;
  const results = batches.map((batch) => objective.loss(batch, {}));
  const weights = await Promise.all(results.map(({ weight }) => weight?.item() ?? 1));
  if (weights.every((weight) => weight === 0)) {
    return new DivergedError({
      where: `training step ${step}`,
      expected: "a label that counts",
      received: "batches in which every label is ignored, so that the loss is the mean of nothing",
      fix: "leave such rows out, or allow longer sequences, so that their labels are not cut off",
    });
  }
  const parameters = [...objective.trained.values()].map((parameter) => parameter.value);
  const first = await firstNonFinite([...parameters, ...results.map((result) => result.loss)], objective.state);
  return new DivergedError({
    where: `training step ${step}`,
    expected: "a finite loss",
    received: `${loss}${first ? `; the first tensor to go was ${first}` : "; the forward pass is finite, so a gradient overflowed"}`,
    fix: `lower the learning rate or the clip norm${checkpoint ? `, and resume from ${checkpoint}` : ""}`,
  });
}

function describeNode(node: Node): string {
  return node.op instanceof PlaceholderOp ? node.op.label : nameNode(node);
}
