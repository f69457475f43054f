import { ShapeError } from "../base/index.ts";
import { describe, requireStatic, type Value } from "../ir/index.ts";
import { abs, add, clip, floor, mul, round, sub } from "./arithmetic.ts";
import { cast, where } from "./elementwise.ts";
import { takeAlong } from "./gather.ts";
import { greater, greaterEqual, lessEqual, logicalAnd } from "./logic.ts";
import { unstack } from "./movement.ts";
import { broadcastTo, reshape } from "./shape.ts";

/** What `gridSample` takes between the centres of pixels, and beyond the border. */
export interface GridSampleOptions {
  /** Blends of the 4 or 16 nearest pixels, or the nearest pixel. @default "bilinear" */
  mode?: "bilinear" | "nearest" | "bicubic";
  /** What lies beyond the image: zeros, its border pixels, or its mirror image. @default "zeros" */
  paddingMode?: "zeros" | "border" | "reflection";
  /** -1 and 1 are the centres of the corner pixels and not the image's edges. @default false */
  alignCorners?: boolean;
}

/** Where a coordinate from -1 to 1 lies among `size` pixels. */
const toPixels = (x: Value, size: number, alignCorners: boolean) => {
  const unit = mul(add(x, 1), 0.5);
  return alignCorners ? mul(unit, size - 1) : sub(mul(unit, size), 0.5);
};

/** Mirrors x at low and high until it lies between them. */
function reflect(x: Value, low: number, high: number): Value {
  const span = high - low;
  if (span <= 0) return mul(x, 0);
  const distance = abs(sub(x, low));
  const flips = floor(mul(distance, 1 / span));
  const rest = sub(distance, mul(flips, span));
  const isOdd = greater(sub(flips, mul(floor(mul(flips, 0.5)), 2)), 0.5);
  return add(where(isOdd, sub(span, rest), rest), low);
}

/**
 * Samples an image at given places: spatial transformers. Jaderberg et al. 2015, arXiv:1506.02025.
 * x: [N, C, H, W], grid: [N, Ho, Wo, 2] of (x, y) from -1 to 1 -> [N, C, Ho, Wo].
 */
export function gridSample(
  x: Value,
  grid: Value,
  { mode = "bilinear", paddingMode = "zeros", alignCorners = false }: GridSampleOptions = {},
): Value {
  const [batch, channels, height, width] = requireStatic("gridSample", x.shape);
  const places = requireStatic("gridSample", grid.shape);
  if (x.shape.length !== 4 || places.length !== 4 || places[3] !== 2 || places[0] !== batch) {
    throw new ShapeError({
      where: "gridSample",
      expected: "x [N, C, H, W] and grid [N, Ho, Wo, 2]",
      received: `x ${describe(x)}, grid ${describe(grid)}`,
      fix: "check the grid",
    });
  }
  const count = places[1] * places[2];
  const flat = reshape(x, [batch, channels, height * width]);
  const [gridX, gridY] = unstack(grid, 3).map((part) => reshape(part, [batch, count]));

  const bound = (at: Value, size: number) => {
    if (paddingMode === "zeros") return at;
    const mirrored =
      paddingMode === "border" ? at : alignCorners ? reflect(at, 0, size - 1) : reflect(at, -0.5, size - 0.5);
    return clip(mirrored, { min: 0, max: size - 1 });
  };
  /** The image at whole-numbered pixels [N, L]: [N, C, L], 0 outside. */
  const pixel = (px: Value, py: Value) => {
    const [column, row] = [bound(px, width), bound(py, height)];
    const inside = logicalAnd(within(column, width), within(row, height));
    const position = add(mul(clip(row, { min: 0, max: height - 1 }), width), clip(column, { min: 0, max: width - 1 }));
    const indices = broadcastTo(reshape(cast(position, "i64"), [batch, 1, count]), [batch, channels, count]);
    return mul(takeAlong(flat, indices, 2), reshape(cast(inside, x.dtype), [batch, 1, count]));
  };
  const weighted = (pixels: Value, weight: Value) => mul(pixels, reshape(weight, [batch, 1, count]));
  const result = (sum: Value) => reshape(sum, [batch, channels, places[1], places[2]]);

  const [rawX, rawY] = [toPixels(gridX, width, alignCorners), toPixels(gridY, height, alignCorners)];
  // bicubic bounds each of its pixels, the others the place itself
  const [atX, atY] = mode === "bicubic" ? [rawX, rawY] : [bound(rawX, width), bound(rawY, height)];
  if (mode === "nearest") return result(pixel(round(atX), round(atY)));
  const [firstX, firstY] = [floor(atX), floor(atY)];
  const weightsX = mode === "bicubic" ? cubicWeights(sub(atX, firstX)) : linearWeights(sub(atX, firstX));
  const weightsY = mode === "bicubic" ? cubicWeights(sub(atY, firstY)) : linearWeights(sub(atY, firstY));
  const terms = weightsY.flatMap(({ offset: dy, weight: wy }) =>
    weightsX.map(({ offset: dx, weight: wx }) => weighted(pixel(add(firstX, dx), add(firstY, dy)), mul(wx, wy))),
  );
  return result(terms.reduce((a, b) => add(a, b)));
}

const within = (at: Value, size: number) => logicalAnd(greaterEqual(at, 0), lessEqual(at, size - 1));

interface Weight {
  offset: number;
  weight: Value;
}
const linearWeights = (fraction: Value): Weight[] => [
  { offset: 0, weight: sub(1, fraction) },
  { offset: 1, weight: fraction },
];

/** Keys' cubic convolution with a = -3/4 at distances 1 + t, t, 1 - t and 2 - t. */
function cubicWeights(t: Value): Weight[] {
  const a = -0.75;
  const near = (x: Value) => add(mul(mul(sub(mul(x, a + 2), a + 3), x), x), 1);
  const far = (x: Value) => sub(mul(add(mul(sub(mul(x, a), 5 * a), x), 8 * a), x), 4 * a);
  return [
    { offset: -1, weight: far(add(t, 1)) },
    { offset: 0, weight: near(t) },
    { offset: 1, weight: near(sub(1, t)) },
    { offset: 2, weight: far(sub(2, t)) },
  ];
}
