/** Which tokens of a text, or of two, are kept where they are too many; as the reference does it. */
import { OptionError } from "../base/index.ts";
import type { Cut } from "./engine.ts";

/** How many tokens of each text fit. @throws OptionError when even the special tokens do not */
export function keptLengths(
  first: number,
  second: number | undefined,
  added: number,
  { maxLength, truncation }: Cut,
): { first: number; second?: number } {
  const room = maxLength - added;
  const total = first + (second ?? 0);
  if (total <= room) return { first, second };
  const fail = (expected: string) =>
    new OptionError({
      where: "encode",
      expected,
      received: `maxLength ${maxLength}`,
      fix: 'choose a larger maxLength, or truncation "longest_first"',
    });
  if (room < 0) throw fail(`room for the ${added} special tokens`);
  if (second === undefined || truncation === "only_first") {
    if (second !== undefined && second > room) throw fail("room for the second text");
    return { first: room - (second ?? 0), second };
  }
  if (truncation === "only_second") {
    if (first > room) throw fail("room for the first text");
    return { first, second: room - first };
  }
  return longestFirst(first, second, room);
}

/** Shares the room as the reference does: the shorter text stays whole if it takes less than half. */
function longestFirst(first: number, second: number, room: number): { first: number; second: number } {
  const isSwapped = first > second;
  let [short, long] = isSwapped ? [second, first] : [first, second];
  if (short > room) long = short;
  else long = Math.max(short, room - short);
  if (short + long > room) {
    short = Math.floor(room / 2);
    long = short + (room % 2);
  }
  return isSwapped ? { first: long, second: short } : { first: short, second: long };
}

/** @throws OptionError when parts would not go on */
export function checkStride(length: number, stride: number): void {
  if (stride < length || length === 0) return;
  const expected = `a stride below the ${length} tokens of the text that fit`;
  throw new OptionError({ where: "encode", expected, received: `${stride}`, fix: "choose a smaller stride" });
}

/** The tokens that are kept, and those of each part that did not fit: first one and the one after the last. */
export function partRanges(
  total: number,
  length: number,
  { stride, truncationSide }: Cut,
): [start: number, end: number][] {
  if (total <= length) return [[0, total]];
  if (length === 0) return [[0, 0], [0, total]]; // biome-ignore format: a pair each
  checkStride(length, stride);
  const ranges: [number, number][] = [];
  const step = length - stride;
  if (truncationSide === "right") {
    for (let start = 0; ; start += step) {
      ranges.push([start, Math.min(start + length, total)]);
      if (start + length >= total) return ranges;
    }
  }
  for (let end = total; ; end -= step) {
    ranges.push([Math.max(0, end - length), end]);
    if (end <= length) return ranges;
  }
}

/**
 * Parts of one text with those of the other: the first ones together, then every further part of one with the parts of
 * the other.
 */
export function combined<T>(firsts: readonly T[], seconds: readonly T[] | undefined): [T, T?][] {
  if (!seconds) return firsts.map((part) => [part]);
  const [a, ...moreA] = firsts;
  const [b, ...moreB] = seconds;
  const further = moreA.flatMap((part): [T, T][] => [[part, b], ...moreB.map((other): [T, T] => [part, other])]);
  return [[a, b], ...further, ...moreB.map((part): [T, T] => [a, part])];
}
