import {
  DTypeError,
  IGNORED_LABEL,
  isFloat,
  isInteger,
  numberRules,
  OptionError,
  requireNumbers,
  ShapeError,
  toNumbers,
} from "../base/index.ts";
import { ConstantOp, describe, type Size, shapesEqual, sizesEqual, type Value } from "../ir/index.ts";
import { applyAll, scalar } from "./apply.ts";
import { add, div, exp, mul, neg } from "./arithmetic.ts";
import { defineMultiOp } from "./define.ts";
import { where } from "./elementwise.ts";
import { gather, scatterAddAlong, takeAlong } from "./gather.ts";
import { hostTensor } from "./host-tensor.ts";
import { equal, less } from "./logic.ts";
import { onnxTypeCode } from "./lowering.ts";
import { logSoftmax, lowerLogSoftmax } from "./normalize.ts";
import { sum } from "./reduce.ts";
import { beneathReshapes, broadcastTo, reshape } from "./shape.ts";

/** Beyond every axis: a lookup with it fails, where a negative index would count from the end. */
const BEYOND = 2 ** 31 - 1;

/** @throws ShapeError for a target that is no class and not the one that does not count */
function requireClasses(targets: readonly number[] | Float64Array, count: number, ignoreIndex: number): void {
  const at = targets.findIndex((target) => target !== ignoreIndex && !(target >= 0 && target < count));
  if (at < 0) return;
  throw new ShapeError({
    where: "crossEntropy",
    expected: `targets from 0 to ${count - 1}, or ${ignoreIndex}, which does not count`,
    received: `${targets[at]} at position ${at}`,
    fix: "check the labels, or say with ignoreIndex which do not count",
  });
}

/** The check of targets that are constants; others are checked when they are used. */
function requireConstantClasses(targets: Value, count: Size, ignoreIndex: number): void {
  const { op } = beneathReshapes(targets).node;
  if (op instanceof ConstantOp && typeof count === "number")
    requireClasses(toNumbers(op.type.dtype, op.data), count, ignoreIndex);
}

/** Classes to look up: 0 where the target does not count, and none where it is negative. [N] */
const classesOf = (targets: Value, ignored: Value): Value =>
  where(ignored, 0, where(less(targets, 0), BEYOND, targets));

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
    const zero = graph.constant(indexType, [], [0]);
    const counting = graph.node("Where", [ignored, zero, targets]);
    const isNegative = graph.node("Less", [counting, zero]);
    const safe = graph.node("Where", [isNegative, graph.constant(indexType, [], [BEYOND]), counting]);
    const column = graph.sizes([shape[0], 1]);
    // [N, 1]
    const places = graph.node("Reshape", [safe, column]);
    let picked = graph.node("GatherElements", [logProbabilities, places], { axis: 1 });
    if (graph.isWebGpu) {
      // its lookups fail at nothing: what is no class is NaN
      const count = graph.node("Cast", [graph.sizes([shape[1]])], { to: onnxTypeCode[indexType] });
      const isClass = graph.node("Less", [places, count]);
      picked = graph.node("Where", [isClass, picked, graph.constant(dtype, [], [Number.NaN])]);
    }
    const counted = graph.node("Cast", [graph.node("Reshape", [graph.node("Not", [ignored]), column])], {
      to: onnxTypeCode[dtype],
    });
    const total = graph.node("ReduceSum", [graph.node("Mul", [picked, counted])], { keepdims: 0 });
    const mean = graph.node("Div", [total, graph.node("ReduceSum", [counted], { keepdims: 0 })]);
    return [graph.node("Neg", [mean]), logProbabilities];
  },
  reference: ({ logits, targets }, { ignoreIndex }, [, type]) => {
    const vocabulary = logits.shape[1];
    requireClasses(targets.data, vocabulary, ignoreIndex);
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
    const safeTargets = reshape(classesOf(targets, ignored), [targets.shape[0], 1]);
    through.push(scatterAddAlong(mul(probabilities, rows), safeTargets, neg(rows), 1));
  }
  if (dLogProbabilities) {
    const total = sum(dLogProbabilities, { axes: 1, keepDims: true });
    through.push(dLogProbabilities, neg(mul(probabilities, broadcastTo(total, logits.shape))));
  }
  return { logits: through.reduce((a, b) => add(a, b)) };
}

const countRows = (ignored: Value, like: Value) => sum(where(ignored, 0, scalar(1, like.dtype)));

/** How the losses of rows become one number: their mean, their sum, or not at all. */
export type LossReduction = "mean" | "sum" | "none";

/** @throws OptionError for another word */
export function requireReduction(where: string, reduction: string, also: readonly string[] = []): void {
  const known = ["mean", "sum", "none", ...also];
  if (known.includes(reduction)) return;
  throw new OptionError({
    where,
    expected: `reduction to be one of ${known.join(", ")}`,
    received: JSON.stringify(reduction) ?? String(reduction),
    fix: "choose one of these",
  });
}

/** Which rows and classes count in `nllLoss`. */
export interface NllLossOptions {
  /** Rows with this target do not count. @default -100 */
  ignoreIndex?: number;
  /** How much each class counts: [V]. @default all the same */
  weight?: Value;
  /** The mean is that of the rows that count, weighted by the weights of their targets. @default "mean" */
  reduction?: LossReduction;
}

/** Which rows and classes count in `crossEntropy`, and how sure the targets are. */
export interface CrossEntropyOptions extends NllLossOptions {
  /**
   * Share of the target probability that is spread evenly over all classes. Szegedy et al. 2015, arXiv:1512.00567.
   * @default 0
   */
  labelSmoothing?: number;
}

/** What of each row counts: [N] each. */
interface Rows {
  /** Whether its target is ignoreIndex. */
  ignored: Value;
  /** The weight of its target, or 1; 0 where it is ignored. */
  counted: Value;
  /** counted times the log probability of its target. */
  likelihood: Value;
}

function rowsOf(
  logProbabilities: Value,
  targets: Value,
  { ignoreIndex, weight }: { ignoreIndex: number; weight: Value | undefined },
): Rows {
  const ignored = equal(targets, ignoreIndex);
  const classes = classesOf(targets, ignored);
  const counted = where(ignored, 0, weight ? gather(weight, classes) : scalar(1, logProbabilities.dtype));
  const taken = reshape(takeAlong(logProbabilities, reshape(classes, [-1, 1]), 1), targets.shape);
  const size = logProbabilities.shape[1];
  const count = typeof size === "number" ? size : BEYOND;
  const picked = where(less(classes, count), taken, Number.NaN); // lookups on WebGPU fail at nothing
  return { ignored, counted, likelihood: where(ignored, 0, mul(picked, counted)) };
}

const reducedRows = (losses: Value, counted: Value, reduction: LossReduction): Value =>
  reduction === "none" ? losses : reduction === "sum" ? sum(losses) : div(sum(losses), sum(counted));

/**
 * Negative log likelihood of integer targets. logProbabilities: [N, V], targets: [N] -> [], or [N] without a reduction,
 * 0 for rows that do not count. A mean of no rows is NaN. A target that is neither a class nor ignoreIndex is an error,
 * of the run where the targets are not constants; on WebGPU the loss is NaN then.
 * @throws ShapeError for such constants. OptionError for an unknown reduction
 */
export function nllLoss(
  logProbabilities: Value,
  targets: Value,
  { ignoreIndex = IGNORED_LABEL, weight, reduction = "mean" }: NllLossOptions = {},
): Value {
  requireReduction("nllLoss", reduction);
  requireNumbers("nllLoss", { ignoreIndex }, { ignoreIndex: numberRules.integer });
  crossEntropyEntry.inferTypes([logProbabilities, targets], { ignoreIndex }); // checks the operands
  requireConstantClasses(targets, logProbabilities.shape[1], ignoreIndex);
  const { counted, likelihood } = rowsOf(logProbabilities, targets, { ignoreIndex, weight });
  return reducedRows(neg(likelihood), counted, reduction);
}

/**
 * Mean negative log likelihood of targets under softmax(logits), in nats. logits: [N, V], targets: classes [N], or
 * probabilities of all classes [N, V] -> [], or [N] without a reduction, 0 for rows that do not count. With a weight
 * the mean is weighted by those of the targets; of probabilities it is over all rows, as in PyTorch. A mean of no rows
 * is NaN. A class that is neither one of logits nor ignoreIndex is an error, of the run where the targets are not
 * constants; on WebGPU the loss is NaN then.
 * @throws ShapeError for such constants. OptionError for labelSmoothing that is not from 0 to 1, and an unknown
 *   reduction
 */
export function crossEntropy(
  logits: Value,
  targets: Value,
  { ignoreIndex = IGNORED_LABEL, labelSmoothing = 0, weight, reduction = "mean" }: CrossEntropyOptions = {},
): Value {
  requireReduction("crossEntropy", reduction);
  requireNumbers(
    "crossEntropy",
    { labelSmoothing, ignoreIndex },
    { labelSmoothing: numberRules.fraction, ignoreIndex: numberRules.integer },
  );
  if (isFloat(targets.dtype)) return probabilityLoss(logits, targets, { labelSmoothing, weight, reduction });
  crossEntropyEntry.inferTypes([logits, targets], { ignoreIndex }); // checks the operands
  requireConstantClasses(targets, logits.shape[1], ignoreIndex);
  if (labelSmoothing === 0 && !weight && reduction !== "none") {
    const mean = applyAll(crossEntropyEntry, [logits, targets], { ignoreIndex })[0];
    if (reduction === "mean") return mean;
    const count = countRows(equal(targets, ignoreIndex), logits);
    return where(equal(count, 0), 0, mul(mean, count));
  }
  const logProbabilities = logSoftmax(logits, 1);
  const { ignored, counted, likelihood } = rowsOf(logProbabilities, targets, { ignoreIndex, weight });
  if (labelSmoothing === 0) return reducedRows(neg(likelihood), counted, reduction);
  const everyClass = sum(weight ? mul(logProbabilities, weight) : logProbabilities, { axes: 1 });
  const spread = mul(where(ignored, 0, everyClass), labelSmoothing / (logits.shape[1] as number));
  return reducedRows(neg(add(mul(likelihood, 1 - labelSmoothing), spread)), counted, reduction);
}

/** Cross-entropy with probabilities of all classes as targets: [N, V] */
function probabilityLoss(
  logits: Value,
  targets: Value,
  { labelSmoothing, weight, reduction }: { labelSmoothing: number; weight?: Value; reduction: LossReduction },
): Value {
  if (logits.shape.length !== 2 || !shapesEqual(logits.shape, targets.shape) || logits.dtype !== targets.dtype) {
    throw new ShapeError({
      where: "crossEntropy",
      expected: "logits and target probabilities [N, V] of one dtype",
      received: `logits ${describe(logits)}, targets ${describe(targets)}`,
      fix: "give a probability for each class, or classes as integers [N]",
    });
  }
  const count = logits.shape[1] as number;
  const spread = labelSmoothing > 0 ? add(mul(targets, 1 - labelSmoothing), labelSmoothing / count) : targets;
  const logProbabilities = logSoftmax(logits, 1);
  const weighted = weight ? mul(logProbabilities, weight) : logProbabilities;
  const losses = neg(sum(mul(weighted, spread), { axes: 1 }));
  return reducedRows(losses, broadcastTo(scalar(1, logits.dtype), losses.shape), reduction);
}
