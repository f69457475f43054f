/**
 * The key-value cache: that its room, its dtype and the pieces of a prompt change no text, and what it does when
 * weights change or a caller gives up.
 */
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import {
  type CausalLM,
  fromPretrained,
  GPT2LMHeadModel,
  type ImageTextModel,
  type Seq2SeqLM,
} from "../models/index.ts";
import { Device } from "../runtime/index.ts";
import { defaultDevice, logSoftmax, randomKey, setDefaultDevice } from "../tensor/index.ts";
import { collect } from "../testing/collect.ts";
import { inputsOf, readGoldenModel } from "../testing/golden-model.ts";
import { int8Bounds } from "../testing/int8-bounds.ts";
import {
  type GenerateOptions,
  Generator,
  type GeneratorOptions,
  ImageTextGenerator,
  SearchGenerator,
  Seq2SeqGenerator,
} from "./index.ts";

const decoders = fileURLToPath(new URL("../../golden/decoders", import.meta.url));
const PROMPT = [3, 7, 1, 12, 5, 9, 2, 8, 14, 6, 11];

/** Tokens of a greedy text, and the logits that each was picked from. */
async function textOf(model: CausalLM, options: GeneratorOptions) {
  const generator = new Generator(model, options);
  const logits: number[][] = [];
  const onLogits: GenerateOptions["onLogits"] = (values) => logits.push([...values]);
  const ids = await collect(generator.generate(PROMPT, { maxNewTokens: 30, temperature: 0, stopTokens: [], onLogits }));
  generator.dispose();
  return { ids, logits };
}

type Text = Awaited<ReturnType<typeof textOf>>;

/** Logits that differ by less than the bound of each, up to where a near tie was decided otherwise. */
function expectNear(rounded: Text, exact: Text, boundOf: (place: number, token: number) => number): void {
  const other = rounded.ids.findIndex((id, i) => id !== exact.ids[i]);
  const compared = other < 0 ? rounded.ids.length : other + 1;
  for (let i = 0; i < compared; i++)
    for (const [j, value] of rounded.logits[i].entries())
      expect(Math.abs(value - exact.logits[i][j])).toBeLessThan(boundOf(i, j));
}

/** Plain attention, windows, capped scores, latent keys, and rotations that change with the length. */
const kinds = [
  "llama",
  "mistral",
  "gemma2",
  "gemma3",
  "deepseek-v3",
  "gpt-neox",
  "llama-dynamic",
  "phi3-longrope",
  "phi3-longrope-long",
];
describe.each(kinds)("%s", (name) => {
  test("a cache that grows from 2 positions, and a prompt in pieces of 3, give the text of a cache with room for all", async () => {
    const model = await fromPretrained(`${decoders}/${name}`, { task: "causal-lm" });
    const whole = await textOf(model, { initialRoom: 64 });
    const grown = await textOf(model, { initialRoom: 2, prefillTokens: 3 });
    expect(grown.ids).toEqual(whole.ids);
    model.dispose();
  });

  test.runIf(["llama", "mistral", "gemma2"].includes(name))("a cache in f16 gives nearly the same logits", async () => {
    const model = await fromPretrained(`${decoders}/${name}`, { task: "causal-lm" });
    const exact = await textOf(model, {});
    const scales = exact.logits.map((logits) => Math.max(...logits.map(Math.abs)));
    expectNear(await textOf(model, { cacheDtype: "f16", initialRoom: 4 }), exact, (place) => 0.01 * scales[place]);
    model.dispose();
  });

  test("a cache in 8 bits gives nearly the same logits, whatever its room and the pieces of a prompt", async () => {
    const model = await fromPretrained(`${decoders}/${name}`, { task: "causal-lm" });
    const whole = await textOf(model, { cacheDtype: "int8", initialRoom: 64 });
    const exact = await textOf(model, {});
    const bounds = await int8Bounds(model, [...PROMPT, ...exact.ids.slice(0, -1)]);
    const { vocabSize } = model.config;
    expectNear(whole, exact, (place, token) => bounds[(PROMPT.length - 1 + place) * vocabSize + token]);
    expect((await textOf(model, { cacheDtype: "int8", initialRoom: 2, prefillTokens: 3 })).ids).toEqual(whole.ids);
    model.dispose();
  });
});

test("a prompt that is asked again gives the same logits to the bit, and runs nothing for them", async () => {
  const model = await fromPretrained(`${decoders}/llama`, { task: "causal-lm" });
  const generator = new Generator(model);
  const ask = async (prompt: readonly number[]) => {
    const logits: Float32Array[] = [];
    const onLogits: GenerateOptions["onLogits"] = (values) => logits.push(Float32Array.from(values));
    const ids = await collect(
      generator.generate(prompt, { maxNewTokens: 5, temperature: 0, stopTokens: [], onLogits }),
    );
    return { ids, logits };
  };
  const first = await ask(PROMPT);
  expect(await ask(PROMPT)).toEqual(first);
  expect((await ask([...PROMPT, 4])).ids).not.toEqual(first.ids);
  expect((await ask(PROMPT.slice(0, -1))).logits).toHaveLength(5);
  const again = await ask(PROMPT); // what it shares with the last is not run again, the rest is
  expect(again.ids).toEqual(first.ids);
  expect(await ask(PROMPT)).toEqual(again);
  generator.dispose();
  model.dispose();
});

test.each(["t5", "bart", "whisper"])("%s: a cache that grows gives the same text", async (name) => {
  const { folder, greedy = [] } = await readGoldenModel(name);
  const model = (await fromPretrained(folder)) as Seq2SeqLM;
  const [{ inputs }] = greedy;
  const source = inputs.input_features
    ? { inputFeatures: inputsOf(inputs).inputFeatures as never }
    : { inputIds: inputs.input_ids.data };
  const written = [];
  for (const options of [{ initialRoom: 2 }, { initialRoom: 2, cacheDtype: "f16" } as const, { initialRoom: 64 }]) {
    const generator = new Seq2SeqGenerator(model, options);
    written.push(await collect(generator.generate(source, { maxNewTokens: 14, minNewTokens: 14, stopTokens: [] })));
    generator.dispose();
  }
  expect(written[0]).toEqual(written[2]);
  expect(written[1]).toEqual(written[2]);
  model.dispose();
});

test.each(["llava", "qwen2-vl"])("%s: a cache that grows gives the same text", async (name) => {
  const { folder, greedy = [] } = await readGoldenModel(name);
  const model = (await fromPretrained(folder)) as ImageTextModel;
  const [{ inputs, outputIds }] = greedy;
  const { inputIds: _, attentionMask: __, ...images } = inputsOf(inputs);
  const inputIds = inputs.input_ids.data;
  const count = outputIds.length - inputIds.length;
  const generator = new ImageTextGenerator(model, { initialRoom: 2, prefillTokens: 3 });
  const newIds = await collect(
    generator.generate({ inputIds, ...images }, { maxNewTokens: count, minNewTokens: count, temperature: 0 }),
  );
  expect([...inputIds, ...newIds]).toEqual(outputIds);
  generator.dispose();
  model.dispose();
});

describe("one model", () => {
  const config = {
    vocabSize: 40,
    maxPositionEmbeddings: 64,
    hiddenSize: 32,
    numLayers: 2,
    numHeads: 4,
    initializerRange: 0.3,
    bosTokenId: null,
    eosTokenId: null,
  };
  const model = new GPT2LMHeadModel(config, randomKey(3));
  const generator = new Generator(model, { prefillTokens: 4 });
  const greedy = (prompt: number[], options: GenerateOptions = {}, from = generator) =>
    collect(from.generate(prompt, { temperature: 0, maxNewTokens: 8, ...options }));
  afterAll(() => generator.dispose());

  test("keys of weights that have changed are not used, between two texts and within one", async () => {
    const other = new GPT2LMHeadModel(config, randomKey(8));
    const weights = other.namedParameters();
    const load = async (source: typeof weights) => {
      for (const [key, parameter] of model.namedParameters())
        parameter.set(await (source.get(key) as typeof parameter).read());
    };
    const original = new GPT2LMHeadModel(config, randomKey(3)).namedParameters();
    await greedy(PROMPT);
    await load(weights);
    const expected = await greedy(PROMPT, {}, new Generator(other));
    expect(await greedy(PROMPT)).toEqual(expected);
    await load(original);
    const newIds: number[] = [];
    for await (const id of generator.generate(PROMPT, { temperature: 0, maxNewTokens: 8 })) {
      newIds.push(id);
      if (newIds.length === 4) await load(weights);
    }
    const rest = await greedy([...PROMPT, ...newIds.slice(0, 4)], { maxNewTokens: 4 }, new Generator(other));
    expect(newIds.slice(4)).toEqual(rest);
    await load(original);
  });

  test("the steps of a cache in 8 bits are measured anew when weights or layers change", async () => {
    const other = new GPT2LMHeadModel(config, randomKey(8));
    const changed = new GPT2LMHeadModel(config, randomKey(3));
    const options = { cacheDtype: "int8" } as const;
    const expected = (await textOf(other, options)).logits;
    const inBytes = new Generator(changed, options);
    const logitsOf = async () => {
      const logits: number[][] = [];
      await greedy(
        PROMPT,
        { maxNewTokens: 30, stopTokens: [], onLogits: (values) => logits.push([...values]) },
        inBytes,
      );
      return logits;
    };
    await logitsOf();
    const weights = other.namedParameters();
    for (const [key, parameter] of changed.namedParameters())
      parameter.set(await (weights.get(key) as typeof parameter).read());
    expect(await logitsOf()).toEqual(expected);
    const third = new GPT2LMHeadModel(config, randomKey(9));
    Object.assign(changed, { transformer: third.transformer });
    expect(await logitsOf()).toEqual((await textOf(third, options)).logits);
    inBytes.dispose();
  });

  test("scores and searches keep 8 bits too", async () => {
    const inBytes = new Generator(model, { cacheDtype: "int8" });
    const [exact, rounded] = [await generator.score(PROMPT), await inBytes.score(PROMPT)];
    expect(rounded).not.toEqual(exact);
    const bounds = await int8Bounds(model, PROMPT, (logits) => logSoftmax(logits));
    for (const [i, { id, logprob }] of rounded.slice(1).entries())
      expect(Math.abs(logprob - exact[i + 1].logprob)).toBeLessThan(bounds[i * config.vocabSize + id]);
    const beams = { numBeams: 3, maxNewTokens: 5, temperature: 0 };
    const searches = new SearchGenerator(model, { cacheDtype: "int8" });
    expect(await greedy(PROMPT, beams, inBytes)).toEqual(await collect(searches.generate(PROMPT, beams)));
    searches.dispose();
    inBytes.dispose();
  });

  test("8 bits are refused on other devices, and of models with an encoder", async () => {
    const device = new Device();
    Object.defineProperty(device, "picked", { value: Promise.resolve({ type: "webgpu", refused: [] }) });
    const first = defaultDevice();
    setDefaultDevice(device);
    const elsewhere = new Generator(model, { cacheDtype: "int8" });
    await expect(greedy(PROMPT, {}, elsewhere)).rejects.toThrow(/cacheDtype: expected int8 on the CPU.*int8 on webgpu/);
    await expect(elsewhere.score(PROMPT)).rejects.toThrow(/int8 on webgpu/);
    elsewhere.dispose();
    setDefaultDevice(first);
    await device.close();
    const { folder } = await readGoldenModel("t5");
    const seq2seq = (await fromPretrained(folder)) as Seq2SeqLM;
    expect(() => new Seq2SeqGenerator(seq2seq, { cacheDtype: "int8" as never })).toThrow(
      /cacheDtype: expected f32 or f16; received int8/,
    );
    seq2seq.dispose();
  });

  test("who gives up while waiting costs nothing, and those behind it come on", async () => {
    const reader = generator.generate([1, 2, 3], { maxNewTokens: 20 });
    await reader.next();
    const gone = new AbortController();
    const waiting = greedy(PROMPT, { signal: gone.signal });
    const behind = greedy([5, 6]);
    gone.abort(new Error("gone"));
    await expect(waiting).rejects.toThrow("gone"); // although the first has not ended
    await reader.return("stop");
    expect(await behind).toHaveLength(8);
    await expect(greedy(PROMPT, { signal: gone.signal })).rejects.toThrow("gone");
  });

  test("a long prompt is given up between two pieces, and the event loop runs between them", async () => {
    const gone = new AbortController();
    const long = Array.from({ length: 60 }, (_, i) => i % 40);
    let turns = 0;
    const timer = setInterval(() => {
      turns++;
      gone.abort();
    }, 0);
    await expect(greedy(long, { maxNewTokens: 1, signal: gone.signal })).rejects.toThrow(/abort/i);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(0);
    expect(await greedy(long, { maxNewTokens: 4 })).toEqual(
      await greedy(long, { maxNewTokens: 4 }, new Generator(model)),
    );
  });

  test("wrong settings are errors", () => {
    expect(() => new Generator(model, { cacheDtype: "f8" as never })).toThrow(
      /cacheDtype: expected f32 or f16 or int8; received f8/,
    );
    expect(() => new Generator(model, { contextLenght: 3 } as never)).toThrow(/did you mean "contextLength"/);
    expect(() => new Generator(model, { initialRoom: 0 })).toThrow(/initialRoom/);
    expect(() => new Generator(model, { prefillTokens: 0 })).toThrow(/prefillTokens/);
  });
});
