import { expect, test } from "vitest";
import { statistics } from "./statistics.ts";

// numpy 2.4.6: mean(values), percentile(values, [50, 90, 99])
test.each<[readonly number[], number, number, number, number]>([
  [[3.5, 1.25, 8, 2, 9.75], 4.9, 3.5, 9.05, 9.68],
  [[12, 7], 9.5, 9.5, 11.5, 11.95],
  [[4], 4, 4, 4, 4],
  [
    Array.from({ length: 101 }, (_, i) => ((i * 37) % 101) / 7),
    7.142857142857143,
    7.142857142857143,
    12.857142857142858,
    14.142857142857142,
  ],
])("case %#: numpy's numbers", (values, ...expected) => {
  const { count, mean, p50, p90, p99 } = statistics(values);
  expect(count).toBe(values.length);
  for (const [i, value] of [mean, p50, p90, p99].entries()) expect(value).toBeCloseTo(expected[i], 12);
});

test("of nothing there is nothing", () => {
  expect(statistics([])).toEqual({ count: 0 });
});
