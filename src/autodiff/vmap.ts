import { ShapeError } from "../base/index.ts";
import { Node, topologicalOrder, type Value } from "../ir/index.ts";
import { moveAxis } from "../ops/index.ts";
import { applyToBatch, spread } from "./batching.ts";
import { traceBody } from "./body.ts";

/**
 * fn for every example of a batch at once: fn sees one example, the result is that of the whole batch. inputs[i] has
 * the batch as axis inAxes[i], or the same value for all examples where that is null. Results have the batch as axis 0.
 *
 * Each op's entry says how it works on batches (batching.ts); "oneByOne" is run example after example by a scan.
 */
export function vmap(
  fn: (...inputs: Value[]) => readonly Value[],
  inputs: readonly Value[],
  inAxes: readonly (number | null)[],
): Value[] {
  const first = inAxes.findIndex((axis) => axis !== null);
  if (first < 0 || inAxes.length !== inputs.length) {
    throw new ShapeError({
      where: "vmap",
      expected: `an axis for each of the ${inputs.length} arguments, not all null`,
      received: JSON.stringify(inAxes),
      fix: "name the batch axis",
    });
  }
  const fronted = inputs.map((input, i) => (inAxes[i] === null ? input : moveAxis(input, inAxes[i], 0)));
  const types = fronted.map((input, i) =>
    inAxes[i] === null ? input : { dtype: input.dtype, shape: input.shape.slice(1) },
  );
  const { graph, captured } = traceBody(types, fn);
  const size = fronted[first].shape[0];

  const batched = new Map<Value, Value>(); // from a value of one example to that of all, batch first
  const shared = new Map<Value, Value>(); // the same for all examples
  graph.inputs.forEach((formal, i) => {
    if (i < inputs.length && inAxes[i] !== null) batched.set(formal, fronted[i]);
    else shared.set(formal, i < inputs.length ? fronted[i] : captured[i - inputs.length]);
  });
  for (const node of topologicalOrder(graph.outputs)) {
    if (node.inputs.length === 0) continue;
    const operands = node.inputs.map((input) => batched.get(input) ?? shared.get(input) ?? input);
    const isBatched = node.inputs.map((input) => batched.has(input));
    if (!isBatched.includes(true)) {
      const { outputs } = new Node(node.op, operands, node.attributes, node.outputs, node.scope);
      for (const [i, output] of node.outputs.entries()) shared.set(output, outputs[i]);
      continue;
    }
    const results = applyToBatch({ node, operands, isBatched });
    for (const [i, output] of node.outputs.entries()) batched.set(output, results[i]);
  }
  return graph.outputs.map((output) => batched.get(output) ?? spread(shared.get(output) ?? output, size));
}
