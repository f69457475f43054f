/** The loss of detectors that find a set of objects: Carion et al. 2020, arXiv:2005.12872, section 3.1. */
import { DTypeError, ShapeError } from "../../base/index.ts";
import { describe } from "../../ir/index.ts";
import {
  abs,
  add,
  broadcastTo,
  cast,
  clip,
  crossEntropy,
  div,
  greaterEqual,
  linearSumAssignment,
  maximum,
  minimum,
  mul,
  neg,
  relu,
  reshape,
  slice,
  softmax,
  stopGradient,
  sub,
  sum,
  type Tensor,
  takeAlong,
  tensor,
  unsqueeze,
  where,
} from "../../tensor/index.ts";
import { type Fields, number, writtenWhole } from "../config.ts";

type Numbers = Tensor<"f32">;

/** The objects of each image. */
export interface DetectionLabels {
  /** i32 [B, M]; below 0 where an image has fewer objects than M. */
  classLabels: Tensor<"i32">;
  /**
   * Centre, width and height of each object, as parts of the image without its padding, as the DETR paper's program has
   * them; transformers' processor counts from 4.37 on from the padded image. [B, M, 4]
   */
  boxes: Numbers;
}

/** What counts how much, in matching queries to objects and in the loss. */
export interface DetectionWeights {
  /** In matching queries to objects: factor on minus the class's probability. */
  classCost: number;
  /** In matching queries to objects: factor on the distance of the boxes, the sum of absolute differences. */
  boxCost: number;
  /** In matching queries to objects: factor on minus the boxes' generalized IoU. */
  giouCost: number;
  /** In the loss, whose cross-entropy of classes counts once: factor on the distance of the boxes. */
  boxLoss: number;
  /** In the loss: factor on 1 minus the boxes' generalized IoU. */
  giouLoss: number;
  /** Weight of "nothing" among the classes. */
  nothing: number;
}

/**
 * How a detector weighs its costs and losses, as fields of config.json; those of DETR are the defaults.
 * arXiv:2005.12872, appendix A.4.
 */
export const detectionFields: Fields<DetectionWeights> = {
  classCost: writtenWhole(number("class_cost", 1)),
  boxCost: writtenWhole(number("bbox_cost", 5)),
  giouCost: writtenWhole(number("giou_cost", 2)),
  boxLoss: writtenWhole(number("bbox_loss_coefficient", 5)),
  giouLoss: writtenWhole(number("giou_loss_coefficient", 2)),
  nothing: number("eos_coefficient", 0.1),
};

/** A box that stands where there is none: the whole image. */
const WHOLE = [0.5, 0.5, 1, 1];

/** A detector's loss and what it is made of, each []. */
export interface DetectionLosses {
  /** What falls: the parts times their weights; with an auxiliary loss those of all layers. */
  loss: Numbers;
  /** Cross-entropy of the classes, without a weight: loss_ce of transformers. */
  classLoss: Numbers;
  /** Mean distance of the boxes, the sum of absolute differences, without a weight: loss_bbox. */
  boxLoss: Numbers;
  /** Mean of 1 minus the boxes' generalized IoU, without a weight: loss_giou. */
  giouLoss: Numbers;
}

/**
 * Each object is given to the query whose class and box are nearest to it; these queries shall find it, and the others
 * nothing. logits: [B, Q, N + 1], predBoxes: [B, Q, 4] -> []
 * @throws ShapeError, DTypeError for labels of another form
 */
export function detectionLosses(
  logits: Numbers,
  predBoxes: Numbers,
  labels: DetectionLabels,
  weights: DetectionWeights,
): DetectionLosses {
  const { classLabels, boxes } = checked(labels, logits.size(0));
  const [batch, queries] = logits.shape;
  const classes = logits.size(2);
  const nothing = classes - 1;
  const isObject = greaterEqual(classLabels, 0); // [B, M]
  const cost = stopGradient(matchingCost(logits, predBoxes, { classLabels, boxes }, weights));
  const assignment = linearSumAssignment(cost, isObject); // [B, Q]
  const isFound = greaterEqual(assignment, 0);
  const index = clip(assignment, { min: 0 }) as Tensor<"i32">;

  const targets = where(isFound, takeAlong(classLabels, index, 1), nothing) as Tensor<"i32">;
  const weight = tensor(Float32Array.from({ length: classes }, (_, i) => (i === nothing ? weights.nothing : 1)));
  const classLoss = crossEntropy(reshape(logits, [-1, classes]), reshape(targets, [-1]), { weight }) as Numbers;

  const objectBoxes = takeAlong(boxes, broadcastTo(unsqueeze(index, 2), [batch, queries, 4]), 1); // [B, Q, 4]
  const target = where(unsqueeze(isFound, 2), objectBoxes, tensor(Float32Array.from(WHOLE))) as Numbers;
  const counts = cast(isFound, "f32");
  const objects = clip(sum(cast(isObject, "f32")), { min: 1 }) as Numbers;
  const boxLoss = div(sum(mul(abs(sub(predBoxes, target)), unsqueeze(counts, 2))), objects) as Numbers;
  const giouLoss = div(sum(mul(sub(1, generalizedIou(predBoxes, target)), counts)), objects) as Numbers;
  const loss = add(classLoss, add(mul(boxLoss, weights.boxLoss), mul(giouLoss, weights.giouLoss))) as Numbers;
  return { loss, classLoss, boxLoss, giouLoss };
}

/** How badly each query fits each object. [B, Q, M] */
function matchingCost(
  logits: Numbers,
  predBoxes: Numbers,
  { classLabels, boxes }: DetectionLabels,
  weights: DetectionWeights,
): Numbers {
  const [batch, queries] = logits.shape;
  const [, objects] = classLabels.shape;
  const classIndex = broadcastTo(unsqueeze(clip(classLabels, { min: 0 }) as Tensor<"i32">, 1), [
    batch,
    queries,
    objects,
  ]);
  const probability = takeAlong(softmax(logits), classIndex, 2);
  const [each, all] = [unsqueeze(predBoxes, 2), unsqueeze(boxes, 1)]; // [B, Q, 1, 4], [B, 1, M, 4]
  const distance = sum(abs(sub(each, all)), { axes: -1 });
  const costs: [Numbers, number][] = [
    [neg(probability), weights.classCost],
    [distance as Numbers, weights.boxCost],
    [neg(generalizedIou(each, all)), weights.giouCost],
  ];
  return costs.map(([cost, factor]) => mul(cost, factor) as Numbers).reduce((a, b) => add(a, b) as Numbers);
}

/**
 * The part that two boxes share of what they cover, less the part of the smallest box around both that they leave
 * empty: from -1 to 1. Boxes are centre, width and height, [..., 4], and broadcast -> [...]. Rezatofighi et al. 2019,
 * arXiv:1902.09630.
 */
function generalizedIou(a: Numbers, b: Numbers): Numbers {
  const [first, second] = [cornersOf(a), cornersOf(b)];
  const area = (sides: Numbers) => mul(part(sides, 0, 1), part(sides, 1, 2)) as Numbers;
  const overlap = relu(sub(minimum(first.end, second.end), maximum(first.start, second.start)) as Numbers);
  const around = sub(maximum(first.end, second.end), minimum(first.start, second.start)) as Numbers;
  const shared = area(overlap);
  const union = sub(
    add(area(sub(first.end, first.start) as Numbers), area(sub(second.end, second.start) as Numbers)),
    shared,
  );
  const hull = area(around);
  const giou = sub(div(shared, union), div(sub(hull, union), hull)) as Numbers; // [..., 1]
  return reshape(giou, giou.shape.slice(0, -1));
}

const part = (x: Numbers, start: number, end: number) => slice(x, { axis: -1, start, end });

function cornersOf(boxes: Numbers): { start: Numbers; end: Numbers } {
  const [centre, half] = [part(boxes, 0, 2), mul(part(boxes, 2, 4), 0.5) as Numbers];
  return { start: sub(centre, half) as Numbers, end: add(centre, half) as Numbers };
}

/** Labels with at least one place. */
function checked({ classLabels, boxes }: DetectionLabels, batch: number): DetectionLabels {
  if (classLabels.dtype !== "i32")
    throw new DTypeError({
      where: "classLabels",
      expected: "i32",
      received: describe(classLabels),
      fix: 'make them with { dtype: "i32" }',
    });
  const [rows, objects] = classLabels.shape;
  const isFine =
    classLabels.rank === 2 &&
    rows === batch &&
    boxes.rank === 3 &&
    boxes.shape[0] === batch &&
    boxes.shape[1] === objects &&
    boxes.shape[2] === 4;
  if (!isFine) {
    const received = `${describe(classLabels)} and ${describe(boxes)}`;
    throw new ShapeError({
      where: "labels",
      expected: `classLabels [${batch}, M] and boxes [${batch}, M, 4]`,
      received,
      fix: "fill up images with fewer objects with the class -1",
    });
  }
  if (objects !== 0) return { classLabels, boxes };
  return {
    classLabels: tensor(new Int32Array(batch).fill(-1), { shape: [batch, 1] }),
    boxes: tensor(new Float32Array(batch * 4).fill(0.5), { shape: [batch, 1, 4] }),
  };
}
