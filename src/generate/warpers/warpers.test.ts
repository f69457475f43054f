/** Warpers that generation_config.json does not ask for, against golden/decoding.json; the others: settings.test.ts. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { randomNumbers } from "../../testing/fuzz/random.ts";
import {
  Candidates,
  type LogitsWarper,
  Sampler,
  type SamplingLimits,
  type SamplingOptions,
  warpersOf,
} from "../index.ts";
import { firstTopK } from "./index.ts";

interface Expected {
  warped: { name: string; limits: SamplingLimits; uniform: number; logits: number[]; kept: number[] }[];
  mirostat: { limits: SamplingLimits; logits: number[][]; uniforms: number[]; ids: number[] }[];
}
const file = fileURLToPath(new URL("../../../golden/decoding.json", import.meta.url));
const { warped, mirostat } = JSON.parse(readFileSync(file, "utf8")) as Expected;

const keptOf = (limits: SamplingLimits, logits: readonly number[], uniform = 0, topK = 0): number[] => {
  const candidates = new Candidates().take(Float32Array.from(logits), topK);
  for (const warp of warpersOf(limits)) warp(candidates, () => uniform);
  return [...candidates.ids];
};

test.each(warped)("$name", ({ limits, logits, uniform, kept }) => {
  expect(keptOf(limits, logits, uniform)).toEqual(kept);
});

test.each(mirostat)("mirostat: $limits", ({ limits, logits, uniforms, ids }) => {
  const warpers = warpersOf(limits);
  const candidates = new Candidates();
  const drawn = logits.map((row, i) => {
    candidates.take(Float32Array.from(row));
    for (const warp of warpers) warp(candidates, () => uniforms[i]);
    expect(candidates.ids).toHaveLength(1);
    return candidates.ids[0];
  });
  expect(drawn).toEqual(ids);
});

/** Numbers from -6 to 6, some of them equal, some impossible. */
function randomLogits(seed: number, count: number): number[] {
  const random = randomNumbers(seed);
  for (let i = 0; i < 5; i++) random();
  return Array.from({ length: count }, () => {
    const value = (random() - 0.5) * 12;
    return random() < 0.1 ? Number.NEGATIVE_INFINITY : seed % 2 ? Math.round(value) : value;
  });
}

test("the k likeliest, taken from the logits at once, are those of the warper", () => {
  for (let seed = 0; seed < 200; seed++) {
    const logits = randomLogits(seed, 1 + (seed % 50));
    const limits: SamplingLimits = { temperature: 0.3 + (seed % 7), topK: 1 + (seed % 12), topP: 0.9 };
    expect(keptOf(limits, logits, 0, firstTopK(limits))).toEqual(keptOf(limits, logits));
  }
});

test("the likeliest whose probabilities add up to p, by putting all of them in order", () => {
  for (let seed = 0; seed < 200; seed++) {
    const logits = randomLogits(seed, 1 + (seed % 80));
    const mass = 0.05 + (seed % 19) / 20;
    const candidates = new Candidates().take(Float32Array.from(logits));
    const probabilities = [...candidates.probabilities()];
    const ids = [...candidates.ids];
    const ordered = ids.map((_, i) => i).sort((a, b) => probabilities[a] - probabilities[b] || a - b);
    let sum = 0;
    const kept = ordered.filter((i, place) => {
      sum += probabilities[i];
      return sum > 1 - mass || place === ordered.length - 1;
    });
    expect(keptOf({ topP: mass }, logits)).toEqual(kept.sort((a, b) => a - b).map((i) => ids[i]));
  }
});

test("typical tokens of a large vocabulary are those of putting all in order", () => {
  const logits = Array.from({ length: 5000 }, (_, i) => Math.sin(i * i) * 3);
  const candidates = new Candidates().take(Float32Array.from(logits));
  const probabilities = [...candidates.probabilities()];
  const entropy = probabilities.reduce((sum, p) => sum - p * Math.log(p), 0);
  const distance = probabilities.map((p) => Math.abs(-Math.log(p) - entropy));
  const ordered = distance.map((_, i) => i).sort((a, b) => distance[a] - distance[b]);
  for (const mass of [0.01, 0.3, 0.9]) {
    let [sum, place] = [probabilities[ordered[0]], 0];
    while (sum < mass) sum += probabilities[ordered[++place]];
    const farthest = distance[ordered[place]];
    const kept = logits.flatMap((_, i) => (distance[i] <= farthest ? [i] : []));
    expect(keptOf({ typicalP: mass }, logits)).toEqual(kept);
  }
});

test("warpers of a caller come last, and draw by the seed", () => {
  const logits = Float32Array.of(3, 2, 1, 0);
  const seen: number[][] = [];
  const draws: number[] = [];
  const onlyOdd: LogitsWarper = (candidates, uniform) => {
    seen.push([...candidates.ids]);
    draws.push(uniform());
    candidates.keep((i) => candidates.ids[i] % 2 === 1);
  };
  const pick = () => new Sampler({ topK: 3, seed: 5, warpers: [onlyOdd] }).pick(logits);
  expect([pick(), pick()]).toEqual([1, 1]);
  expect(seen[0]).toEqual([0, 1, 2]);
  expect(draws[0]).toBe(draws[1]);
  expect(new Sampler({ topK: 1, warpers: [onlyOdd] }).pick(Float32Array.of(0, 1))).toBe(1);
});

test("where everything is ruled out, the first token is drawn", () => {
  expect(new Sampler({ topP: 0.5 }).pick(new Float32Array(3).fill(Number.NEGATIVE_INFINITY))).toBe(0);
});

describe("limits that cannot be followed", () => {
  test.each<[SamplingOptions, RegExp]>([
    [{ topNSigma: 0 }, /topNSigma above 0; received 0/],
    [{ xtcProbability: 1.5 }, /xtcProbability from 0 to 1/],
    [{ xtcProbability: 0.5, xtcThreshold: 0.6 }, /xtcThreshold above 0 and at most 0.5/],
    [{ xtcThreshold: 0.1 }, /xtcThreshold with xtcProbability; received xtcThreshold alone/],
    [{ mirostat: 1 as 2 }, /mirostat to be 0 or 2, as version 1 is not built; received 1/],
    [{ mirostatTau: 3 }, /mirostatTau with mirostat/],
    [{ mirostat: 2, mirostatEta: 0 }, /mirostatEta above 0/],
    [{ mirostat: 2, topP: 0.9, minP: 0.1 }, /mirostat with no limit but temperature; received topP, minP/],
    [{ warpers: [1] as never }, /warpers to be a list of functions/],
  ])("%o", (options, message) => {
    expect(() => new Sampler(options)).toThrow(message);
  });
});
