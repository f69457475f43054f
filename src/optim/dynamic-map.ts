/** The numbers that optimizer states in 8 bits stand for. Dettmers et al. 2021, arXiv:2110.02861, section 1.3. */
import { abs, add, cast, clip, floor, greater, less, minimum, mul, sub, type Tensor, where } from "../tensor/index.ts";

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

/**
 * The places of the nearest numbers among those of a `dynamicMap` that are not below 0: how many middles between
 * neighbours are below x. Inside a decade they are at equal distances, so a line, cut off, counts them: a binary search
 * would be 8 gathers, which the CPU does number by number. x: [...] from 0 to 1 -> the same
 */
function placesOf(x: Tensor<"f32">, isUnsigned: boolean): Tensor<"f32"> {
  const decades = Array.from({ length: DECADES }, (_, decade) => ({ decade, parts: partsOf(decade, isUnsigned) }));
  const inside = decades
    .filter(({ parts }) => parts > 1)
    .map(({ decade, parts }) => {
      const slope = parts / (0.9 * 10 ** (decade - DECADES + 1));
      return clip(sub(mul(x, slope), parts / 9), { min: 0, max: parts - 1 });
    })
    .reduce((a, b) => add(a, b));
  const ends = [
    0,
    ...decades.flatMap(({ decade, parts }) => [numberAt(decade, 0, parts), numberAt(decade, parts - 1, parts)]),
    1,
  ];
  const between = decades
    .concat({ decade: DECADES, parts: 0 })
    .map(({ decade }) => (ends[2 * decade] + ends[2 * decade + 1]) / 2)
    .map((middle) => cast(greater(x, middle), "f32"))
    .reduce((a, b) => add(a, b));
  return add(floor(inside), between);
}

/** The codes of the nearest numbers of a `dynamicMap`. x: [...] from -1 to 1, without a sign from 0 -> u8 [...] */
export function nearestCodes(x: Tensor<"f32">, isUnsigned: boolean): Tensor<"u8"> {
  if (isUnsigned) return cast(placesOf(x, isUnsigned), "u8");
  const zero = 2 ** DECADES - 1; // the code of 0: as many numbers are below it, and -1 is none of them
  const places = placesOf(abs(x), isUnsigned);
  return cast(where(less(x, 0), sub(zero, minimum(places, zero)), add(places, zero)), "u8");
}
