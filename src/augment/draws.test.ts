import { expect, test } from "vitest";
import { drawsOf } from "./draws.ts";

const mean = (list: readonly number[]) => list.reduce((a, b) => a + b, 0) / list.length;
const variance = (list: readonly number[]) => {
  const middle = mean(list);
  return mean(list.map((x) => (x - middle) ** 2));
};
const SAMPLES = 20000;
const times = <T>(make: (i: number) => T): T[] => Array.from({ length: SAMPLES }, (_, i) => make(i));

test("a sample has its numbers whatever was drawn before, and others have others", () => {
  const numbers = (seed: number, ...sample: number[]) => {
    const draws = drawsOf(seed, ...sample);
    return [draws.uniform(), draws.fold(3).uniform(), draws.uniform(), draws.normal()];
  };
  const first = numbers(1, 2, 3);
  drawsOf(5, 2).shuffled([1, 2, 3]);
  expect(numbers(1, 2, 3)).toEqual(first);
  const others = [numbers(2, 2, 3), numbers(1, 3, 2), numbers(1, 2), numbers(1, 2 + 2 ** 32, 3), numbers(1, 2, 4)];
  for (const other of others) for (const number of other) expect(first).not.toContain(number);
  expect(() => drawsOf(0.5)).toThrow("drawsOf: expected number to be an integer; received 0.5");
});

test("the first numbers of many samples are uniform, and so are the parts of one", () => {
  for (const numbers of [times((i) => drawsOf(3, i).uniform()), times((i) => drawsOf(3, 0).fold(i).uniform())]) {
    const counts = new Array<number>(20).fill(0);
    for (const number of numbers) counts[Math.floor(number * 20)]++;
    const chiSquare = counts.reduce((sum, count) => sum + (count - SAMPLES / 20) ** 2 / (SAMPLES / 20), 0);
    expect(chiSquare).toBeLessThan(43.8); // 19 degrees of freedom, 1 in 1000
  }
});

test("integers, choices, orders and normal numbers", () => {
  const draws = drawsOf(9);
  const counts = new Array<number>(5).fill(0);
  for (let i = 0; i < SAMPLES; i++) counts[draws.integer(5)]++;
  for (const count of counts) expect(Math.abs(count - SAMPLES / 5)).toBeLessThan(4 * Math.sqrt(SAMPLES * 0.16));
  expect(new Set(times(() => draws.shuffled([0, 1, 2]).join(""))).size).toBe(6);
  expect(draws.sample(9, 4).sort()).toHaveLength(4);
  expect(new Set(draws.sample(9, 9)).size).toBe(9);
  const normal = times(() => draws.normal());
  expect(mean(normal)).toBeCloseTo(0, 1);
  expect(variance(normal)).toBeCloseTo(1, 1);
});

test.each([0.05, 0.2, 1, 3])("beta numbers of alpha %d have the mean and variance of the distribution", (alpha) => {
  const draws = drawsOf(4, 1);
  const numbers = times(() => draws.beta(alpha));
  expect(numbers.every((x) => x >= 0 && x <= 1)).toBe(true);
  const expected = 1 / (4 * (2 * alpha + 1));
  expect(Math.abs(mean(numbers) - 0.5)).toBeLessThan(4 * Math.sqrt(expected / SAMPLES));
  expect(Math.abs(variance(numbers) / expected - 1)).toBeLessThan(0.05);
});
