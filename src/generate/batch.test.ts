/** Several texts together: each is the text that its prompt gives alone, whatever is beside it. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import {
  type CausalLM,
  fromPretrained,
  GPT2LMHeadModel,
  type ImageTextModel,
  type Seq2SeqLM,
} from "../models/index.ts";
import { RoomCache } from "../nn/index.ts";
import { compile, normal, randomKey, type Tensor, tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { inputsOf, readGoldenModel } from "../testing/golden-model.ts";
import {
  type FinishReason,
  type GenerateOptions,
  Generator,
  type RowToken,
  Seq2SeqGenerator,
  type Seq2SeqSource,
} from "./index.ts";

const decoders = fileURLToPath(new URL("../../golden/decoders", import.meta.url));
const PROMPTS = [[3, 7, 1, 12, 5, 9, 2, 8, 14, 6, 11], [4], [9, 3, 3, 8, 1], [7, 12]];

async function textsOf(batch: AsyncGenerator<RowToken, FinishReason[], void>, rows: number) {
  const texts = Array.from({ length: rows }, (): number[] => []);
  let next = await batch.next();
  for (; !next.done; next = await batch.next()) texts[next.value.row].push(next.value.id);
  return { texts, reasons: next.value };
}

async function textOf(stream: AsyncGenerator<number, FinishReason, void>) {
  const text: number[] = [];
  let next = await stream.next();
  for (; !next.done; next = await stream.next()) text.push(next.value);
  return { text, reason: next.value };
}

/** Plain attention, windows, capped scores, latent keys, and rotations that change with the length. */
const kinds = ["llama", "mistral", "gemma2", "deepseek-v3", "gpt-neox", "phi3-longrope"];
test.each(kinds)("%s: texts of different lengths together are those of each alone", async (name) => {
  const model = (await fromPretrained(`${decoders}/${name}`, { task: "causal-lm" })) as CausalLM;
  const generator = new Generator(model, { initialRoom: 4, prefillTokens: 4 });
  const settings = { temperature: 0, stopTokens: [] };
  const counts = [12, 30, 1, 20];
  const prompts = PROMPTS.map((ids, i) => ({ ids, ...settings, maxNewTokens: counts[i] }));
  const { texts, reasons } = await textsOf(generator.generateBatch(prompts), 4);
  expect(reasons).toEqual(["length", "length", "length", "length"]);
  for (const [i, ids] of PROMPTS.entries()) {
    const alone = await textOf(generator.generate(ids, { ...settings, maxNewTokens: counts[i] }));
    expect(texts[i]).toEqual(alone.text);
  }
  generator.dispose();
  model.dispose();
});

const model = new GPT2LMHeadModel(
  {
    vocabSize: 40,
    maxPositionEmbeddings: 32,
    hiddenSize: 32,
    numLayers: 2,
    numHeads: 4,
    initializerRange: 0.3,
    bosTokenId: null,
    eosTokenId: null,
  },
  randomKey(3),
);

test("each text has its own settings and end: seeds, stop tokens, rules, nothing to write, and texts beyond the context", async () => {
  const generator = new Generator(model);
  const greedy = await textOf(generator.generate([5, 6], { maxNewTokens: 12 }));
  const settings: GenerateOptions[] = [
    { maxNewTokens: 12, seed: 5, doSample: true, temperature: 1.3 },
    { maxNewTokens: 12, stopTokens: [greedy.text[4]] },
    { maxNewTokens: 0 },
    { maxNewTokens: 60, contextShift: true },
    { maxNewTokens: 12, repetitionPenalty: 1.5 },
  ];
  const { texts, reasons } = await textsOf(
    generator.generateBatch(settings.map((options) => ({ ids: [5, 6], ...options }))),
    settings.length,
  );
  expect(reasons).toEqual(["length", "stop", "length", "length", "length"]);
  expect(texts[3]).toHaveLength(60);
  for (const [i, options] of settings.entries())
    expect(texts[i]).toEqual((await textOf(generator.generate([5, 6], options))).text);
  generator.dispose();
});

test("weights that change in the middle count for all rows from the next token on", async () => {
  const copy = new GPT2LMHeadModel(model.config, randomKey(3));
  const other = new GPT2LMHeadModel(model.config, randomKey(8));
  const generator = new Generator(copy);
  const texts: number[][] = [[], []];
  const prompts = [[1, 2, 3], [9]];
  for await (const { row, id } of generator.generateBatch(prompts.map((ids) => ({ ids, maxNewTokens: 8 })))) {
    texts[row].push(id);
    if (row === 1 && texts[1].length === 4)
      for (const [key, parameter] of copy.namedParameters())
        parameter.set(await (other.namedParameters().get(key) as typeof parameter).read());
  }
  const fresh = new Generator(other);
  for (const [row, ids] of prompts.entries()) {
    const rest = await textOf(fresh.generate([...ids, ...texts[row].slice(0, 4)], { maxNewTokens: 4 }));
    expect(texts[row].slice(4)).toEqual(rest.text);
  }
  generator.dispose();
  fresh.dispose();
});

test("a wrong prompt is refused before anything is run, a signal ends all, and the next call works", async () => {
  const generator = new Generator(model);
  const batch = (ids: number[][], signal?: AbortSignal) =>
    textsOf(
      generator.generateBatch(
        ids.map((prompt) => ({ ids: prompt, maxNewTokens: 20 })),
        { signal },
      ),
      ids.length,
    );
  await expect(batch([[1], []])).rejects.toThrow(/at least one token/);
  await expect(batch([[1], [99]])).rejects.toThrow(/token ids from 0 to 39/);
  const withSignal = [{ ids: [1], signal: new AbortController().signal }]; // one of several texts has none of its own
  await expect(textsOf(generator.generateBatch(withSignal), 1)).rejects.toThrow(/received "signal"/);
  expect(await textsOf(generator.generateBatch([]), 0)).toEqual({ texts: [], reasons: [] });
  const gone = new AbortController();
  const ended = batch([[1, 2], [3]], gone.signal);
  gone.abort(new Error("gone"));
  await expect(ended).rejects.toThrow("gone");
  const { texts } = await batch([[1, 2], [3]]);
  expect(texts[1]).toEqual((await textOf(generator.generate([3], { maxNewTokens: 20 }))).text);
  generator.dispose();
});

test.each(["t5", "bart", "whisper"])("%s: texts of several sources together are those of each alone", async (name) => {
  const { folder, greedy = [] } = await readGoldenModel(name);
  const encoderDecoder = (await fromPretrained(folder)) as Seq2SeqLM;
  const [{ inputs }] = greedy;
  const { decoderStartTokenId } = encoderDecoder.config;
  const start = decoderStartTokenId as number;
  let sources: Seq2SeqSource[];
  if (inputs.input_features) {
    const features = inputsOf(inputs).inputFeatures as Tensor<"f32">;
    const numbers = await features.read();
    const quieter = tensor(
      numbers.map((x) => 0.3 * x),
      { shape: features.shape as number[] },
    );
    sources = [{ inputFeatures: features }, { inputFeatures: quieter }];
  } else {
    const ids = inputs.input_ids.data;
    const long = Array.from({ length: 14 }, (_, i) => ids[i % ids.length]);
    sources = [{ inputIds: ids }, { inputIds: long }, { inputIds: ids.slice(0, 2) }];
  }
  const settings = (i: number) => ({
    maxNewTokens: 12 - 3 * i,
    stopTokens: [],
    decoderInputIds: i === 1 ? [start, 3, 4] : [start],
  });
  const generator = new Seq2SeqGenerator(encoderDecoder, { initialRoom: 2 });
  const together = sources.map((source, i) => ({ source, ...settings(i) }));
  const { texts } = await textsOf(generator.generateBatch(together), sources.length);
  for (const [i, source] of sources.entries())
    expect(texts[i]).toEqual((await textOf(generator.generate(source, settings(i)))).text);
  if (!inputs.input_features) {
    const beams = sources.map((source, i) => ({ source, ...settings(i), numBeams: i === 0 ? 1 : 3 }));
    const { texts: batchTexts } = await textsOf(generator.generateBatch(beams), sources.length);
    for (const [i, { source, ...options }] of beams.entries())
      expect(batchTexts[i]).toEqual((await textOf(generator.generate(source, options))).text);
  }
  generator.dispose();
  encoderDecoder.dispose();
});

test("llava: prompts with images beside prompts without", async () => {
  const { folder, greedy = [] } = await readGoldenModel("llava");
  const vision = (await fromPretrained(folder)) as ImageTextModel;
  const [{ inputs, outputIds }] = greedy;
  const ids = inputs.input_ids.data;
  const { embeddings } = vision.embed(inputsOf(inputs) as never);
  const count = outputIds.length - ids.length;
  const settings = { temperature: 0, maxNewTokens: count, minNewTokens: count };
  const generator = new Generator(vision.languageModel);
  const plain = (await textOf(generator.generate([5, 6, 7], settings))).text;
  const prompts = [
    { ids: [5, 6, 7], ...settings },
    { ids, embedded: { embeddings }, ...settings },
  ];
  const { texts } = await textsOf(generator.generateBatch(prompts), 2);
  expect(texts[0]).toEqual(plain);
  expect([...ids, ...texts[1]]).toEqual(outputIds);
  generator.dispose();
  vision.dispose();
});

test.each([undefined, 3])(
  "the fused kernel of a cache gives what its plain ops give, window %s",
  async (slidingWindow) => {
    const settings = { numHeads: 4, numKeyHeads: 2, scale: 0.3, slidingWindow };
    const keys = randomKey(1).split(5);
    const [pastK, pastV] = keys.map((key) => normal(key, [3, 2, 16, 8]));
    const run = (isFused: boolean) =>
      compile((q: Tensor<"f32">, k: Tensor<"f32">, v: Tensor<"f32">, lengths: Tensor<"i32">) => {
        const cache = new RoomCache([{ k: pastK, v: pastV }], { lengths, total: tensor(Int32Array.of(10)) });
        const output = isFused ? cache.attend(0, q, k, v, settings) : cache.attendPlainly(0, q, k, v, settings);
        return { output, ...cache.layers[0] };
      });
    const [q, k, v] = [32, 16, 16].map((width, i) => normal(keys[2 + i], [3, 1, width]));
    const lengths = tensor(Int32Array.of(9, 0, 4)); // each row at a place of its own
    const [fused, plain] = [await run(true)(q, k, v, lengths), await run(false)(q, k, v, lengths)];
    expectClose("output", await fused.output.read(), Array.from(await plain.output.read()), 1e-5);
    const filled = (numbers: ArrayLike<number>, row: number, head: number, count: number) =>
      Array.from(numbers).slice((2 * row + head) * 16 * 8, ((2 * row + head) * 16 + count) * 8);
    for (const part of ["k", "v"] as const) {
      const [seen, expected] = [await fused[part].read(), await plain[part].read()];
      for (const [row, count] of [10, 1, 5].entries()) // what lies behind is not looked at
        for (const head of [0, 1]) expect(filled(seen, row, head, count)).toEqual(filled(expected, row, head, count));
    }
  },
);
