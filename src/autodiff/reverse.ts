import { GraphError, isFloat, ShapeError } from "../base/index.ts";
import {
  broadcastShapes,
  describe,
  type Node,
  nameNode,
  shapesEqual,
  topologicalOrder,
  type Value,
} from "../ir/index.ts";
import { add, broadcastTo, type OpEntry, scalar, sumTo, withScope } from "../ops/index.ts";
import { captureConstants } from "./capture.ts";

/**
 * Reverse-mode gradients of a scalar: one value for each of `targets`, with the target's shape. The result is ordinary
 * graph, so it can be differentiated again.
 *
 * @throws GraphError when `loss` is not a float scalar, when a target does not influence it, or when an op on the way
 *   has no derivative.
 */
export function gradients(loss: Value, targets: readonly Value[]): Value[] {
  if (loss.shape.length !== 0 || !isFloat(loss.dtype)) {
    throw new GraphError({
      where: "grad",
      expected: "a float scalar to differentiate",
      received: describe(loss),
      fix: "reduce it first, for example mean(loss)",
    });
  }
  return pullBack([loss], [scalar(1, loss.dtype)], targets).map((gradient, i) => {
    if (gradient) return gradient;
    throw new GraphError({
      where: "grad",
      expected: "a tensor that influences the loss through differentiable operations",
      received: `${describe(targets[i])} (${nameNode(targets[i].node)}), which does not`,
      fix: "use it in the loss, remove stopGradient or integer casts on the way, or leave it out of the gradient",
    });
  });
}

/**
 * The vector-Jacobian product: gradients of the sum over i of outputs[i] . cotangents[i], undefined for targets that do
 * not influence it. Each node contributes through its op entry's `gradient`; contributions are brought to the shape of
 * their value, and those that meet there are added.
 */
export function pullBack(
  outputs: readonly Value[],
  cotangents: readonly (Value | undefined)[],
  targets: readonly Value[],
): (Value | undefined)[] {
  const both = captureConstants([...outputs, ...targets], targets);
  return pullBackInputs(both.slice(0, outputs.length), cotangents, both.slice(outputs.length));
}

/** As `pullBack`, where targets are no constants inside of bodies. */
function pullBackInputs(
  outputs: readonly Value[],
  cotangents: readonly (Value | undefined)[],
  targets: readonly Value[],
): (Value | undefined)[] {
  const accumulated = new Map<Value, Value>();
  const contribute = (value: Value, contribution: Value) => {
    const sum = accumulated.get(value);
    accumulated.set(value, sum ? add(sum, contribution) : contribution);
  };
  outputs.forEach((output, i) => {
    const cotangent = cotangents[i];
    if (!cotangent) return;
    if (!shapesEqual(output.shape, cotangent.shape) || output.dtype !== cotangent.dtype) {
      throw new ShapeError({
        where: "gradient",
        expected: `a cotangent of ${describe(output)}`,
        received: describe(cotangent),
        fix: "give it the output's shape",
      });
    }
    contribute(output, cotangent);
  });
  const order = topologicalOrder(outputs);
  const relevant = nodesOnThePath(order, targets);
  const wanted = new Set(targets);
  for (const node of order.reverse()) {
    const dys = node.outputs.map((output) => accumulated.get(output));
    if (!relevant.has(node) || dys.every((dy) => dy === undefined) || node.inputs.length === 0) continue;
    const isNeeded = (input: Value) => relevant.has(input.node) || wanted.has(input);
    const contributions = withScope(node.scope ? `grad(${node.scope})` : "", () =>
      (node.op as OpEntry).gradient(node, dys).map((contribution, i) => {
        const input = node.inputs[i];
        return contribution && isNeeded(input) ? inShapeOf(input, contribution, node) : undefined;
      }),
    );
    contributions.forEach((contribution, i) => {
      if (contribution) contribute(node.inputs[i], contribution);
    });
  }
  return targets.map((target) => accumulated.get(target));
}

/**
 * A contribution in the shape of its input: summed over the axes along which the op has broadcast the input, or
 * stretched where it is the same along an axis. So an entry's gradient need not know of broadcasting.
 */
function inShapeOf(input: Value, contribution: Value, node: Node): Value {
  if (shapesEqual(contribution.shape, input.shape)) return contribution;
  const both = broadcastShapes(contribution.shape, input.shape);
  if (both && shapesEqual(both, contribution.shape)) return sumTo(contribution, input.shape);
  if (both && shapesEqual(both, input.shape)) return broadcastTo(contribution, input.shape);
  throw new ShapeError({
    where: `gradient of ${node.op.name}`,
    expected: `a gradient of ${describe(input)}, or one that broadcasts to it or from it`,
    received: describe(contribution),
    fix: "check the gradient of this operation's entry",
  });
}

/** Nodes that depend on a target: only through these do gradients have to flow. */
function nodesOnThePath(order: readonly Node[], targets: readonly Value[]): Set<Node> {
  const relevant = new Set(targets.map((target) => target.node));
  for (const node of order) {
    if (node.inputs.some((input) => relevant.has(input.node))) relevant.add(node);
  }
  return relevant;
}
