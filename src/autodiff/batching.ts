/** How ops work on a whole batch at once: what the rules of their entries mean (BatchRule in ops/entry.ts). */
import { type Attributes, applyOp, Node, placeholder, type Size, type Value } from "../ir/index.ts";
import { broadcastTo, type NamedBatchRule, type OpEntry, reshape } from "../ops/index.ts";
import { closeOver } from "./body.ts";
import { applyScan } from "./scan-gradient.ts";

/** A node, and its operands for all examples: with the batch as a new axis 0 where `isBatched`, for at least one. */
export interface BatchedNode {
  node: Node;
  operands: readonly Value[];
  isBatched: readonly boolean[];
}

/** The outputs of a node for all examples, each with the batch as axis 0. */
export function applyToBatch(batched: BatchedNode): readonly Value[] {
  const { node, operands, isBatched } = batched;
  const { batch } = node.op as OpEntry;
  const answer = typeof batch === "function" ? batch(node, operands, isBatched) : batch;
  return isValues(answer) ? answer : applyByRule(answer, batched);
}

const isValues = (answer: readonly Value[] | NamedBatchRule): answer is readonly Value[] => Array.isArray(answer);

function applyByRule(rule: NamedBatchRule, batched: BatchedNode): readonly Value[] {
  if (typeof rule !== "string") return foldedInto(rule.fold, batched);
  switch (rule) {
    case "elementwise":
      return elementwise(batched);
    case "axes":
      return alongAxes(batched);
    case "leading":
      return leadingAxes(batched);
    case "matrices":
      return alongMatrices(batched);
    case "oneByOne":
      return oneByOne(batched);
  }
}

const sizeOfBatch = ({ operands, isBatched }: BatchedNode): Size => operands[isBatched.indexOf(true)].shape[0];

/** The same for each example: [...] -> [B, ...]. */
export function spread(x: Value, size: Size): Value {
  return broadcastTo(reshape(x, [1, ...x.shape]), [size, ...x.shape]);
}

/** All operands with the batch. */
function spreadAll(batched: BatchedNode): Value[] {
  const size = sizeOfBatch(batched);
  return batched.operands.map((x, i) => (batched.isBatched[i] ? x : spread(x, size)));
}

function elementwise({ node, operands, isBatched }: BatchedNode): readonly Value[] {
  const rank = Math.max(...node.inputs.map(({ shape }) => shape.length));
  const aligned = operands.map((x, i) => {
    if (!isBatched[i]) return x;
    const ones = new Array<number>(rank - node.inputs[i].shape.length).fill(1);
    return reshape(x, [x.shape[0], ...ones, ...x.shape.slice(1)]);
  });
  return applyOp(node.op, aligned, node.attributes, node.scope);
}

function alongAxes(batched: BatchedNode): readonly Value[] {
  const { node } = batched;
  const shifted: Record<string, Attributes[string]> = { ...node.attributes };
  const list = (key: string) => node.attributes[key] as readonly number[] | undefined;
  if (typeof shifted.axis === "number") shifted.axis += 1;
  if (list("axes")) shifted.axes = list("axes")?.map((axis) => axis + 1);
  if (list("permutation")) shifted.permutation = [0, ...(list("permutation") ?? []).map((axis) => axis + 1)];
  if (list("shape")) shifted.shape = [sizeOfBatch(batched), ...(list("shape") ?? [])];
  for (const key of ["before", "after"]) if (list(key)) shifted[key] = [0, ...(list(key) ?? [])];
  return applyOp(node.op, spreadAll(batched), shifted, node.scope);
}

function leadingAxes(batched: BatchedNode): readonly Value[] {
  const { node, operands, isBatched } = batched;
  if (isBatched.lastIndexOf(true) > 0) return oneByOne(batched); // each example has its own weights, say
  return applyOp(node.op, operands, node.attributes, node.scope);
}

function alongMatrices(batched: BatchedNode): readonly Value[] {
  const { node } = batched;
  return applyOp(node.op, spreadAll(batched), node.attributes, node.scope);
}

function foldedInto(count: number, batched: BatchedNode): readonly Value[] {
  const { node, operands, isBatched } = batched;
  if (isBatched.slice(count).includes(true)) return oneByOne(batched);
  const size = sizeOfBatch(batched) as number;
  const folded = operands.map((x, i) => {
    if (i >= count) return x;
    const whole = isBatched[i] ? x : spread(x, size);
    return reshape(whole, [size * (whole.shape[1] as number), ...whole.shape.slice(2)]);
  });
  return applyOp(node.op, folded, node.attributes, node.scope).map((y, i) =>
    reshape(y, [size, ...node.outputs[i].shape]),
  );
}

/** A scan over the batch whose step is this node. */
function oneByOne({ node, operands, isBatched }: BatchedNode): readonly Value[] {
  const slices = operands.flatMap((operand, i) =>
    isBatched[i] ? [{ operand, formal: placeholder(`example ${i}`, node.inputs[i]) }] : [],
  );
  const next = slices.values();
  const inputs = operands.map((operand, i) =>
    isBatched[i] ? (next.next().value as { formal: Value }).formal : operand,
  );
  const step = new Node(node.op, inputs, node.attributes, node.outputs, node.scope);
  const { graph, captured } = closeOver(
    slices.map(({ formal }) => formal),
    step.outputs,
  );
  return applyScan(graph, { carries: 0, sequences: slices.length, reverse: false }, [
    ...slices.map(({ operand }) => operand),
    ...captured,
  ]).outputs;
}
