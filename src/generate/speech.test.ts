/** Whisper's rules for times, its settings and what makes it try again. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromPretrained, type WhisperForConditionalGeneration } from "../models/index.ts";
import { zeros } from "../tensor/index.ts";
import { languageCode, languageName, Seq2SeqGenerator, SpeechGenerator, SpeechSettings } from "./index.ts";
import { compressionRatio } from "./speech-generator.ts";
import { cutWindow } from "./speech-segments.ts";

let model: WhisperForConditionalGeneration;
beforeAll(async () => {
  model = (await fromPretrained(
    fileURLToPath(new URL("../../golden/pipelines/models/whisper", import.meta.url)),
  )) as WhisperForConditionalGeneration;
});
afterAll(() => model.dispose());

test("bytes of tokens to those that zlib makes of them: 19 in Python, whose zlib is another build", async () => {
  const tokens = [329, 261, 384, 384, 261, 261, 261, 261, 261, 261, 261, 261, 409];
  expect(Math.abs(26 / (await compressionRatio(tokens, 410)) - 19)).toBeLessThanOrEqual(1);
});

describe("parts of a window", () => {
  const zero = 100;
  test("two times end a part, and what follows the last two is heard again", () => {
    const { segments, stepsDone } = cutWindow([100, 1, 2, 110, 110, 3, 120, 120, 4], zero, 150);
    expect(segments.map(({ start, end, first, last }) => [start, end, first, last])).toEqual([
      [0, 10, 0, 4],
      [10, 20, 4, 7],
    ]);
    expect(stepsDone).toBe(20);
  });
  test("one time at the end says that nothing follows", () => {
    expect(cutWindow([100, 1, 110, 110, 3, 120], zero, 150)).toEqual({
      segments: [
        { start: 0, end: 10, first: 0, last: 3 },
        { start: 10, end: 20, first: 3, last: 6 },
      ],
    });
  });
  test("without two times all is one part, to the last time or the end of the window", () => {
    expect(cutWindow([100, 1, 2], zero, 150)).toEqual({ segments: [{ start: 0, end: 150, first: 0, last: 3 }] });
    expect(cutWindow([100, 1, 2, 130], zero, 150)).toEqual({ segments: [{ start: 0, end: 30, first: 0, last: 4 }] });
    expect(cutWindow([], zero, 150)).toEqual({ segments: [] });
  });
  test("a window without any progress is not heard again", () => {
    expect(cutWindow([100, 100, 4], zero, 150).stepsDone).toBeUndefined();
  });
});

test("the next temperature is tried until a text is good enough", async () => {
  const generator = new SpeechGenerator(model);
  const temperatures: number[] = [];
  const { generate } = Seq2SeqGenerator.prototype;
  Seq2SeqGenerator.prototype.generate = function (source, options) {
    temperatures.push(options?.temperature as number);
    return generate.call(this, source, options);
  };
  const hear = async (options: object) => {
    temperatures.length = 0;
    for await (const _ of generator.generate(zeros([1, 80, 200]), {
      seed: 3,
      language: "en",
      maxNewTokens: 6,
      temperature: [0, 0.4, 0.8],
      ...options,
    }));
    return temperatures;
  };
  try {
    expect(await hear({})).toEqual([0]);
    expect(await hear({ logprobThreshold: -1e-3 })).toEqual([0, 0.4, 0.8]);
    expect(await hear({ compressionRatioThreshold: 0.01 })).toEqual([0, 0.4, 0.8]);
    expect(await hear({ compressionRatioThreshold: 100, logprobThreshold: -1000 })).toEqual([0]);
    expect(await hear({ noSpeechThreshold: 0 })).toEqual([0]); // silence: no other is tried
    await expect(hear({ noSpeechTreshold: 0 })).rejects.toThrow(/did you mean "noSpeechThreshold"/);
  } finally {
    Seq2SeqGenerator.prototype.generate = generate;
    generator.dispose();
  }
});

describe("settings", () => {
  const settings = (json: object) =>
    new SpeechSettings({ config: model.config, generationConfig: { ...model.generationConfig, ...json } } as never);
  test("languages by code, token or name", () => {
    for (const language of ["fr", "<|fr|>", "French"]) expect(settings({}).languageOf({ language })).toBe("fr");
    expect(languageCode("Castilian")).toBe("es");
    expect(languageName("ht")).toBe("haitian creole");
  });
  test("a language and task that the file states, in its newer and its older form", () => {
    const newer = settings({ language: "french", task: "translate" });
    expect(newer.startOf(newer.languageOf({}), {}, true)).toEqual([301, 303, 304]);
    const older = settings({
      forced_decoder_ids: [
        [1, 303],
        [2, 304],
        [3, 308],
      ],
    });
    expect(older.startOf(older.languageOf({}), {}, false)).toEqual([301, 303, 304, 308]);
    expect(
      settings({
        forced_decoder_ids: [
          [1, null],
          [2, 305],
        ],
      }).languageOf({}),
    ).toBeUndefined();
  });
  test("a model for one language takes no language", () => {
    expect(settings({ is_multilingual: false }).startOf(undefined, {}, false)).toEqual([301, 308]);
    expect(() => settings({ is_multilingual: false }).languageOf({ language: "en" })).toThrow(/writes one only/);
  });
  test("how a sound is heard by the file, which options go before", () => {
    const stated = {
      logprob_threshold: -1,
      compression_ratio_threshold: 1.35,
      no_speech_threshold: 0.6,
      condition_on_prev_tokens: true,
      return_timestamps: true,
    };
    expect(settings(stated).defaults).toEqual({
      ...{ logprobThreshold: -1, compressionRatioThreshold: 1.35, noSpeechThreshold: 0.6 },
      ...{ conditionOnPrevTokens: true, timestamps: true },
    });
    expect(settings({ return_timestamps: false }).defaults).toEqual({});
    expect(() => settings({ logprob_threshold: "x" })).toThrow(/logprob_threshold: expected a number/);
  });
  test("ids that are none are named", () => {
    expect(() => settings({ no_timestamps_token_id: 9999 })).toThrow(/no_timestamps_token_id.*below 410.*9999/);
    expect(() => settings({ lang_to_id: { "<|en|>": "x" } })).toThrow(/lang_to_id/);
    expect(() => settings({ alignment_heads: [[5, 0]] })).toThrow(/alignment_heads/);
  });
});
