/** The losses that transformers computes from labels, each a mean. */
import { DTypeError, IGNORED_LABEL, OptionError, ShapeError } from "../base/index.ts";
import { describe } from "../ir/index.ts";
import {
  add,
  cast,
  clip,
  concat,
  crossEntropy,
  full,
  less,
  logSoftmax,
  mean,
  mul,
  neg,
  reshape,
  slice,
  softplus,
  sub,
  sum,
  type Tensor,
  where,
} from "../tensor/index.ts";
import type { LabelConfig } from "./labels.ts";

type Numbers = Tensor<"f32">;
type Labels = Tensor<"i32"> | Numbers;

const isWhole = (labels: Labels): labels is Tensor<"i32"> => labels.dtype === "i32";

function wholeLabels(labels: Labels): Tensor<"i32"> {
  if (isWhole(labels)) return labels;
  throw new DTypeError({
    where: "labels",
    expected: "i32",
    received: describe(labels),
    fix: 'make them with { dtype: "i32" }',
  });
}

/**
 * Cross-entropy of one class for each row; labels of ignoreIndex do not count. logits: [..., N], labels: i32 [...] ->
 * []
 */
export function classLoss(logits: Numbers, labels: Labels, ignoreIndex = IGNORED_LABEL): Numbers {
  return crossEntropy(reshape(logits, [-1, logits.shape[logits.rank - 1]]), reshape(wholeLabels(labels), [-1]), {
    ignoreIndex,
  });
}

/** What comes next in each place: exactly one of the two, i32 [B, T]; -100 does not count. */
export type NextTokenLabels =
  /** The ids themselves: the loss shifts them by one. */
  | { labels: Tensor<"i32">; shiftLabels?: undefined }
  /** For each place the id that follows: shifted already. */
  | { shiftLabels: Tensor<"i32">; labels?: undefined };

/** Labels for each place from the ids: those of the next place, and none for the last. i32 [B, T] -> the same */
function nextTokens(ids: Tensor<"i32">): Tensor<"i32"> {
  const whole = wholeLabels(ids);
  return concat([slice(whole, { axis: 1, start: 1 }), full([whole.shape[0], 1], IGNORED_LABEL, "i32")], 1);
}

/**
 * For each place the id that is to be told there, or -100. i32 [B, T]
 * @throws OptionError where there are both kinds of labels, or none
 */
export function nextTokenTargets(where: string, { labels, shiftLabels }: NextTokenLabels): Tensor<"i32"> {
  if ((labels === undefined) === (shiftLabels === undefined)) {
    throw new OptionError({
      where,
      expected: "labels, which are the ids, or shiftLabels, for each place the id that follows",
      received: labels ? "both" : "neither",
      fix: "give one of them",
    });
  }
  return shiftLabels ? wholeLabels(shiftLabels) : nextTokens(labels as Tensor<"i32">);
}

/**
 * Mean cross-entropy of the next tokens, in nats. logits: [B, T, V]
 * @throws OptionError where there are both kinds of labels, or none
 */
export const nextTokenLoss = (where: string, logits: Numbers, labels: NextTokenLabels): Numbers =>
  classLoss(logits, nextTokenTargets(where, labels));

/** Binary cross-entropy of logits, numerically safe: log(1 + e^x) - x y. Without the mean. */
export const binaryLosses = (logits: Numbers, labels: Numbers): Numbers => sub(softplus(logits), mul(logits, labels));

const squaredLoss = (outputs: Numbers, labels: Numbers): Numbers => {
  const difference = sub(reshape(outputs, labels.shape), labels);
  return mean(mul(difference, difference));
};

/**
 * For sequence classification: squared error of one number, one class of several, or several yes-no labels. logits:
 * [B, N]; labels: i32 [B], or f32 [B] or [B, N]. -> []
 */
export function sequenceLoss(logits: Numbers, labels: Labels, { labels: names, problemType }: LabelConfig): Numbers {
  const type =
    problemType ??
    (names.length === 1
      ? "regression"
      : isWhole(labels)
        ? "single_label_classification"
        : "multi_label_classification");
  if (type === "single_label_classification") return classLoss(logits, labels);
  const numbers = cast(labels, "f32");
  if (type === "regression") return squaredLoss(logits, numbers);
  if (labels.rank !== 2) {
    throw new ShapeError({
      where: "labels",
      expected: "[B, N], a number from 0 to 1 for each class",
      received: describe(labels),
      fix: "set problemType",
    });
  }
  return mean(binaryLosses(logits, numbers));
}

/**
 * DeBERTa's own rule where no problem type is set: negative classes do not count, and labels [B, N] are a distribution
 * over classes.
 */
export function debertaSequenceLoss(logits: Numbers, labels: Labels, config: LabelConfig): Numbers {
  if (config.problemType !== null || config.labels.length === 1)
    return sequenceLoss(logits, labels, { ...config, problemType: config.problemType ?? "regression" });
  if (labels.rank === 2 && labels.shape[1] !== 1)
    return mean(neg(sum(mul(logSoftmax(logits), cast(labels, "f32")), { axes: -1 })));
  const classes = reshape(wholeLabels(labels), [-1]);
  return classLoss(logits, where(less(classes, 0), IGNORED_LABEL, classes) as Tensor<"i32">);
}

/** Where the answer to each question of a batch stands in its text. */
export interface SpanLabels {
  /** First token of the answer, i32 [B]; beyond the text it does not count. */
  startPositions: Tensor<"i32">;
  /** Last token of the answer, i32 [B]. */
  endPositions: Tensor<"i32">;
}

/**
 * For question answering: the mean of the cross-entropies of start and end over the T positions. logits: [B, T] each
 */
export function spanLoss(
  startLogits: Numbers,
  endLogits: Numbers,
  { startPositions, endPositions }: SpanLabels,
): Numbers {
  const length = startLogits.size(1);
  const of = (logits: Numbers, positions: Tensor<"i32">) =>
    crossEntropy(logits, clip(positions, { min: 0, max: length }), { ignoreIndex: length });
  return mul(add(of(startLogits, startPositions), of(endLogits, endPositions)), 0.5);
}
