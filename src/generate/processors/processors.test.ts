/** Processors that generation_config.json does not ask for, against golden/decoding.json. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { randomNumbers } from "../../testing/fuzz/random.ts";
import { type GenerationSettings, type LogitsProcessor, processorsOf, settingsOf } from "../index.ts";

interface Expected {
  processed: {
    name: string;
    settings: GenerationSettings;
    prompt: number[];
    written: number[];
    logits: number[];
    expected: (number | null)[];
  }[];
}
const file = fileURLToPath(new URL("../../../golden/decoding.json", import.meta.url));
const { processed } = JSON.parse(readFileSync(file, "utf8")) as Expected;

function applied(settings: GenerationSettings, values: readonly number[], ids: number[], startLength: number) {
  const logits = Float32Array.from(values);
  const list = processorsOf(settingsOf({}, settings));
  for (const process of list) process(logits, { ids, startLength, maxLength: 99 });
  return { logits, list };
}

test.each(processed)("$name", ({ settings, prompt, written, logits: values, expected }) => {
  const { logits } = applied(settings, values, [...prompt, ...written], prompt.length);
  for (const [i, value] of expected.entries()) {
    if (value === null) expect(logits[i]).toBe(Number.NEGATIVE_INFINITY);
    else expect(Math.abs(logits[i] - value)).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(value)));
  }
});

test("a list of processors goes from text to text, shorter and longer", () => {
  const { list } = applied({ presencePenalty: 1, repetitionPenalty: 2, dryMultiplier: 1 }, [1, 1, 1, 1], [0], 0);
  const after = (ids: number[], startLength: number) => {
    const logits = Float32Array.of(2, 2, 2, 2);
    for (const process of list) process(logits, { ids, startLength, maxLength: 99 });
    return [...logits];
  };
  const long = [0, 1, 2, 0, 1, 2, 0, 1];
  const first = after(long, 4);
  expect(first).toEqual([0, 0, 0 - 1.75 ** 3, 2]);
  expect(after([3], 1)).toEqual([2, 2, 2, 1]);
  expect(after([1, 3], 1)).toEqual([2, 1, 2, 0]);
  expect(after(long, 4)).toEqual(first);
});

test("DRY finds in linear time what a search of all pairs finds", () => {
  const next = randomNumbers(1);
  const random = (count: number) => Math.floor(next() * count);
  for (let round = 0; round < 300; round++) {
    const ids = Array.from({ length: 1 + random(40) }, () => random(3));
    const last = ids.length - 1;
    const expected = new Float32Array(4);
    for (let next = 0; next < 3; next++) {
      let longest = 0;
      for (let place = 0; place < last; place++) {
        if (ids[place + 1] !== next) continue;
        let length = 0;
        while (length <= place && ids[place - length] === ids[last - length]) length++;
        longest = Math.max(longest, length);
      }
      if (longest >= 1) expected[next] = -(2 ** (longest - 1));
    }
    const { logits } = applied({ dryMultiplier: 1, dryBase: 2, dryAllowedLength: 1 }, [0, 0, 0, 0], ids, 0);
    expect([...logits].map((value) => value + 0)).toEqual([...expected]);
  }
});

test("those of a caller come after the settings, and the normalization after them", () => {
  const seen: number[][] = [];
  const double: LogitsProcessor = (logits) => {
    seen.push([...logits]);
    for (let id = 0; id < logits.length; id++) logits[id] *= 2;
  };
  const logits = Float32Array.of(1, 0);
  for (const process of processorsOf(settingsOf({}, { logitBias: { 0: 1 }, renormalizeLogits: true }), [double]))
    process(logits, { ids: [1], startLength: 1, maxLength: 9 });
  expect(seen).toEqual([[2, 0]]);
  expect(logits[0]).toBeCloseTo(-Math.log(1 + Math.exp(-4)), 6);
  expect(logits[1]).toBeCloseTo(-4 - Math.log(1 + Math.exp(-4)), 6);
});

describe("values that cannot be followed", () => {
  test.each<[GenerationSettings, RegExp]>([
    [{ presencePenalty: 2.5 }, /presencePenalty to be a number from -2 to 2; received 2.5/],
    [{ frequencyPenalty: Number.NaN }, /frequencyPenalty to be a number from -2 to 2/],
    [{ logitBias: { x: 1 } as never }, /logitBias to be an object of token ids and numbers/],
    [{ logitBias: [[1, 2]] as never }, /logitBias to be an object/],
    [{ allowedTokenIds: [] }, /allowedTokenIds to be token ids, at least one/],
    [{ dryMultiplier: -1 }, /dryMultiplier to be a number of at least 0/],
    [{ dryMultiplier: 1, dryBase: 0.5 }, /dryBase to be a number of at least 1/],
    [{ dryMultiplier: 1, dryAllowedLength: 0 }, /dryAllowedLength to be a number of tokens of at least 1/],
    [{ dryMultiplier: 1, dryPenaltyLastN: -1 }, /dryPenaltyLastN/],
    [{ dryMultiplier: 1, drySequenceBreakers: [""] }, /drySequenceBreakers to be texts/],
    [{ dryBase: 2 }, /dryBase with dryMultiplier; received dryBase alone/],
  ])("%o", (settings, message) => {
    expect(() => settingsOf({}, settings)).toThrow(message);
  });

  test("tokens that the model does not have", () => {
    expect(() => applied({ allowedTokenIds: [1, 4] }, [0, 0, 0, 0], [0], 1)).toThrow(
      /allowedTokenIds: expected token ids from 0 to 3; received 4/,
    );
    expect(() => applied({ logitBias: { 7: 1 } }, [0, 0, 0, 0], [0], 1)).toThrow(/logitBias: .* received 7/);
  });
});
