/** Encoder-decoders in the engine: whatever texts come and go beside one another, each is the one that it is alone. */
import { afterEach, describe, expect, test } from "vitest";
import { fromPretrained, type Seq2SeqLM } from "../../models/index.ts";
import { Device } from "../../runtime/index.ts";
import { defaultDevice, setDefaultDevice, type Tensor, tensor } from "../../tensor/index.ts";
import { collect } from "../../testing/collect.ts";
import { Random } from "../../testing/fuzz/random.ts";
import { goldenModels, inputsOf, readGoldenModel } from "../../testing/golden-model.ts";
import {
  type EncodedSource,
  Seq2SeqGenerator,
  type Seq2SeqGeneratorOptions,
  type Seq2SeqSource,
  type TokenMask,
} from "../index.ts";

const load = async (name: string) => (await fromPretrained(`${goldenModels}/${name}`)) as Seq2SeqLM;
const greedy = { stopTokens: [], temperature: 0 };

/** Sources of any lengths: texts, or louder and quieter sounds. */
async function sourcesOf(name: string, model: Seq2SeqLM, random: Random, count: number): Promise<Seq2SeqSource[]> {
  if (name !== "whisper") {
    const { maxLength: longest = 70 } = model.cacheShape;
    const text = () =>
      Array.from({ length: 1 + random.below(longest) }, () => 3 + random.below(model.config.vocabSize - 3));
    return Array.from({ length: count }, () => ({ inputIds: text() }));
  }
  const { greedy: [{ inputs }] = [] } = (await readGoldenModel(name)) as Required<
    Awaited<ReturnType<typeof readGoldenModel>>
  >;
  const features = inputsOf(inputs).inputFeatures as Tensor<"f32">;
  const numbers = await features.read();
  return Array.from({ length: count }, () => {
    const loudness = 0.2 + random.below(10) / 5;
    const scaled = numbers.map((x) => loudness * x);
    return { inputFeatures: tensor(scaled, { shape: features.shape as number[] }) };
  });
}

/** Writes texts of sources that come at random times beside one another, and each alone, and compares. */
async function expectAlike(name: string, options: Seq2SeqGeneratorOptions, seed: number, count: number): Promise<void> {
  const random = new Random("sources", seed);
  const model = await load(name);
  const sources = await sourcesOf(name, model, random, count);
  const start = model.config.decoderStartTokenId as number;
  const settings = sources.map(() => ({
    ...greedy,
    maxNewTokens: 1 + random.below(6),
    decoderInputIds: [start, ...Array.from({ length: random.below(2) }, () => 4)],
  }));
  const together = new Seq2SeqGenerator(model, options);
  const texts = await Promise.all(
    sources.map(async (source, i) => {
      await new Promise((resolve) => setTimeout(resolve, random.below(30)));
      return collect(together.generate(source, settings[i]));
    }),
  );
  together.dispose();
  const alone = new Seq2SeqGenerator(model, { maxSequences: 1 });
  for (const [i, source] of sources.entries())
    expect(texts[i], `source ${i}`).toEqual(await collect(alone.generate(source, settings[i])));
  alone.dispose();
  model.dispose();
}

const first = defaultDevice();
afterEach(() => setDefaultDevice(first));

describe.each(["t5", "bart", "whisper"])("%s", (name) => {
  test.each<Seq2SeqGeneratorOptions>([{}, { maxSequences: 3, initialRoom: 2 }])(
    "%o: each text is the one it is alone",
    async (options) => {
      await expectAlike(name, options, 1, 9);
    },
  );

  test("where memory is not shared, texts are the same", async () => {
    const device = new Device({ binding: "onnxruntime-node" });
    setDefaultDevice(device);
    await expectAlike(name, { maxSequences: 4 }, 2, 5);
    await device.close();
  }, 60_000);
});

describe("an encoder-decoder's texts", () => {
  test("are written in one run for each token of all", async () => {
    const model = await load("bart");
    const generator = new Seq2SeqGenerator(model);
    const { connection } = defaultDevice().allocate("f32", []);
    const { request } = connection;
    let runs = 0;
    connection.request = (body, signal) => {
      if (typeof body !== "function" && body.kind === "run") runs++;
      return request.call(connection, body, signal) as never;
    };
    const sources = [[5, 6, 7], [8, 9], new Array(10).fill(4), [3]].map((inputIds) => ({ source: { inputIds } }));
    for await (const _ of generator.generateBatch(sources.map((each) => ({ ...each, ...greedy, maxNewTokens: 8 }))));
    connection.request = request;
    expect(runs).toBeLessThan(4 * 8); // 4 sources, and 8 tokens at each of some places
    generator.dispose();
    model.dispose();
  });

  test("end where a constraint says that they are whole, though no token ends them", async () => {
    const model = await load("t5");
    const generator = new Seq2SeqGenerator(model);
    const allowed = [7, 8, 9];
    let count = 0;
    const constraint = () => ({
      mask: (): TokenMask => {
        const bits = new Uint32Array(Math.ceil(model.config.vocabSize / 32));
        bits[0] = 1 << allowed[count];
        return { bits, count: 1, mostBytes: 0 };
      },
      accept: () => void count++,
      get isComplete() {
        return count === allowed.length;
      },
    });
    const text = generator.generate({ inputIds: [5, 6] }, { stopTokens: [], maxNewTokens: 20, constraint });
    expect(await collect(text)).toEqual(allowed);
    generator.dispose();
    model.dispose();
  });

  test("of a higher priority go first, and one that is given up leaves its place to others", async () => {
    const model = await load("bart");
    const generator = new Seq2SeqGenerator(model, { maxSequences: 1 });
    const order: string[] = [];
    const write = async (name: string, priority: number, signal?: AbortSignal) => {
      const text = generator.generate({ inputIds: [5, 6] }, { ...greedy, maxNewTokens: 6, priority, signal });
      await collect(text).finally(() => order.push(name));
    };
    const gone = new AbortController();
    const all = [write("first", 0), write("gone", 1, gone.signal), write("low", 0), write("high", 2)];
    all[1].catch(() => {});
    gone.abort(new Error("gone"));
    await expect(all[1]).rejects.toThrow("gone");
    await Promise.all([all[0], all[2], all[3]]);
    expect(order.indexOf("high")).toBeLessThan(order.indexOf("low"));
    expect(order[0]).toBe("gone");
    generator.dispose();
    model.dispose();
  });

  test("go on beside a search of beams, which comes to its end", async () => {
    const model = await load("bart");
    const generator = new Seq2SeqGenerator(model);
    const settings = { ...greedy, maxNewTokens: 6 };
    const search = () => collect(generator.generate({ inputIds: [9, 5, 6] }, { ...settings, numBeams: 3 }));
    const write = () => collect(generator.generate({ inputIds: [5, 6] }, settings));
    const [beams, text] = [await search(), await write()];
    const together = await Promise.all([write(), search(), write(), search(), write()]);
    expect(together).toEqual([text, beams, text, beams, text]);
    generator.dispose();
    model.dispose();
  });

  test("of a source that was read before leave it to whoever read it", async () => {
    const model = await load("t5");
    const generator = new Seq2SeqGenerator(model);
    const source: EncodedSource = await generator.read({ inputIds: [5, 6, 7] });
    const write = () => collect(generator.generate(source, { ...greedy, maxNewTokens: 5 }));
    const [one, other] = await Promise.all([write(), write()]);
    const logits = await generator.logits(source, [0]);
    expect(one).toEqual(other);
    expect(logits.indexOf(Math.max(...logits))).toBe(one[0]);
    expect(await write()).toEqual(one);
    source.dispose();
    generator.dispose();
    model.dispose();
  });

  test("are written by weights that are set in the middle from the next token on, sources too", async () => {
    const model = await load("t5");
    const after: number[][] = [];
    const generator = new Seq2SeqGenerator(model);
    const names = [...model.namedParameters().keys()].filter((path) => /SelfAttention\.v/.test(path));
    const change = async () => {
      for (const path of names) {
        const parameter = model.namedParameters().get(path);
        parameter?.set((await parameter.read()).map((x) => 2 * x + 0.1));
      }
    };
    const onLogits = (logits: Float32Array) => after.push([...logits]);
    const stream = generator.generate({ inputIds: [5, 6, 7] }, { ...greedy, maxNewTokens: 3, onLogits });
    const ids = [(await stream.next()).value as number];
    await change();
    ids.push((await stream.next()).value as number);
    const source = await generator.read({ inputIds: [5, 6, 7] });
    const expected = await generator.logits(source, [model.config.decoderStartTokenId as number, ids[0]]);
    for (const [i, x] of expected.entries()) expect(after[1][i]).toBeCloseTo(x, 4);
    await stream.return("stop");
    source.dispose();
    generator.dispose();
    model.dispose();
  });
});
