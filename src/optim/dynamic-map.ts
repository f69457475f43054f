/** The numbers that optimizer states in 8 bits stand for. Dettmers et al. 2021, arXiv:2110.02861, section 1.3. */
import {
  abs,
  add,
  cast,
  clip,
  constant,
  greater,
  mul,
  reshape,
  sign,
  sqrt,
  type Tensor,
  takeAlong,
} from "../tensor/index.ts";

/** Powers of ten that numbers of 8 bits are near: 1e-6 to 1. */
const DECADES = 7;
/** How many numbers there are in a decade, rising with it: twice as many each time. */
const partsOf = (decade: number, isUnsigned: boolean): number => 2 ** (decade + (isUnsigned ? 1 : 0));
/** The number at a place in a decade: the middle of one of the equal parts of [0.1, 1], times the power of ten. */
const numberAt = (decade: number, place: number, parts: number): number =>
  10 ** (decade - DECADES + 1) * (0.1 + (0.9 * (place + 0.5)) / parts);

/** The 256 numbers that 8 bits stand for, rising: 0, 1, and those of each decade, without a sign twice as many. */
export function dynamicMap(isUnsigned: boolean): Float32Array<ArrayBuffer> {
  const numbers = [0, 1];
  for (let decade = 0; decade < DECADES; decade++) {
    const parts = partsOf(decade, isUnsigned);
    for (let place = 0; place < parts; place++) {
      const number = numberAt(decade, place, parts);
      numbers.push(...(isUnsigned ? [number] : [number, -number]));
    }
  }
  return Float32Array.from(numbers).sort();
}

/** So near to the edge of a bin, in bins, a threshold might be looked for in the next: roots are rounded. */
const EDGE = 0.002;

/** The fourth root, with the sign of x: it spreads numbers of seven decades evenly enough for bins. */
const rootOf = (x: number): number => Math.sign(x) * Math.sqrt(Math.sqrt(Math.abs(x)));

/** Bins of fourth roots, each with at most one threshold between two codes. */
interface Bins {
  /** Bins for a root from 0 to 1. */
  perRoot: number;
  /** The bin of 0. */
  zero: number;
  /** The code of what is in the bin up to its threshold. [bins] */
  codes: Float32Array<ArrayBuffer>;
  /** Above it the code is one more. [bins] */
  thresholds: Float32Array<ArrayBuffer>;
}

/** Bins of a `dynamicMap`, as few as there may be. */
function binsOf(isUnsigned: boolean): Bins {
  const numbers = dynamicMap(isUnsigned);
  const middles = Array.from(numbers.subarray(1), (number, i) => Math.fround((number + numbers[i]) / 2));
  for (let perRoot = 256; ; perRoot++) {
    const zero = isUnsigned ? 0 : perRoot;
    const places = middles.map((middle) => rootOf(middle) * perRoot + zero);
    const bins = places.map(Math.floor);
    const areApart = new Set(bins).size === bins.length;
    if (!areApart || places.some((place, i) => Math.min(place - bins[i], bins[i] + 1 - place) < EDGE)) continue;
    const codes = new Float32Array(zero + perRoot + 1);
    const thresholds = new Float32Array(codes.length).fill(2); // above all shares
    for (const [i, bin] of bins.entries()) {
      thresholds[bin] = middles[i];
      codes.fill(i + 1, bin + 1);
    }
    return { perRoot, zero, codes, thresholds };
  }
}

/**
 * The codes of the nearest numbers of a `dynamicMap`, by a table of bins: one look and one comparison for a number,
 * where a binary search would be 8 looks and a comparison with each decade 50 passes over memory.
 * x: [...] from -1 to 1, without a sign from 0 -> u8 [...]
 */
export function nearestCodes(x: Tensor<"f32">, isUnsigned: boolean): Tensor<"u8"> {
  const { perRoot, zero, codes, thresholds } = binsOf(isUnsigned);
  const size = mul(sqrt(sqrt(isUnsigned ? x : abs(x))), perRoot);
  const place = isUnsigned ? size : add(mul(sign(x), size), zero);
  // within the table even where x is NaN
  const bins = reshape(clip(cast(place, "i32"), { min: 0, max: codes.length - 1 }), [-1]);
  const look = (table: Float32Array<ArrayBuffer>) =>
    reshape(takeAlong(constant("f32", [table.length], table), bins), x.shape);
  return cast(add(look(codes), cast(greater(x, look(thresholds)), "f32")), "u8");
}
