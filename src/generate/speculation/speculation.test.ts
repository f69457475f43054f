/** That speculation changes no distribution, by chi-square; lookups against golden/decoding.json. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { randomNumbers } from "../../testing/fuzz/random.ts";
import { acceptProposals, acceptToken, promptLookup, type TokenDistribution, TokenPicker } from "../index.ts";

interface Lookup {
  ids: number[];
  numTokens: number;
  ngramSize: number;
  forbidden: number[];
  proposed: number[];
}
const file = fileURLToPath(new URL("../../../golden/decoding.json", import.meta.url));
const { lookups } = JSON.parse(readFileSync(file, "utf8")) as { lookups: Lookup[] };

/** All ids from 0 on with these probabilities. */
const all = (probabilities: readonly number[]): TokenDistribution => ({
  ids: probabilities.map((_, id) => id),
  probabilities,
});
function draw({ ids, probabilities }: TokenDistribution, uniform: number): number {
  let left = uniform;
  for (let i = 0; i < ids.length; i++) {
    left -= probabilities[i];
    if (left < 0) return ids[i];
  }
  return ids[ids.length - 1];
}

/** That counts are those of probabilities, but for once in 100,000 (the quantile by Wilson and Hilferty 1931). */
function expectDistribution(counts: ReadonlyMap<string, number>, expected: ReadonlyMap<string, number>): void {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  for (const key of counts.keys()) expect(expected.get(key) ?? 0, key).toBeGreaterThan(0);
  let chi = 0;
  let freedom = -1;
  for (const [key, probability] of expected) {
    if (probability === 0) continue;
    chi += ((counts.get(key) ?? 0) - total * probability) ** 2 / (total * probability);
    freedom++;
  }
  const spread = 2 / (9 * freedom);
  expect(chi).toBeLessThan(freedom * (1 - spread + 4.26 * Math.sqrt(spread)) ** 3);
}
const countUp = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);

describe("a token is picked as by the target alone", () => {
  const target = all([0.5, 0.2, 0.15, 0.1, 0.05]);
  const expected = new Map(Array.from(target.ids, (id, i) => [String(id), target.probabilities[i]]));
  test.each<[string, TokenDistribution]>([
    ["a draft that is much like it", all([0.45, 0.25, 0.15, 0.1, 0.05])],
    ["a draft that is unlike it", all([0.02, 0.08, 0.1, 0.2, 0.6])],
    ["the same", target],
    ["a draft of few tokens", { ids: [1, 3], probabilities: [0.3, 0.7] }],
    ["a draft with tokens that the target does not have", { ids: [0, 7], probabilities: [0.4, 0.6] }],
  ])("%s", (_, draft) => {
    const uniform = randomNumbers(1);
    const counts = new Map<string, number>();
    for (let i = 0; i < 50_000; i++)
      countUp(counts, String(acceptToken(target, draw(draft, uniform()), draft, uniform)));
    expectDistribution(counts, expected);
  });

  test.each([0, 2, 4, 9])("token %i, which was certain", (proposal) => {
    const uniform = randomNumbers(2);
    const counts = new Map<string, number>();
    for (let i = 0; i < 50_000; i++) countUp(counts, String(acceptToken(target, proposal, undefined, uniform)));
    expectDistribution(counts, expected);
  });

  test("how often a proposal is accepted is what the distributions have in common", () => {
    const draft = all([0.1, 0.3, 0.3, 0.2, 0.1]);
    const uniform = randomNumbers(3);
    let accepted = 0;
    for (let i = 0; i < 50_000; i++) {
      const proposal = draw(draft, uniform());
      if (acceptToken(target, proposal, draft, uniform) === proposal) accepted++;
    }
    expect(accepted / 50_000).toBeCloseTo(0.1 + 0.2 + 0.15 + 0.1 + 0.05, 2);
  });

  test("a proposal that its distribution does not have", () => {
    expect(() => acceptToken(target, 2, { ids: [1], probabilities: [1] }, () => 0)).toThrow(
      /a proposal that its distribution may give; received token 2/,
    );
  });
});

test("texts of several accepted and refused proposals are distributed as those of the target", () => {
  // the next token depends on the last one
  const targets = [
    [0.6, 0.3, 0.1],
    [0.1, 0.2, 0.7],
    [0.3, 0.4, 0.3],
  ].map(all);
  const drafts = [
    [0.3, 0.3, 0.4],
    [0.2, 0.2, 0.6],
    [0.05, 0.9, 0.05],
  ].map(all);
  const LENGTH = 4;
  const expected = new Map<string, number>();
  const visit = (ids: number[], probability: number) => {
    if (ids.length > LENGTH) expected.set(ids.slice(1).join(""), probability);
    else for (const id of [0, 1, 2]) visit([...ids, id], probability * targets[ids[ids.length - 1]].probabilities[id]);
  };
  visit([0], 1);
  for (const count of [1, 2, 3]) {
    const uniform = randomNumbers(10 + count);
    const counts = new Map<string, number>();
    for (let i = 0; i < 40_000; i++) {
      const text = [0];
      while (text.length <= LENGTH) {
        const last = text[text.length - 1];
        const ids: number[] = [];
        for (let k = 0; k < count; k++) ids.push(draw(drafts[ids[k - 1] ?? last], uniform()));
        const distributions = [last, ...ids.slice(0, -1)].map((id) => drafts[id]);
        text.push(
          ...acceptProposals(
            [last, ...ids].map((id) => targets[id]),
            { ids, distributions },
            uniform,
          ),
        );
      }
      countUp(counts, text.slice(1, LENGTH + 1).join(""));
    }
    expectDistribution(counts, expected);
  }
});

test("where nothing is drawn, proposals are accepted as far as they are the likeliest tokens", () => {
  const certain = (id: number) => ({ ids: [id], probabilities: [1] });
  const never = () => {
    throw new Error("nothing is to be drawn");
  };
  const target = [4, 5, 6, 7].map(certain);
  const pick = (ids: number[], uniform: () => number = () => 0.5) => acceptProposals(target, { ids }, uniform);
  expect(acceptToken(target[0], 4, undefined, never)).toBe(4);
  expect(pick([4, 5, 6])).toEqual([4, 5, 6, 7]);
  expect(pick([4, 3, 6])).toEqual([4, 5]);
  expect(pick([1, 5, 6])).toEqual([4]);
  expect(acceptProposals([certain(4)], { ids: [] }, () => 0.5)).toEqual([4]);
  expect(() => pick([4])).toThrow(/what the model says at 2 places, of 1 proposals and after them; received 4/);
});

describe("a picker", () => {
  /** Logits that depend on the last token. */
  const logitsAfter = (id: number) => Float32Array.from({ length: 6 }, (_, i) => Math.sin(7 * id + 3 * i) * 3);
  const picker = (options: object, start = [0]) =>
    new TokenPicker({ config: { eosTokenId: 5 }, generationConfig: {} }, start, start, options);

  test("takes the tokens that it takes one by one, by all settings", () => {
    const settings = { repetitionPenalty: 1.5, noRepeatNgramSize: 2, presencePenalty: 0.4, minNewTokens: 9 };
    const alone = picker(settings);
    while (alone.ids.length < 9) alone.next(logitsAfter(alone.ids[alone.ids.length - 1]));
    for (const wrong of [0, 2, 3]) {
      const text = picker(settings);
      while (text.ids.length < 9) {
        const ids = alone.ids.slice(text.ids.length, text.ids.length + 3);
        if (wrong > 0 && ids.length === 3) ids[wrong - 1] = (ids[wrong - 1] + 1) % 5;
        const rows = [text.ids[text.ids.length - 1], ...ids].map(logitsAfter);
        const before = text.ids.length;
        const next = text.nextOf(rows, { ids });
        expect(next).toEqual({ ids: text.ids.slice(before), isEnded: false });
      }
      expect(text.ids.slice(0, 9)).toEqual(alone.ids);
    }
  });

  test("ends where the text ends, or is full", () => {
    const end = Float32Array.of(0, 0, 0, 0, 0, 9);
    const other = Float32Array.of(0, 9, 0, 0, 0, 0);
    expect(picker({}).nextOf([other, end, other], { ids: [1, 5] })).toEqual({ ids: [1], isEnded: true });
    const full = picker({});
    full.maxLength = 3;
    const rows = [other, other, other, other].map((row) => row.slice());
    expect(full.nextOf(rows, { ids: [1, 1, 1] })).toEqual({ ids: [1, 1], isEnded: false });
    expect(full.isFull).toBe(true);
  });

  test("draws as without proposals, within its limits", () => {
    const expected = new Map<string, number>();
    const counts = new Map<string, number>();
    const limits = { temperature: 1.3, topK: 3 };
    const logits = logitsAfter(1);
    const kept = [...logits].map((value, id) => ({ value, id })).sort((a, b) => b.value - a.value);
    const weights = kept.slice(0, 3).map(({ value, id }) => [String(id), Math.exp(value / 1.3)] as const);
    const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [id, weight] of weights) expected.set(id, weight / total);
    for (let seed = 0; seed < 4000; seed++) {
      const text = picker({ ...limits, seed, stopTokens: [] });
      const proposal = seed % 6;
      const { ids } = text.nextOf([logits.slice(), logits.slice()], { ids: [proposal] });
      countUp(counts, String(ids[0]));
    }
    expectDistribution(counts, expected);
  });
});

describe("prompt lookup", () => {
  test.each(lookups)("$ids", ({ ids, numTokens, ngramSize, forbidden, proposed }) => {
    const options = {
      promptLookupNumTokens: numTokens,
      maxMatchingNgramSize: ngramSize,
      stops: new Set([0]),
      ...(forbidden.length > 0 && { canFollow: (_: readonly number[], id: number) => !forbidden.includes(id) }),
    };
    expect(promptLookup(ids, options)).toEqual(proposed);
  });

  test("by default, and what cannot be looked up", () => {
    expect(promptLookup([7, 8, 1, 2, 3, 9, 8, 4, 7, 8])).toEqual([1, 2, 3, 9, 8, 4, 7, 8]);
    expect(promptLookup([])).toEqual([]);
    expect(() => promptLookup([1], { promptLookupNumTokens: 0 })).toThrow(/promptLookupNumTokens to be a positive/);
  });
});
