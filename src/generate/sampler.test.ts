import { describe, expect, test } from "vitest";
import { foldKeyOnHost, uniformOnHost } from "../ops/index.ts";
import { Sampler } from "./index.ts";

/** What a sampler draws first, and next, in hundredths: with 100 equal logits the token is the number drawn. */
const EQUAL = new Float32Array(100);
const draws = (seed: number, count: number): number[] => {
  const sampler = new Sampler({ seed });
  return Array.from({ length: count }, () => sampler.pick(EQUAL));
};
const SEEDS = 10_000;
/** Points of the chi-square distribution with 99 degrees of freedom that are passed once in 100,000 on each side. */
const [LEAST, MOST] = [50, 167];
const chiSquare = (values: readonly number[], bins: number) => {
  const counts = new Array<number>(bins).fill(0);
  for (const value of values) counts[value]++;
  const expected = values.length / bins;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
};
const kinds: [string, (i: number) => number][] = [
  ["0, 1, 2 ...", (i) => i],
  ["every 65536th", (i) => i * 65536],
  ["above 2^32", (i) => 2 ** 32 * (i + 1)],
  ["just below 2^53", (i) => Number.MAX_SAFE_INTEGER - i],
  ["negative", (i) => -1 - i],
];

describe.each(kinds)("seeds %s", (_, seedOf) => {
  const pairs = Array.from({ length: SEEDS }, (_, i) => draws(seedOf(i), 2));
  test("the first draws, and the second, are spread evenly", () => {
    for (const place of [0, 1]) {
      const chi = chiSquare(
        pairs.map((pair) => pair[place]),
        100,
      );
      expect(chi).toBeGreaterThan(LEAST);
      expect(chi).toBeLessThan(MOST);
    }
  });
  test("the second draw says nothing of the first, nor a seed of the next", () => {
    const tens = (a: number, b: number) => Math.floor(a / 10) * 10 + Math.floor(b / 10);
    const within = pairs.map(([a, b]) => tens(a, b));
    const between = pairs.slice(1).map(([a], i) => tens(a, pairs[i][0]));
    for (const cells of [within, between]) {
      const chi = chiSquare(cells, 100);
      expect(chi).toBeGreaterThan(LEAST);
      expect(chi).toBeLessThan(MOST);
    }
  });
});

test("seed 0 does not draw 0 first", () => expect(draws(0, 3)).not.toContain(0));

test("one seed draws evenly over a long text", () => {
  const chi = chiSquare(draws(0, 20_000), 100);
  expect(chi).toBeGreaterThan(LEAST);
  expect(chi).toBeLessThan(MOST);
});

test("without a seed each sampler draws another, and tells it", () => {
  const [a, b] = [new Sampler(), new Sampler()];
  expect(a.seed).not.toBe(b.seed);
  const text = (sampler: Sampler) => Array.from({ length: 20 }, () => sampler.pick(EQUAL));
  expect(text(new Sampler({ seed: a.seed }))).toEqual(text(a));
  expect(() => new Sampler({ seed: 0.5 })).toThrow(/a seed that is a whole number; received 0.5/);
});

test("the keys of weights, dropout and the order of data: the first number of every seed is spread evenly too", () => {
  // randomKey(seed), as tensor/random.ts makes it, and the key that data/token-dataset.ts draws its order from
  const keys: [string, (seed: number) => readonly [number, number]][] = [
    ["weights", (seed) => foldKeyOnHost([0x6b696e64, 0x6c696e67], seed)],
    ["data", (seed) => foldKeyOnHost([seed, 0x64617461], 0)],
    ["first part of a split", (seed) => foldKeyOnHost(foldKeyOnHost([0x6b696e64, 0x6c696e67], seed), 0)],
  ];
  for (const [, keyOf] of keys) {
    const first = Array.from({ length: SEEDS }, (_, seed) => Math.floor(uniformOnHost(keyOf(seed), 0) * 100));
    const chi = chiSquare(first, 100);
    expect(chi).toBeGreaterThan(LEAST);
    expect(chi).toBeLessThan(MOST);
  }
});
