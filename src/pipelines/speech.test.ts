/** Whisper on sounds longer than its window, and the times of words: what transformers writes. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readBytes, readJson } from "../files/index.ts";
import { languageCode, SpeechGenerator, type SpeechOptions } from "../generate/index.ts";
import { fromPretrained, type WhisperForConditionalGeneration } from "../models/index.ts";
import { logMelSpectrogram, readWav, resample } from "../processors/index.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { SpeechRecognitionPipeline } from "./speech.ts";
import { joinRuns, wordsOf } from "./transcript.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));
const folder = join(golden, "pipelines/models/whisper");
interface Segment {
  start: number;
  end: number;
  tokens: number[];
}
interface Golden {
  factors: number[];
  alignmentHeads: [number, number][];
  generate: Record<string, { options: Record<string, unknown>; segments: Segment[] }>;
  words: { language: string; ids: number[]; words: string[]; indices: number[][] }[];
  overlapping: { runs: number[][]; joined: number[] }[];
  pipeline: { seconds: number; options: Record<string, unknown>; output: { text: string; chunks: unknown[] } }[];
}
const {
  factors,
  alignmentHeads,
  generate,
  pipeline: calls,
  words,
  overlapping,
} = (await readJson(join(golden, "audio/long-form.json"))) as unknown as Golden;
const [piece] = readWav(await readBytes(join(golden, "audio/mono-16.wav"))).channels;
const samples = Float32Array.from(factors.flatMap((factor) => Array.from(piece, (value) => value * factor)));
const ZERO = 309;
const shared = { maxNewTokens: 14, language: "en", task: "transcribe" } as const;
const camel = (json: object) =>
  Object.fromEntries(
    Object.entries(json).map(([key, value]) => [key.replace(/_(\w)/g, (_, letter) => letter.toUpperCase()), value]),
  );

let model: WhisperForConditionalGeneration;
let tokenizer: Tokenizer;
beforeAll(async () => {
  model = (await fromPretrained(folder)) as WhisperForConditionalGeneration;
  Object.assign(model.generationConfig, { alignment_heads: alignmentHeads });
  tokenizer = await Tokenizer.open(folder);
});
afterAll(() => model.dispose());

describe("parts of a long sound", () => {
  const features = () => logMelSpectrogram(samples, 16000, { chunkSeconds: samples.length / 16000 });
  test.each(Object.entries(generate))("%s", async (_, { options, segments }) => {
    const generator = new SpeechGenerator(model);
    const { promptIds: prompt, language, ...rest } = camel(options) as Record<string, never>;
    const asked: SpeechOptions = {
      ...shared,
      ...rest,
      ...(prompt !== undefined && { prompt }),
      ...(language === null && { language: undefined }),
    };
    const heardSegments: Segment[] = [];
    for await (const { start, end, tokens, language: code } of generator.generate(features(), asked)) {
      heardSegments.push({ start, end, tokens });
      expect(code).toBe("en");
    }
    // where a part ends with two times, transformers keeps the second, with which the next window begins again
    const isTwice = (tokens: number[]) => tokens.length > 2 && tokens.slice(-2).every((id) => id >= ZERO);
    const expected = segments.map(({ tokens, ...times }) => ({
      ...times,
      tokens: isTwice(tokens) ? tokens.slice(0, -1) : tokens,
    }));
    expect(heardSegments.map(({ tokens }) => tokens)).toEqual(expected.map(({ tokens }) => tokens));
    for (const [i, { start, end }] of expected.entries()) {
      expect(heardSegments[i].start).toBeCloseTo(start, 6);
      expect(heardSegments[i].end).toBeCloseTo(end, 6);
    }
    generator.dispose();
  });
});

describe("the pipeline", () => {
  test.each(calls.map((call) => [`${call.seconds} s ${JSON.stringify(call.options)}`, call] as const))(
    "%s",
    async (_, { seconds, options, output }) => {
      const hearing = new SpeechRecognitionPipeline(model, tokenizer);
      const sound = { channels: [samples.slice(0, Math.round(seconds * 16000))], samplingRate: 16000 };
      const transcript = await hearing.run(sound, { ...shared, ...camel(options) });
      expect(transcript.text).toBe(output.text);
      // of several windows transformers loses where each began; what its generate gives is right
      const hasWindows = seconds > 2 && options.return_timestamps === true;
      if (!hasWindows || options.chunk_length_s === 1.5) return expect(transcript).toEqual(output);
      if (options.chunk_length_s) return;
      const expected = generate.plain.segments.map(async ({ start, end, tokens }) => ({
        text: await tokenizer.decode(tokens.filter((id) => id < ZERO)),
        timestamp: [start, end].map((time) => Math.round(time * 100) / 100),
        ...(options.return_language === true && { language: "english" }),
      }));
      expect(transcript.chunks).toEqual(await Promise.all(expected));
    },
  );
});

test.each(words.map((entry) => [entry.language, entry] as const))(
  "words of %s",
  async (language, { ids, words: expected, indices }) => {
    const times = ids.map((_, i): [number, number] => [i, i + 1]);
    const timedWords = await wordsOf(
      { start: 0, end: 1, language: languageCode(language), run: { tokens: ids, times } },
      (part) => tokenizer.decode(part),
    );
    expect(timedWords.map(({ text }) => text)).toEqual(expected);
    expect(timedWords.map(({ timestamp }) => timestamp)).toEqual(
      indices.map((part) => [part[0], (part.at(-1) as number) + 1]),
    );
  },
);

test("texts that overlap", () => {
  for (const { runs, joined } of overlapping)
    expect(joinRuns(runs.map((tokens) => ({ tokens, times: [] }))).tokens).toEqual(joined);
});

test("what cannot be done is said", async () => {
  const hearing = new SpeechRecognitionPipeline(model, tokenizer);
  const run = (options: object, seconds = 1) =>
    hearing.run({ channels: [samples.slice(0, 16000 * seconds)], samplingRate: 16000 }, options);
  await expect(run({ language: "klingon" })).rejects.toThrow(/expected one of en, fr; received klingon/);
  await expect(run({ task: "sing" })).rejects.toThrow(/expected one of transcribe, translate; received sing/);
  await expect(run({ chunkLengthS: 3 })).rejects.toThrow(/chunkLengthS.*at most 2/);
  await expect(run({ chunkLengthS: 1, strideLengthS: 0.5 })).rejects.toThrow(/less than chunkLengthS, 1, together/);
  await expect(run({ prompt: "a <|notimestamps|>" })).rejects.toThrow(/plain text; received <\|notimestamps\|>/);
  await expect(run({ promptConditionType: "all-segments" })).rejects.toThrow(/conditionOnPrevTokens/);
  await expect(run({ returnTimestamp: true })).rejects.toThrow(/returnTimestamps/);
  await expect(hearing.run({ channels: [new Float32Array(0)], samplingRate: 16000 })).rejects.toThrow(
    /at least one sample/,
  );
});

test("another number of samples a second", async () => {
  const file = (await readJson(join(golden, "audio/resample.json"))) as unknown as {
    samples: [number, number];
    rates: { from: number; to: number; data: number[] }[];
  };
  const part = samples.slice(...file.samples);
  for (const { from, to, data } of file.rates) {
    const resampled = resample(part, from, to);
    expect(resampled.length).toBe(data.length);
    for (const [i, value] of data.entries()) expect(resampled[i]).toBeCloseTo(value, 5);
  }
});
