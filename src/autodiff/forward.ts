import { isFloat } from "../base/index.ts";
import type { Value } from "../ir/index.ts";
import { broadcastTo, scalar } from "../ops/index.ts";
import { pullBack } from "./reverse.ts";

/**
 * Forward mode: the directional derivatives of `outputs` when `inputs` move along `tangents`. The vector-Jacobian
 * product is linear in its cotangent u, so its own gradient with respect to u is the Jacobian times a vector, whatever
 * u is; what u itself would have cost is not part of the result. (The "double backward" trick, J. Townsend 2017.) An
 * output that the inputs do not influence has tangent 0.
 */
export function pushForward(outputs: readonly Value[], inputs: readonly Value[], tangents: readonly Value[]): Value[] {
  const zeros = (like: Value) => broadcastTo(scalar(0, like.dtype), like.shape);
  // fresh zeros for each output: they are the variables of the second pass
  const cotangents = outputs.map((output) => (isFloat(output.dtype) ? zeros(output) : undefined));
  const pulled = pullBack(outputs, cotangents, inputs);
  const reached = pulled.flatMap((value, i) => (value ? [{ value, tangent: tangents[i] }] : []));
  const variables = cotangents.filter((value) => value !== undefined);
  const derivatives = pullBack(
    reached.map(({ value }) => value),
    reached.map(({ tangent }) => tangent),
    variables,
  ).values();
  return outputs.map((output, i) => (cotangents[i] ? (derivatives.next().value ?? zeros(output)) : zeros(output)));
}
