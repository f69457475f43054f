/** From a detector's outputs to objects in a picture; transformers' post_process_object_detection. */

/** What a query finds. */
export interface DetectedBox {
  /** Probability of the class, from 0 to 1. */
  score: number;
  /** The class's number. */
  label: number;
  /** Edges from the left and the top, in pixels; those of boxes that reach over the picture are outside of it. */
  xMin: number;
  yMin: number;
  xMax: number;
  yMax: number;
}

/** Outputs for one picture, and what of them is taken. */
export interface DetectedObjectsOptions {
  /** N + 1, the last of which is "nothing". */
  classes: number;
  /** Pixels that the boxes are parts of. */
  width: number;
  height: number;
  /** Objects with a score above it. */
  threshold: number;
}

/**
 * The likeliest class of each query, but for "nothing", and its box in pixels.
 * @param logits of one picture, [Q, N + 1]
 * @param boxes of one picture: centre, width and height, [Q, 4]
 */
export function detectedObjects(
  logits: Float32Array,
  boxes: Float32Array,
  { classes, width, height, threshold }: DetectedObjectsOptions,
): DetectedBox[] {
  const objects: DetectedBox[] = [];
  for (let q = 0; q * classes < logits.length; q++) {
    const row = logits.subarray(q * classes, (q + 1) * classes);
    const { score, label } = likeliest(row);
    if (score <= threshold) continue;
    const [x, y, w, h] = boxes.subarray(4 * q, 4 * q + 4);
    objects.push({
      score,
      label,
      xMin: Math.fround((x - w / 2) * width),
      yMin: Math.fround((y - h / 2) * height),
      xMax: Math.fround((x + w / 2) * width),
      yMax: Math.fround((y + h / 2) * height),
    });
  }
  return objects;
}

/** The likeliest class but the last, and its probability among all. */
function likeliest(logits: Float32Array): { score: number; label: number } {
  const largest = Math.max(...logits);
  const weights = Array.from(logits, (value) => Math.exp(value - largest));
  const total = weights.reduce((a, b) => a + b, 0);
  const named = weights.slice(0, -1);
  const most = Math.max(...named);
  return { score: most / total, label: named.indexOf(most) };
}
