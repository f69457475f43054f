import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { fromPretrained, type Seq2SeqLM } from "../models/index.ts";
import { type GenerationSettings, Seq2SeqGenerator, settingsOf, TokenPicker } from "./index.ts";
import type { BuiltWays } from "./search-settings.ts";

const everything: BuiltWays = { hasBeams: true, hasSequences: true, hasContrastive: true };

describe("searches that are not built", () => {
  test.each<[GenerationSettings, BuiltWays, RegExp]>([
    [{ numBeams: 2 }, {}, /generate, numBeams: expected 1, or nothing that is drawn/],
    [{ numBeams: 2, temperature: 1 }, everything, /numBeams: expected 1, or nothing that is drawn/],
    [{ penaltyAlpha: 0.6 }, { hasBeams: true }, /generate, penaltyAlpha: expected a way to write texts that is built/],
    [{ numBeams: 2, numReturnSequences: 2 }, { hasBeams: true }, /generate, numReturnSequences: expected a way to/],
    [{ numBeamGroups: 2 }, {}, /generate, numBeamGroups: expected a way to write/],
    [{ forceWordsIds: [[1]] }, {}, /generate, forceWordsIds: expected a way to write/],
  ])("%o", (options, built, message) => {
    expect(() => settingsOf({}, options, built)).toThrow(message);
  });
});

describe("settings that do not go together", () => {
  test.each<[GenerationSettings, RegExp]>([
    [
      { numBeams: 4, numBeamGroups: 3, diversityPenalty: 1 },
      /numBeamGroups: expected a number that numBeams, 4, can be/,
    ],
    [{ numBeams: 4, numBeamGroups: 2 }, /numBeamGroups: expected a diversityPenalty above 0/],
    [{ numBeams: 4, diversityPenalty: 1 }, /diversityPenalty: expected numBeamGroups above 1/],
    [{ numBeams: 2, numReturnSequences: 3 }, /numReturnSequences: expected at most numBeams, 2; received 3/],
    [{ forceWordsIds: [[1]] }, /forceWordsIds: expected numBeams above 1/],
    [
      { numBeams: 4, numBeamGroups: 2, diversityPenalty: 1, forceWordsIds: [[1]] },
      /forceWordsIds: expected no numBeamGroups/,
    ],
    [{ numBeams: 2, forceWordsIds: [[[1, 2], [1]]] }, /forceWordsIds: expected alternatives none of which begins/],
    [{ numBeams: 2, forceWordsIds: [[]] }, /forceWordsIds to be lists of token ids/],
    [{ numBeams: 2, forceWordsIds: [1] as never }, /forceWordsIds to be lists of token ids/],
    [{ penaltyAlpha: 1.5 }, /penaltyAlpha to be a number from 0 to 1/],
    [{ penaltyAlpha: 0.5, topK: 1 }, /penaltyAlpha: expected no numBeams, nothing that is drawn and a topK above 1/],
    [{ penaltyAlpha: 0.5, topP: 0.9 }, /penaltyAlpha: expected no numBeams, nothing that is drawn/],
    [{ penaltyAlpha: 0.5, numBeams: 2 }, /penaltyAlpha: expected no numBeams/],
  ])("%o", (options, message) => {
    expect(() => settingsOf({}, options, everything)).toThrow(message);
  });
});

test("contrastive search takes its topK, which draws nothing", () => {
  const of = (json: object, options: GenerationSettings = {}) =>
    new TokenPicker({ config: { eosTokenId: 1 }, generationConfig: { ...json } }, [0], [0], options, everything);
  expect(of({}, { penaltyAlpha: 0.6, topK: 4 }).contrastive).toEqual({ penaltyAlpha: 0.6, topK: 4 });
  expect(of({ penalty_alpha: 0.5, top_k: 6 }).contrastive).toEqual({ penaltyAlpha: 0.5, topK: 6 });
  expect(of({ penalty_alpha: 0.5 }).contrastive).toEqual({ penaltyAlpha: 0.5, topK: 50 });
  expect(of({ penalty_alpha: 0.5, do_sample: true }).contrastive).toBeUndefined();
  expect(of({ penalty_alpha: 0.5 }, { penaltyAlpha: 0 }).contrastive).toBeUndefined();
  expect(of({ penalty_alpha: 0.5 }, { temperature: 0.7 }).contrastive).toBeUndefined();
  expect(of({}, { topK: 4 }).contrastive).toBeUndefined();
});

test("an encoder-decoder gives several texts, and one where it is asked for one", async () => {
  const folder = fileURLToPath(new URL("../../golden/models/bart", import.meta.url));
  const model = (await fromPretrained(folder)) as Seq2SeqLM;
  const generator = new Seq2SeqGenerator(model);
  const inputIds = [5, 9, 12, 3];
  const options = { numBeams: 3, maxNewTokens: 6 };
  const encoded = await generator.read({ inputIds });
  const texts = await generator.generateSequences(encoded, { ...options, numReturnSequences: 3 });
  expect(texts).toHaveLength(3);
  expect(texts[0].score).toBeGreaterThanOrEqual(texts[1].score);
  const ids: number[] = [];
  for await (const id of generator.generate({ inputIds }, options)) ids.push(id);
  expect(ids).toEqual(texts[0].ids);
  expect(await generator.generateSequences(encoded, { ...options, maxNewTokens: 0 })).toEqual([]);
  await expect(generator.generateSequences(encoded)).rejects.toThrow(/generateSequences: expected numBeams above 1/);
  await expect(generator.generate(encoded, { ...options, numReturnSequences: 2 }).next()).rejects.toThrow(
    /numReturnSequences: expected a way to write texts that is built/,
  );
  const abort = new AbortController();
  abort.abort();
  await expect(generator.generateSequences(encoded, { ...options, signal: abort.signal })).rejects.toThrow(/abort/i);
  encoded.dispose();
  generator.dispose();
  model.dispose();
});
