import { arange, concat, mul, reshape, scan, slice, type Tensor, tensor } from "../tensor/index.ts";

type Numbers = Tensor<"f32">;

/** Consecutive classes of an output layer, C of them. */
export interface Block {
  /** [C, D] */
  weight: Numbers;
  /** [C] */
  bias?: Numbers;
  /** The first class. i32 [] */
  start: Tensor<"i32">;
}

/** One step: what goes on to the next, and results whose first axis is the block's classes. */
type Step<C, Y> = (before: C, block: Block) => { carry: C; y: Y };

/** The largest divisor of size that is at most `limit`, where one is at least a quarter of it; otherwise `limit`. */
function blockSize(size: number, limit: number): number {
  for (let divisor = Math.min(size, limit); divisor >= limit / 4; divisor--) if (size % divisor === 0) return divisor;
  return Math.min(size, limit);
}

/**
 * A step for each block of at most `chunk` classes, one after another: the last carry, and the results of all classes.
 * Those that are left over behind blocks of equal sizes are a block of their own. weight: [V, D], bias: [V]
 */
export function scanBlocks<C, Y extends Record<string, Numbers>>(
  { weight, bias }: Pick<Block, "weight" | "bias">,
  chunk: number,
  init: C,
  step: Step<C, Y>,
): { carry: C; y: Y } {
  const [classes, width] = [weight.size(0), weight.size(1)];
  const size = blockSize(classes, chunk);
  const count = Math.floor(classes / size);
  const end = count * size;
  const blockAt = (start: number, end: number): Block => {
    const part = (x: Numbers) => (start > 0 || end < classes ? slice(x, { start, end }) : x);
    return { weight: part(weight), bias: bias && part(bias), start: tensor(start, { dtype: "i32" }) };
  };
  if (size === classes) return step(init, blockAt(0, classes));
  const equal = blockAt(0, end);
  const xs: Block = {
    weight: reshape(equal.weight, [count, size, width]),
    ...(equal.bias && { bias: reshape(equal.bias, [count, size]) }),
    start: mul(arange(count), size),
  };
  const { carry, ys } = scan(step, { init, xs });
  const joined = mapNumbers(ys, (y) => reshape(y, [end, ...y.shape.slice(2)]));
  if (end === classes) return { carry, y: joined };
  const last = step(carry, blockAt(end, classes));
  return { carry: last.carry, y: mapNumbers(joined, (y, name) => concat([y, last.y[name]], 0)) };
}

const mapNumbers = <Y extends Record<string, Numbers>>(ys: Y, map: (y: Numbers, name: string) => Numbers): Y =>
  Object.fromEntries(Object.entries(ys).map(([name, y]) => [name, map(y, name)])) as Y;
