/**
 * How ops work on a whole batch at once, for vmap: the rules that many entries share. Functions, since the files refer
 * to one another.
 */
import { type Attributes, applyOp, type Node, type Value } from "../ir/index.ts";
import { broadcastTo, reshape } from "./shape.ts";

/**
 * Applies a node to operands that have a batch as a new axis 0 where `isBatched`, and gives outputs that all have it.
 * undefined means that the op cannot in this case.
 */
export type BatchRule = (
  node: Node,
  operands: readonly Value[],
  isBatched: readonly boolean[],
) => readonly Value[] | undefined;

const sizeOfBatch = (operands: readonly Value[], isBatched: readonly boolean[]) =>
  operands[isBatched.indexOf(true)].shape[0];

/** The same for each example: [...] -> [B, ...]. */
export function spread(x: Value, size: Value["shape"][number]): Value {
  return broadcastTo(reshape(x, [1, ...x.shape]), [size, ...x.shape]);
}

/** Ops that broadcast: sizes of 1 are put after the batch, so that the examples line up at the right as before. */
export function elementwise(node: Node, operands: readonly Value[], isBatched: readonly boolean[]): readonly Value[] {
  const rank = Math.max(...node.inputs.map(({ shape }) => shape.length));
  const aligned = operands.map((x, i) => {
    if (!isBatched[i]) return x;
    const ones = new Array<number>(rank - node.inputs[i].shape.length).fill(1);
    return reshape(x, [x.shape[0], ...ones, ...x.shape.slice(1)]);
  });
  return applyOp(node.op, aligned, node.attributes, node.scope);
}

/** Ops whose attributes name axes or sizes: these move up by one. All operands get the batch. */
export function alongAxes(node: Node, operands: readonly Value[], isBatched: readonly boolean[]): readonly Value[] {
  const size = sizeOfBatch(operands, isBatched);
  const shifted: Record<string, Attributes[string]> = { ...node.attributes };
  const list = (key: string) => node.attributes[key] as readonly number[] | undefined;
  if (typeof shifted.axis === "number") shifted.axis += 1;
  if (list("axes")) shifted.axes = list("axes")?.map((axis) => axis + 1);
  if (list("permutation")) shifted.permutation = [0, ...(list("permutation") ?? []).map((axis) => axis + 1)];
  if (list("shape")) shifted.shape = [size, ...(list("shape") ?? [])];
  for (const key of ["before", "after"]) if (list(key)) shifted[key] = [0, ...(list(key) ?? [])];
  const spreadOut = operands.map((x, i) => (isBatched[i] ? x : spread(x, size)));
  return applyOp(node.op, spreadOut, shifted, node.scope);
}

/** Ops that treat all leading axes of the first operand alike, and whose other operands belong to the last axes. */
export function leadingAxes(
  node: Node,
  operands: readonly Value[],
  isBatched: readonly boolean[],
): readonly Value[] | undefined {
  return isBatched.lastIndexOf(true) === 0 ? applyOp(node.op, operands, node.attributes, node.scope) : undefined;
}

/** Ops on the last two axes, whose leading axes must agree. */
export function alongMatrices(node: Node, operands: readonly Value[], isBatched: readonly boolean[]): readonly Value[] {
  const size = sizeOfBatch(operands, isBatched);
  const whole = operands.map((x, i) => (isBatched[i] ? x : spread(x, size)));
  return applyOp(node.op, whole, node.attributes, node.scope);
}

/**
 * Ops on [N, ...] that work on each of N alone: the batch becomes part of N. Of the operands the first `count` have an
 * N.
 */
export function foldedInto(count: number): BatchRule {
  return (node, operands, isBatched) => {
    if (isBatched.slice(count).includes(true)) return undefined;
    const size = sizeOfBatch(operands, isBatched) as number;
    const folded = operands.map((x, i) => {
      if (i >= count) return x;
      const whole = isBatched[i] ? x : spread(x, size);
      return reshape(whole, [size * (whole.shape[1] as number), ...whole.shape.slice(2)]);
    });
    return applyOp(node.op, folded, node.attributes, node.scope).map((y, i) =>
      reshape(y, [size, ...node.outputs[i].shape]),
    );
  };
}
