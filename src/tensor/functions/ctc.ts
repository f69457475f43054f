import { type FloatDType, known, OptionError, ShapeError } from "../../base/index.ts";
import { requireStatic } from "../../ir/index.ts";
import * as ops from "../../ops/index.ts";
import { scan } from "../control.ts";
import { Tensor } from "../tensor.ts";

type Indices = Tensor<"i32" | "i64">;

/** N sequences of T frames over C classes, and up to S labels of each. */
export interface CtcLossInputs<D extends FloatDType> {
  /** Log probabilities. [T, N, C] */
  logProbs: Tensor<D>;
  /** Labels, padded to the longest. [N, S] */
  targets: Indices;
  /** Frames of each example that count. [N] */
  inputLengths: Indices;
  /** Labels of each example that count. [N] */
  targetLengths: Indices;
}
/** Which class is the blank, and how the losses of the examples are put together. */
export interface CtcLossOptions {
  /** The class that stands for "no label here". @default 0 */
  blank?: number;
  /** mean divides each loss by its number of labels first, as PyTorch does. @default "mean" */
  reduction?: "mean" | "sum" | "none";
}

/** Stands for log 0; finite, so that differences of two of them are 0 and not NaN. */
const IMPOSSIBLE = -1e30;

/**
 * Connectionist temporal classification: minus the log probability of all ways to write the labels into the frames,
 * with repeats and blanks between. The forward variables run through the frames in a scan. [] or, without reduction,
 * [N]. Graves et al. 2006, section 4.1.
 */
export function ctcLoss<D extends FloatDType>(
  { logProbs, targets, inputLengths, targetLengths }: CtcLossInputs<D>,
  options: CtcLossOptions = {},
): Tensor<D> {
  const { blank = 0, reduction = "mean" } = known("ctcLoss", options, { blank: true, reduction: true });
  const [frames, batch, classes] = requireStatic("ctcLoss", logProbs.shape);
  const [rows, longest] = requireStatic("ctcLoss", targets.shape);
  if (logProbs.rank !== 3 || targets.rank !== 2 || rows !== batch) {
    throw new ShapeError({
      where: "ctcLoss",
      expected: "logProbs [T, N, C] and targets [N, S]",
      received: `${logProbs} and ${targets}`,
      fix: "put the frames in axis 0",
    });
  }
  if (blank < 0 || blank >= classes) {
    throw new OptionError({
      where: "ctcLoss",
      expected: `blank to be a class, 0 to ${classes - 1}`,
      received: String(blank),
      fix: "name the blank's class",
    });
  }
  const [labels, ends] = [targets, targetLengths].map(({ ir: value }) => ops.cast(value, "i64"));
  const states = 2 * longest + 1; // blank, label, blank, ..., label, blank
  const blanks = ops.broadcastTo(ops.scalar(blank, "i64"), [batch, longest, 1]);
  const pairs = ops.reshape(ops.concat([blanks, ops.unsqueeze(labels, 2)], 2), [batch, 2 * longest]);
  const extended = ops.concat([pairs, ops.broadcastTo(ops.scalar(blank, "i64"), [batch, 1])], 1); // [N, states]
  const emissions = ops.takeAlong(logProbs.ir, ops.broadcastTo(ops.unsqueeze(extended, 0), [frames, batch, states]), 2);

  // a label may follow the one before without a blank between, unless they are equal
  const twoBefore = ops.pad(
    ops.slice(extended, { axis: 1, end: Math.max(0, states - 2) }),
    [[Math.min(2, states), 0]],
    { value: blank },
  );
  const isLabel = ops.equal(ops.remainder(ops.arange(states), 2), 1);
  const maySkip = ops.logicalAnd(isLabel, ops.notEqual(extended, states > 1 ? twoBefore : extended));
  const moved = (x: ops.Operand & object, by: number) =>
    states > by
      ? ops.pad(ops.slice(x, { axis: 1, end: states - by }), [[by, 0]], { value: IMPOSSIBLE })
      : ops.broadcastTo(ops.scalar(IMPOSSIBLE, logProbs.dtype), [batch, states]);

  const start = ops.where(ops.equal(ops.arange(states), 0), 0, ops.scalar(IMPOSSIBLE, logProbs.dtype));
  const { carry: alpha } = scan(
    (before: Tensor, { emission, frame }: { emission: Tensor; frame: Tensor }) => {
      const skipped = ops.where(maySkip, moved(before.ir, 2), IMPOSSIBLE);
      const ways = ops.stack([before.ir, moved(before.ir, 1), skipped], 0);
      const next = ops.add(ops.logSumExp(ways, { axes: 0 }), emission.ir);
      const counts = ops.unsqueeze(ops.less(frame.ir, ops.cast(inputLengths.ir, "i64")), 1);
      return { carry: new Tensor(ops.where(counts, next, before.ir)) };
    },
    {
      init: new Tensor(ops.broadcastTo(start, [batch, states])),
      xs: { emission: new Tensor(emissions), frame: new Tensor(ops.arange(frames, "i64")) },
    },
  );

  // the last label or the blank after it
  const last = ops.unsqueeze(ops.mul(ends, 2), 1);
  const final = ops.concat([last, ops.maximum(ops.sub(last, 1), 0)], 1);
  const ways = ops.takeAlong(alpha.ir, final, 1);
  // no labels: there is only the first blank
  const isSame = ops.logicalAnd(ops.equal(last, 0), ops.equal(ops.arange(2), 1));
  const losses = ops.neg(ops.logSumExp(ops.where(isSame, IMPOSSIBLE, ways), { axes: 1 }));
  if (reduction === "none") return new Tensor(losses);
  if (reduction === "sum") return new Tensor(ops.sum(losses));
  return new Tensor(ops.mean(ops.div(losses, ops.cast(ops.maximum(ends, 1), logProbs.dtype))));
}
