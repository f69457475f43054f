import { DTypeError, isInteger, ShapeError } from "../base/index.ts";
import { describe, sizesEqual, type Value } from "../ir/index.ts";
import { applyAll, scalar } from "./apply.ts";
import { add, div, exp, mul, neg } from "./arithmetic.ts";
import { defineMultiOp } from "./define.ts";
import { where } from "./elementwise.ts";
import { gather, scatterAddAlong, takeAlong } from "./gather.ts";
import { hostTensor } from "./host-tensor.ts";
import { equal } from "./logic.ts";
import { onnxTypeCode } from "./lowering.ts";
import { logSoftmax, lowerLogSoftmax } from "./normalize.ts";
import { sum } from "./reduce.ts";
import { broadcastTo, reshape } from "./shape.ts";

type CrossEntropyAttributes = { ignoreIndex: number };

const crossEntropyEntry = defineMultiOp<"logits" | "targets", CrossEntropyAttributes>({
  name: "crossEntropy",
  precision: "f32",
  batch: "oneByOne",
  indexBound: ({ inputs: [logits] }) => logits.shape[1],
  inputs: ["logits", "targets"],
  infer: ({ logits, targets }) => {
    if (!isInteger(targets.dtype)) {
      throw new DTypeError({
        where: "crossEntropy",
        expected: "i32 or i64 targets",
        received: describe(targets),
        fix: `cast them: cast(targets, "i32")`,
      });
    }
    if (logits.shape.length !== 2 || targets.shape.length !== 1 || !sizesEqual(logits.shape[0], targets.shape[0])) {
      throw new ShapeError({
        where: "crossEntropy",
        expected: "logits [N, V] and targets [N]",
        received: `logits ${describe(logits)}, targets ${describe(targets)}`,
        fix: "reshape logits to [B * T, V] and targets to [B * T]",
      });
    }
    return [{ dtype: logits.dtype, shape: [] }, logits];
  },
  gradient: crossEntropyGradient,
  // output 1, the log probabilities, is kept for the gradient; ONNX's SoftmaxCrossEntropyLoss does the same in twice
  // the time
  lower: (graph, { logits, targets }, { ignoreIndex }, node) => {
    const [{ dtype, shape }, { dtype: indexType }] = node.inputs;
    const logProbabilities = lowerLogSoftmax(graph, logits, 1);
    const ignored = graph.node("Equal", [targets, graph.constant(indexType, [], [ignoreIndex])]); // [N]
    const safe = graph.node("Where", [ignored, graph.constant(indexType, [], [0]), targets]);
    const column = graph.sizes([shape[0], 1]);
    // [N, 1]
    const picked = graph.node("GatherElements", [logProbabilities, graph.node("Reshape", [safe, column])], { axis: 1 });
    const counted = graph.node("Cast", [graph.node("Reshape", [graph.node("Not", [ignored]), column])], {
      to: onnxTypeCode[dtype],
    });
    const total = graph.node("ReduceSum", [graph.node("Mul", [picked, counted])], { keepdims: 0 });
    const mean = graph.node("Div", [total, graph.node("ReduceSum", [counted], { keepdims: 0 })]);
    return [graph.node("Neg", [mean]), logProbabilities];
  },
  reference: ({ logits, targets }, { ignoreIndex }, [, type]) => {
    const vocabulary = logits.shape[1];
    const logProbabilities = hostTensor(type.shape);
    let total = 0;
    let counted = 0;
    targets.data.forEach((target, row) => {
      const values = logits.data.slice(row * vocabulary, (row + 1) * vocabulary);
      const largest = Math.max(...values);
      const rest = Math.log(values.reduce((sum, v) => sum + Math.exp(v - largest), 0));
      values.forEach((v, i) => {
        logProbabilities.data[row * vocabulary + i] = v - largest - rest;
      });
      if (target === ignoreIndex) return;
      total += largest - values[target] + rest;
      counted++;
    });
    return [hostTensor([], [total / counted]), logProbabilities];
  },
});

interface CrossEntropyValues {
  logits: Value;
  targets: Value;
  ys: readonly Value[];
  dys: readonly (Value | undefined)[];
}

function crossEntropyGradient(
  { logits, targets, ys: [, logProbabilities], dys: [dy, dLogProbabilities] }: CrossEntropyValues,
  { ignoreIndex }: CrossEntropyAttributes,
): { logits: Value } {
  const probabilities = exp(logProbabilities); // [N, V]
  const through: Value[] = [];
  if (dy) {
    // d loss / d logits = (softmax - one-hot) / number of counted rows, 0 for ignored rows
    const ignored = equal(targets, ignoreIndex); // [N]
    const weight = where(ignored, 0, broadcastTo(div(dy, countRows(ignored, dy)), targets.shape));
    const rows = reshape(weight, [targets.shape[0], 1]);
    const safeTargets = reshape(where(ignored, 0, targets), [targets.shape[0], 1]);
    through.push(scatterAddAlong(mul(probabilities, rows), safeTargets, neg(rows), 1));
  }
  if (dLogProbabilities) {
    const total = sum(dLogProbabilities, { axes: 1, keepDims: true });
    through.push(dLogProbabilities, neg(mul(probabilities, broadcastTo(total, logits.shape))));
  }
  return { logits: through.reduce((a, b) => add(a, b)) };
}

const countRows = (ignored: Value, like: Value) => sum(where(ignored, 0, scalar(1, like.dtype)));

/** Which rows and classes count in `crossEntropy`, and how sure the targets are. */
export interface CrossEntropyOptions {
  /** Rows with this target do not count. @default -100 */
  ignoreIndex?: number;
  /**
   * Share of the target probability that is spread evenly over all classes. Szegedy et al. 2015, arXiv:1512.00567.
   * @default 0
   */
  labelSmoothing?: number;
  /** How much each class counts: [V]. @default all the same */
  weight?: Value;
}

/**
 * Mean negative log likelihood of integer targets under softmax(logits), in nats. logits: [N, V], targets: [N] -> [].
 * With a weight the mean is weighted by those of the targets.
 */
export function crossEntropy(
  logits: Value,
  targets: Value,
  { ignoreIndex = -100, labelSmoothing = 0, weight }: CrossEntropyOptions = {},
): Value {
  if (labelSmoothing === 0 && !weight) return applyAll(crossEntropyEntry, [logits, targets], { ignoreIndex })[0];
  crossEntropyEntry.inferTypes([logits, targets], { ignoreIndex }); // checks the operands
  const logProbabilities = logSoftmax(logits, 1);
  const ignored = equal(targets, ignoreIndex); // [N]
  const classes = where(ignored, 0, targets);
  const one = scalar(1, logits.dtype);
  const counted = where(ignored, 0, weight ? gather(weight, classes) : one); // [N]
  const picked = reshape(takeAlong(logProbabilities, reshape(classes, [-1, 1]), 1), targets.shape);
  const likelihood = mul(picked, counted);
  if (labelSmoothing === 0) return neg(div(sum(likelihood), sum(counted)));
  const everyClass = sum(weight ? mul(logProbabilities, weight) : logProbabilities, { axes: 1 });
  const spread = mul(where(ignored, 0, everyClass), labelSmoothing / (logits.shape[1] as number));
  return neg(div(sum(add(mul(likelihood, 1 - labelSmoothing), spread)), sum(counted)));
}
