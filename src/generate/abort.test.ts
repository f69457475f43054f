/** An abort ends the run under way; the generator's next text is that of a new generator. */
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import {
  fromPretrained,
  type ImageTextModel,
  LlamaForCausalLM,
  llamaConfig,
  type Seq2SeqLM,
  type WhisperForConditionalGeneration,
} from "../models/index.ts";
import { defaultDevice, randomKey, zeros } from "../tensor/index.ts";
import { collect } from "../testing/collect.ts";
import { inputsOf, readGoldenModel } from "../testing/golden-model.ts";
import { Generator, ImageTextGenerator, Seq2SeqGenerator, SpeechGenerator } from "./index.ts";

const golden = (path: string) => fileURLToPath(new URL(`../../golden/${path}`, import.meta.url));

const { connection } = defaultDevice().allocate("f32", []);
const { request } = connection;
afterEach(() => {
  connection.request = request;
});

/**
 * A signal that is aborted when the device has got so many runs from now on: before the last of them begins, or when it
 * is under way.
 */
function abortAtRun(count: number, isUnderWay: boolean): AbortSignal {
  const controller = new AbortController();
  const abort = () => controller.abort(new Error("enough"));
  let runs = 0;
  connection.request = (body, signal) => {
    const answer = request.call(connection, body, signal);
    if ("kind" in body && body.kind === "run" && ++runs === count) isUnderWay ? setImmediate(abort) : abort();
    return answer as never;
  };
  return controller.signal;
}

/** Aborts a text at each of its first runs in turn, and expects the next to be as if nothing had been. */
async function expectUnharmed<T>(
  write: (signal?: AbortSignal) => AsyncGenerator<T>,
  expected: readonly T[],
): Promise<void> {
  for (const isUnderWay of [false, true]) {
    for (let count = 1; count <= 7; count++) {
      await expect(collect(write(abortAtRun(count, isUnderWay)))).rejects.toThrow("enough");
      connection.request = request;
      expect(await collect(write())).toEqual(expected);
    }
  }
}

const PROMPT = [3, 7, 1, 12, 5, 9, 2, 8, 14, 6, 11];

/** Plain attention, windows, capped scores, latent keys, and rotations that change with the length. */
test.each(["llama", "mistral", "gemma2", "gemma3", "deepseek-v3", "gpt-neox", "llama-dynamic", "phi3-longrope-long"])(
  "%s",
  async (name) => {
    const model = await fromPretrained(golden(`decoders/${name}`), { task: "causal-lm" });
    const options = { maxNewTokens: 10, temperature: 0, stopTokens: [] }; // more runs than are aborted
    const expected = await collect(new Generator(model).generate(PROMPT, options));
    const generator = new Generator(model, { initialRoom: 4, prefillTokens: 3 });
    await expectUnharmed((signal) => generator.generate(PROMPT, { ...options, signal }), expected);
    await expect(collect(generator.generate(PROMPT, { ...options, signal: abortAtRun(2, true) }))).rejects.toThrow(
      "enough",
    );
    const other = [...PROMPT.slice(0, 5), 4, 4, 4];
    expect(await collect(generator.generate(other, options))).toEqual(
      await collect(new Generator(model).generate(other, options)),
    );
    generator.dispose();
    model.dispose();
  },
);

test.each(["t5", "bart", "whisper"].flatMap((name) => [1, 3].map((numBeams) => ({ name, numBeams }))))(
  "$name, hypotheses: $numBeams",
  async ({ name, numBeams }) => {
    const { folder, greedy = [] } = await readGoldenModel(name);
    const model = (await fromPretrained(folder)) as Seq2SeqLM;
    const [{ inputs }] = greedy;
    const source = inputs.input_features
      ? { inputFeatures: inputsOf(inputs).inputFeatures as never }
      : { inputIds: inputs.input_ids.data };
    const generator = new Seq2SeqGenerator(model, { initialRoom: 2 });
    const options = { maxNewTokens: 9, minNewTokens: 9, numBeams, stopTokens: [] };
    const expected = await collect(generator.generate(source, options));
    await expectUnharmed((signal) => generator.generate(source, { ...options, signal }), expected);
    generator.dispose();
    model.dispose();
  },
);

test("speech", async () => {
  const model = (await fromPretrained(golden("pipelines/models/whisper"))) as WhisperForConditionalGeneration;
  const generator = new SpeechGenerator(model);
  const options = { maxNewTokens: 6, noSpeechThreshold: 2 };
  const sound = zeros([1, 80, 200]);
  const expected = await collect(generator.generate(sound, options));
  await expectUnharmed((signal) => generator.generate(sound, { ...options, signal }), expected);
  generator.dispose();
  model.dispose();
});

test.each(["llava", "qwen2-vl"])("%s", async (name) => {
  const { folder, greedy = [] } = await readGoldenModel(name);
  const model = (await fromPretrained(folder)) as ImageTextModel;
  const [{ inputs }] = greedy;
  const { inputIds: _, attentionMask: __, ...images } = inputsOf(inputs);
  const source = { inputIds: inputs.input_ids.data, ...images };
  const generator = new ImageTextGenerator(model, { initialRoom: 2 });
  const options = { maxNewTokens: 9, minNewTokens: 9, temperature: 0 };
  const expected = await collect(generator.generate(source, options));
  await expectUnharmed((signal) => generator.generate(source, { ...options, signal }), expected);
  generator.dispose();
  model.dispose();
});

describe("a prompt that takes long, in one piece", () => {
  const config = llamaConfig({
    vocabSize: 2000,
    hiddenSize: 256,
    intermediateSize: 1024,
    numLayers: 6,
    numHeads: 8,
    maxPositionEmbeddings: 4096,
  });
  const model = new LlamaForCausalLM(config, randomKey(5));
  const generator = new Generator(model, { prefillTokens: 4096 });
  const other = new Generator(model);
  const prompt = (seed: number) => Array.from({ length: 1500 }, (_, i) => (i * i * seed + i) % 2000);
  const write = (ids: number[], signal?: AbortSignal, from = generator) =>
    collect(from.generate(ids, { maxNewTokens: 3, temperature: 0, stopTokens: [], signal }));
  const timed = async (work: () => Promise<unknown>) => {
    const started = performance.now();
    await work();
    return performance.now() - started;
  };
  afterAll(() => {
    generator.dispose();
    other.dispose();
    model.dispose();
  });

  test("ends at once, while others go on; its beginning that was there before need not be run again", async () => {
    const first = prompt(1);
    await write([1, 2, 3], undefined, other);
    const expected = await write([1, 2, 3], undefined, other);
    await write(prompt(2)); // compiled
    const whole = Math.min(await timed(() => write(prompt(5))), await timed(() => write(first)));
    const again = [...first.slice(0, 1400), ...prompt(3)].slice(0, 1900);
    const abortIn = (milliseconds: number) => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(new Error("enough")), milliseconds);
      return controller.signal;
    };
    for (const share of [0.1, 0.3]) {
      let beside: Promise<number[]> | undefined;
      const taken = await timed(async () => {
        const run = expect(write(prompt(4), abortIn(share * whole))).rejects.toThrow("enough");
        beside = write([1, 2, 3], undefined, other);
        await run;
      });
      expect(taken).toBeLessThan((share + 0.3) * whole);
      expect(await beside).toEqual(expected);
      await expect(write(again, abortAtRun(1, true))).rejects.toThrow("enough");
      connection.request = request;
    }
    const fresh = new Generator(model, { prefillTokens: 4096 });
    expect(await write(again)).toEqual(await write(again, undefined, fresh));
    fresh.dispose();
    await write(first);
    await expect(write(again, abortAtRun(1, true))).rejects.toThrow("enough");
    connection.request = request;
    expect(await timed(() => write(first.slice(0, 1401)))).toBeLessThan(0.5 * whole);
  });
});
