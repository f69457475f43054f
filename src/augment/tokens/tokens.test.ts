import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { Draws, drawsOf } from "../draws.ts";
import {
  backTranslation,
  corruptedLengths,
  corruptSpans,
  deleteWords,
  maskTokens,
  replaceSynonyms,
  swapWords,
} from "./index.ts";

interface SpanCase {
  noiseDensity: number;
  meanSpanLength: number;
  ids: number[];
  orders: number[][];
  inputIds: number[];
  labels: number[];
}
interface LengthCase {
  inputLength: number;
  noiseDensity: number;
  meanSpanLength: number;
  tokensLength: number;
  targetLength: number;
}
const golden: { vocabSize: number; eosTokenId: number; spans: SpanCase[]; lengths: LengthCase[] } = JSON.parse(
  await readFile(new URL("../../../golden/augment/sequences.json", import.meta.url), "utf8"),
);

/** Draws whose orders are those that NumPy drew. */
class RecordedOrders extends Draws {
  private readonly orders: number[][];
  constructor(orders: readonly number[][]) {
    super([0, 0]);
    this.orders = [...orders];
  }
  override shuffled<T>(list: Iterable<T>): T[] {
    const items = [...list];
    return (this.orders.shift() as number[]).map((i) => items[i]);
  }
}

describe("span corruption", () => {
  const { vocabSize, eosTokenId } = golden;
  const sentinels = { firstSentinelId: vocabSize - 1, eosTokenId };

  test.each(golden.spans)("as run_t5_mlm_flax: density $noiseDensity, spans of $meanSpanLength", (row) => {
    const { ids, orders, noiseDensity, meanSpanLength, inputIds, labels } = row;
    const options = { ...sentinels, noiseDensity, meanSpanLength };
    expect(corruptSpans(ids, options, new RecordedOrders(orders))).toEqual({ inputIds, labels });
  });

  test.each(golden.lengths)("lengths for inputs of $inputLength, density $noiseDensity", (row) => {
    const { inputLength, noiseDensity, meanSpanLength, tokensLength, targetLength } = row;
    const actual = corruptedLengths(inputLength, { noiseDensity, meanSpanLength });
    expect(actual).toEqual({ tokens: tokensLength, labels: targetLength });
  });

  test("texts of any length can be put together again", () => {
    for (let length = 2; length < 80; length++) {
      const ids = Array.from({ length }, (_, i) => i + 2);
      const draws = drawsOf(1, length);
      const options = {
        firstSentinelId: 999,
        noiseDensity: draws.uniform(0.05, 0.9),
        meanSpanLength: draws.uniform(0.5, 6),
      };
      const { inputIds, labels } = corruptSpans(ids, options, draws);
      const spans = new Map<number, number[]>();
      for (const id of labels) {
        if (id >= 900) spans.set(id, []);
        else [...spans.values()].at(-1)?.push(id);
      }
      expect(inputIds.flatMap((id) => (id >= 900 ? (spans.get(id) as number[]) : [id]))).toEqual(ids);
      expect([...spans.keys()]).toEqual(Array.from({ length: spans.size }, (_, i) => 999 - i));
    }
  });

  test("what cannot be corrupted is refused", () => {
    const refused: [() => unknown, string][] = [
      [() => corruptSpans([4], sentinels, drawsOf(0)), "corruptSpans: expected two tokens or more"],
      [
        () => corruptSpans(new Array(300).fill(4), { ...sentinels, numSentinels: 3 }, drawsOf(0)),
        "corruptSpans: expected at most 3 spans, one for each sentinel; received 15",
      ],
      [() => corruptSpans([4, 5], { ...sentinels, noiseDensity: 1 }, drawsOf(0)), "noiseDensity above 0 and below 1"],
      [() => corruptedLengths(2), "expected inputLength to be an integer of at least 3"],
    ];
    for (const [call, message] of refused) expect(call).toThrow(message);
  });
});

describe("masks of a masked language model", () => {
  const LENGTH = 50_000;
  const [MASK, VOCAB] = [4, 30_000];
  const draws = drawsOf(11);
  const ids = Array.from({ length: LENGTH }, () => 10 + draws.integer(VOCAB - 10));
  const specialTokensMask = ids.map((_, i) => (i % 20 === 0 ? 1 : 0));
  const isNear = (count: number, total: number, share: number) =>
    expect(Math.abs(count - total * share)).toBeLessThan(4 * Math.sqrt(total * share * (1 - share)));

  test("15 % of the tokens, 80/10/10, special ones never", () => {
    const { inputIds, labels } = maskTokens(
      { ids, specialTokensMask },
      { maskTokenId: MASK, vocabSize: VOCAB },
      drawsOf(1),
    );
    const asked = labels.flatMap((label, i) => (label === -100 ? [] : [i]));
    isNear(asked.length, LENGTH * 0.95, 0.15);
    isNear(asked.filter((i) => inputIds[i] === MASK).length, asked.length, 0.8);
    isNear(asked.filter((i) => inputIds[i] === ids[i]).length, asked.length, 0.1);
    for (const i of asked) expect([labels[i], specialTokensMask[i]]).toEqual([ids[i], 0]);
    expect(inputIds.filter((id, i) => labels[i] === -100 && id !== ids[i])).toEqual([]);
  });

  test("whole words: their tokens together, and not across special tokens or texts", () => {
    const wordIds = ids.map((_, i) => (specialTokensMask[i] ? null : Math.floor(i / 3)));
    const options = { maskTokenId: MASK, vocabSize: VOCAB, wholeWords: true };
    const { labels } = maskTokens({ ids, specialTokensMask, wordIds }, options, drawsOf(2));
    const words = new Map<string, Set<boolean>>();
    for (const [i, word] of wordIds.entries()) {
      const isAsked = labels[i] !== -100;
      if (word === null) expect(isAsked).toBe(false);
      // a special token in a word parts it
      const key = word === null ? "" : `${word} ${specialTokensMask.slice(word * 3, i).indexOf(1)}`;
      if (key) words.set(key, (words.get(key) ?? new Set()).add(isAsked));
    }
    expect([...words.values()].filter(({ size }) => size > 1)).toEqual([]);
    isNear([...words.values()].filter((kinds) => kinds.has(true)).length, words.size, 0.15);
    const pair = { ids: [7, 8], specialTokensMask: [0, 0], wordIds: [0, 0], sequenceIds: [0, 1] };
    const kinds = Array.from({ length: 60 }, (_, i) =>
      maskTokens(pair, { ...options, probability: 0.5 }, drawsOf(3, i))
        .labels.map((label) => label >= 0)
        .join(),
    );
    expect(new Set(kinds).size).toBe(4);
  });

  test("wrong options are refused", () => {
    const tokens = { ids: [1, 2], specialTokensMask: [0, 0] };
    const options = { maskTokenId: MASK, vocabSize: VOCAB };
    const refused: [() => unknown, string][] = [
      [
        () => maskTokens(tokens, { ...options, wholeWords: true }, draws),
        "and in wordIds, as there are ids; received 2 and none",
      ],
      [
        () => maskTokens({ ...tokens, specialTokensMask: [0] }, options, draws),
        "expected 2 numbers in specialTokensMask",
      ],
      [() => maskTokens(tokens, { ...options, randomShare: 0.3 }, draws), "bothShares from 0 to 1; received 1.1"],
    ];
    for (const [call, message] of refused) expect(call).toThrow(message);
  });
});

describe("words", () => {
  const words = "there she blows a hump like a snow hill".split(" ");

  test("are left out, exchanged and replaced by share", () => {
    const lexicon = new Map([
      ["hump", ["bump", "bulge"]],
      ["hill", ["mound"]],
      ["snow", []],
    ]);
    for (let i = 0; i < 50; i++) {
      const deleted = deleteWords(words, { share: 0.95 }, drawsOf(0, i));
      expect(deleted.length).toBeGreaterThan(0);
      expect(words.filter((word) => deleted.includes(word))).toEqual(expect.arrayContaining(deleted));
      const swapped = swapWords(words, { share: 0.2 }, drawsOf(0, i));
      expect([...swapped].sort()).toEqual([...words].sort());
      const replaced = replaceSynonyms(words, lexicon, { share: 0.2 }, drawsOf(0, i));
      const changed = words.flatMap((word, at) => (replaced[at] === word ? [] : [word]));
      expect(changed.length).toBe(1);
      expect(lexicon.get(changed[0])).toContain(replaced[words.indexOf(changed[0])]);
    }
    expect(swapWords(words, { share: 0 }, drawsOf(0))).toEqual(words);
    expect(deleteWords([], {}, drawsOf(0))).toEqual([]);
    expect(() => swapWords(words, { share: 2 }, drawsOf(0))).toThrow("swapWords: expected share from 0 to 1");
  });
});

describe("back-translation", () => {
  const there = async (texts: readonly string[]) => texts.map((text) => text.toUpperCase());

  test("each text goes once, in batches, and the sample decides which", async () => {
    const batches: string[][] = [];
    const back = async (texts: readonly string[]) => {
      batches.push([...texts]);
      return texts.map((text) => `${text.toLowerCase()}?`);
    };
    const cache = new Map<string, string>();
    const augment = backTranslation({ there, back, batchSize: 3, cache });
    const texts = Array.from({ length: 40 }, (_, i) => `text ${i % 20}`);
    const [first, again] = await Promise.all([augment(texts, drawsOf(0)), augment(texts, drawsOf(0))]);
    expect(again).toEqual(first);
    const count = first.filter((text) => text.endsWith("?")).length;
    expect(count).toBeGreaterThan(10);
    expect(count).toBeLessThan(30);
    const sent = batches.flat();
    expect(new Set(sent).size).toBe(sent.length);
    expect(Math.max(...batches.map(({ length }) => length))).toBe(3);
    expect(cache.size).toBe(sent.length);
    expect(await augment(texts, drawsOf(0))).toEqual(first);
    expect(batches.flat()).toEqual(sent);
  });

  test("an error is told, and the text is tried again", async () => {
    let isDown = true;
    const back = async (texts: readonly string[]) => {
      if (isDown) throw new Error("the server is down");
      return texts;
    };
    const augment = backTranslation({ there, back, probability: 1 });
    await expect(augment(["a"], drawsOf(0))).rejects.toThrow("the server is down");
    isDown = false;
    expect(await augment(["a"], drawsOf(0))).toEqual(["A"]);
    const short = backTranslation({ there, back: async () => [], probability: 1 });
    await expect(short(["a"], drawsOf(0))).rejects.toThrow(
      "backTranslation, back: expected 1 texts, one for each; received 0",
    );
  });
});
