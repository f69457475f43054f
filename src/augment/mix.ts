import { checkOptions, numberRules, OptionError, requireNumbers, ShapeError } from "../base/index.ts";
import type { Augmentation } from "./compose.ts";

/** The numbers of a batch on the host, before they become tensors. */
export interface MixedBatch {
  /** [B, ...], row-major. */
  inputs: Float32Array;
  /** The sizes of the axes of `inputs`, B first; of pictures [B, C, H, W]. */
  shape: readonly number[];
  /** The probability of each class, [B, N], row-major. */
  labels: Float32Array;
}

/** A change of a whole batch. */
export type BatchAugmentation = Augmentation<MixedBatch>;

/** How examples are mixed. */
export interface MixOptions {
  /** Both parameters of the beta distribution of an example's share; 1 is uniform. @default 1 */
  alpha?: number;
  /** Share of the batches that are mixed. @default 1 */
  probability?: number;
}

/**
 * Classes as probabilities, [B, N] row-major: 1 for the class, 0 for others.
 * @throws OptionError for a label that is no class
 */
export function oneHotLabels(labels: ArrayLike<number>, numClasses: number): Float32Array {
  const out = new Float32Array(labels.length * numClasses);
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i];
    if (!(Number.isInteger(label) && label >= 0 && label < numClasses))
      throw new OptionError({
        where: "oneHotLabels",
        expected: `labels from 0 to ${numClasses - 1}`,
        received: String(label),
        fix: "give numClasses of the whole data set",
      });
    out[i * numClasses + label] = 1;
  }
  return out;
}

/** @throws ShapeError for numbers that are not of the shape, OptionError for wrong options */
function checked(where: string, options: MixOptions): Required<MixOptions> {
  checkOptions(where, options, ["alpha", "probability"]);
  const { alpha = 1, probability = 1 } = options;
  requireNumbers(where, { alpha, probability }, { alpha: numberRules.positive, probability: numberRules.fraction });
  return { alpha, probability };
}

function requireBatch(where: string, { inputs, shape, labels }: MixedBatch): void {
  const [batchSize] = shape;
  const isFine = shape.reduce((a, b) => a * b, 1) === inputs.length && batchSize > 0 && labels.length % batchSize === 0;
  if (isFine) return;
  throw new ShapeError({
    where,
    expected: "as many inputs as the shape has, and labels [B, N]",
    received: `[${shape.join(", ")}], ${inputs.length} inputs and ${labels.length} labels`,
    fix: "make the labels with oneHotLabels",
  });
}

const { fround } = Math;

/** `share` of each row, and the rest of the one before it, which is any other: rows of a batch are shuffled. */
function mixRows(rows: Float32Array, batchSize: number, share: number): Float32Array {
  const width = rows.length / batchSize;
  const rest = fround(1 - share);
  return Float32Array.from(rows, (value, i) => {
    const before = rows[(i + rows.length - width) % rows.length];
    return fround(before * rest) + fround(value * fround(share));
  });
}

/** The batch with a share of each example, and the rest of the one before it. */
export function mixBatch({ inputs, shape, labels }: MixedBatch, share: number): MixedBatch {
  return { shape, inputs: mixRows(inputs, shape[0], share), labels: mixRows(labels, shape[0], share) };
}

/** A rectangle of the last two axes, its far edges outside. */
export type CutArea = readonly [x1: number, y1: number, x2: number, y2: number];

/** The batch whose pictures have a rectangle of the one before them, and labels by the areas. */
export function cutBatch({ inputs, shape, labels }: MixedBatch, [x1, y1, x2, y2]: CutArea): MixedBatch {
  const [batchSize, channels, height, width] = shape;
  const out = inputs.slice();
  const size = channels * height * width;
  for (let plane = 0; plane < batchSize * channels; plane++) {
    for (let y = y1; y < y2; y++) {
      const at = (plane * height + y) * width;
      const from = (at + inputs.length - size) % inputs.length;
      out.set(inputs.subarray(from + x1, from + x2), at + x1);
    }
  }
  const share = 1 - ((x2 - x1) * (y2 - y1)) / (width * height);
  return { shape, inputs: out, labels: mixRows(labels, batchSize, share) };
}

/**
 * Each example of a batch is mixed with the one before it, inputs and labels alike. Zhang et al. 2017,
 * arXiv:1710.09412, with one share for the batch as torchvision's MixUp.
 *
 * @example
 * const batch = { inputs: Float32Array.of(0, 1), shape: [2, 1], labels: oneHotLabels([0, 1], 2) };
 * const { inputs, labels } = mixup({ alpha: 0.4 })(batch, drawsOf(0, 3));
 * inputs[1] - labels[3]; // 0
 */
export function mixup(options: MixOptions = {}): BatchAugmentation {
  const { alpha, probability } = checked("mixup", options);
  return (batch, draws) => {
    requireBatch("mixup", batch);
    return draws.isLikely(probability) ? mixBatch(batch, draws.beta(alpha)) : batch;
  };
}

/**
 * Each picture of a batch has a rectangle of the one before it, and its labels by the areas. Yun et al. 2019,
 * arXiv:1905.04899, with one rectangle for the batch as torchvision's CutMix.
 */
export function cutmix(options: MixOptions = {}): BatchAugmentation {
  const { alpha, probability } = checked("cutmix", options);
  return (batch, draws) => {
    requireBatch("cutmix", batch);
    const { shape } = batch;
    if (shape.length !== 4)
      throw new ShapeError({
        where: "cutmix",
        expected: "pictures, [B, C, H, W]",
        received: `[${shape.join(", ")}]`,
        fix: "use mixup for other inputs",
      });
    if (!draws.isLikely(probability)) return batch;
    const [, , height, width] = shape;
    const half = 0.5 * Math.sqrt(1 - draws.beta(alpha)); // of a side, so that the area is what the share leaves
    const [x, y] = [draws.integer(width), draws.integer(height)];
    const [halfWidth, halfHeight] = [Math.trunc(half * width), Math.trunc(half * height)];
    return cutBatch(batch, [
      Math.max(0, x - halfWidth),
      Math.max(0, y - halfHeight),
      Math.min(width, x + halfWidth),
      Math.min(height, y + halfHeight),
    ]);
  };
}
