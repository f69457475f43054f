import { expect, test } from "vitest";
import { type ArrivalOptions, arrivals } from "./schedule.ts";

const Infinite = Number.POSITIVE_INFINITY;

/** The first planned starts. */
function first(count: number, options: Partial<ArrivalOptions>): number[] {
  const schedule = arrivals({ rate: 10, burstiness: 1, seed: 0, requests: count, ...options });
  return Array.from({ length: count }, () => schedule.next().value);
}

/** Mean and deviation of the gaps, in units of the mean that the rate says. */
function gaps(times: readonly number[], rate: number): { mean: number; deviation: number } {
  const relative = times.slice(1).map((time, i) => ((time - times[i]) * rate) / 1000);
  const mean = relative.reduce((sum, gap) => sum + gap, 0) / relative.length;
  return { mean, deviation: Math.sqrt(relative.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / relative.length) };
}

test("the seed fixes the schedule", () => {
  expect(first(50, { seed: 7 })).toEqual(first(50, { seed: 7 }));
  expect(first(50, { seed: 7 })).not.toEqual(first(50, { seed: 8 }));
  expect(first(50, { seed: 2 ** 40 })).not.toEqual(first(50, { seed: 0 }));
  expect(first(50, { requests: Infinite })).toEqual(first(80, { requests: Infinite }).slice(0, 50));
});

test("requests of a known number take the time that the rate says, with every seed", () => {
  for (const seed of [0, 1, 2]) {
    const times = first(101, { seed, rate: 10, requests: 100 });
    expect(times[0]).toBe(0);
    expect(times[100]).toBeCloseTo(10_000, 6);
  }
});

// of a gamma distribution of shape k and mean 1 the deviation is 1 / sqrt(k)
test.each([0.25, 0.5, 1, 3, 50])(
  "gaps of burstiness %d have the gamma distribution's mean and deviation",
  (burstiness) => {
    const times = first(40_000, { burstiness, rate: 250, requests: Infinite });
    const { mean, deviation } = gaps(times, 250);
    expect(mean).toBeGreaterThan(0.97);
    expect(mean).toBeLessThan(1.03);
    expect(deviation * Math.sqrt(burstiness)).toBeGreaterThan(0.95);
    expect(deviation * Math.sqrt(burstiness)).toBeLessThan(1.05);
  },
);

test("of endless burstiness gaps are even, and of endless rate there are none", () => {
  expect(first(4, { burstiness: Infinite, rate: 20 })).toEqual([0, 50, 100, 150]);
  expect(first(4, { rate: Infinite })).toEqual([0, 0, 0, 0]);
});
