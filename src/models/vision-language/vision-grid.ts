/** Where patches and tokens of images and videos are, computed in the graph from the grids (t, h, w) of patches. */
import {
  add,
  arange,
  cast,
  cumsum,
  equal,
  floorDivide,
  gather,
  lessEqual,
  maximum,
  mul,
  prod,
  remainder,
  reshape,
  slice,
  stack,
  sub,
  sum,
  type Tensor,
} from "../../tensor/index.ts";

type Ints = Tensor<"i32">;

/** One of t, h, w of each grid: [N, 3] -> [N] */
const side = (grids: Ints, i: number): Ints => reshape(slice(grids, { axis: 1, start: i, end: i + 1 }), [-1]);

/** For things numbered through all grids, which grid each is in and its number there. */
function locate(numbers: Ints, counts: Ints): { grid: Ints; local: Ints } {
  const ends = cumsum(counts, { axis: 0 }); // [N]
  const column = reshape(numbers, [-1, 1]);
  const grid = sum(cast(lessEqual(ends, column), "i32"), { axes: 1 }); // [L]
  return { grid, local: sub(reshape(numbers, [-1]), gather(sub(ends, counts), grid, 0)) };
}

/**
 * Patches lie in blocks of merge x merge, that become one token: row and column of each, and which patches see each
 * other, those of one frame. grids: i32 [N, 3], length: the number L of patches -> i32 [L], i32 [L], bool [L, L]
 */
export function patchPlaces(
  grids: Ints,
  length: Ints["shape"][number],
  merge: number,
): { rows: Ints; columns: Ints; isSeen: Tensor<"bool"> } {
  const [times, heights, widths] = [0, 1, 2].map((i) => side(grids, i));
  const { grid, local } = locate(arange(length), prod(grids, { axes: 1 }));
  const width = gather(widths, grid, 0);
  const area = mul(gather(heights, grid, 0), width);
  const inFrame = remainder(local, area);
  const block = floorDivide(inFrame, merge * merge);
  const inBlock = remainder(inFrame, merge * merge);
  const blocksInRow = floorDivide(width, merge);
  const rows = add(mul(floorDivide(block, blocksInRow), merge), floorDivide(inBlock, merge));
  const columns = add(mul(remainder(block, blocksInRow), merge), remainder(inBlock, merge));
  const framesBefore = gather(sub(cumsum(times, { axis: 0 }), times), grid, 0);
  const frame = add(framesBefore, floorDivide(local, area)); // [L]
  return { rows, columns, isSeen: equal(reshape(frame, [length, 1]), reshape(frame, [1, length])) };
}

/** Where M tokens of images and videos are, and where the text goes on behind them. */
export interface TokenPlaces {
  /** Time, row and column in its image: i32 [3, M] */
  offsets: Ints;
  /**
   * How far the text goes on after it: the longer side of the image after its last token, 0 after the others. i32 [M]
   */
  advance: Ints;
}

/**
 * Where the tokens of images lie in them, for tokens numbered through all images. numbers: i32 [M], grids: i32 [N, 3]
 */
export function tokenPlaces(numbers: Ints, grids: Ints, merge: number): TokenPlaces {
  const [times, heights, widths] = [0, 1, 2]
    .map((i) => side(grids, i))
    .map((size, i) => (i === 0 ? size : floorDivide(size, merge)));
  const counts = mul(mul(times, heights), widths);
  const { grid, local } = locate(numbers, counts);
  const [height, width, count] = [heights, widths, counts].map((values) => gather(values, grid, 0));
  const area = mul(height, width);
  const inFrame = remainder(local, area);
  const offsets = stack([floorDivide(local, area), floorDivide(inFrame, width), remainder(inFrame, width)], 0);
  const longer = gather(maximum(heights, widths), grid, 0);
  return { offsets, advance: mul(longer, cast(equal(local, sub(count, 1)), "i32")) };
}
