/** Texts with adapters beside one another: each is that of the model with its adapter applied alone. */
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { type CausalLM, LlamaForCausalLM, llamaConfig } from "../models/index.ts";
import { namedModules } from "../nn/index.ts";
import { type Adapter, applyAdapter, newAdapter } from "../peft/index.ts";
import { Device } from "../runtime/index.ts";
import { defaultDevice, normal, randomKey, setDefaultDevice } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { Random } from "../testing/fuzz/random.ts";
import { Generator, type GeneratorOptions } from "./index.ts";

const config = llamaConfig({
  vocabSize: 24,
  hiddenSize: 16,
  intermediateSize: 32,
  numLayers: 2,
  numHeads: 4,
  numKeyHeads: 2,
  initializerRange: 0.5,
  maxPositionEmbeddings: 128,
});
const makeModel = () => new LlamaForCausalLM(config, randomKey(5));
const greedy = { temperature: 0, stopTokens: [] };

/** An adapter of random numbers. */
async function randomAdapter(
  model: CausalLM,
  seed: number,
  options: Parameters<typeof newAdapter>[1],
): Promise<Adapter> {
  const adapter = await newAdapter(model, options, randomKey(seed));
  const layers = new Map(adapter.layers);
  let count = 0;
  for (const [path, parts] of adapter.layers) {
    const { shape } = parts.b as { shape: readonly number[] };
    const data = await normal(randomKey(seed).fold(++count), shape, { standardDeviation: 0.4 }).read();
    layers.set(path, { ...parts, b: { dtype: "f32", shape, data } });
  }
  return { ...adapter, name: `adapter ${seed}`, layers };
}

/** Kinds of adapters: other layers, ranks, and scalings. */
const kinds = [
  { rank: 2, targetModules: ["q_proj", "v_proj"] },
  { rank: 4, alpha: 4, targetModules: "all-linear", useRslora: true },
  { rank: 1, targetModules: ["down_proj", "lm_head"] },
  { rank: 3, targetModules: ["q_proj", "o_proj"], rankPattern: { "layers.1.*": 1 } },
];

interface Written {
  ids: number[];
  logits: Float32Array[];
}

async function write(
  generator: Generator,
  ids: readonly number[],
  maxNewTokens: number,
  adapter?: string,
  priority = 0,
): Promise<Written> {
  const written: Written = { ids: [], logits: [] };
  const onLogits = (logits: Float32Array) => written.logits.push(logits.slice());
  for await (const id of generator.generate(ids, { ...greedy, maxNewTokens, onLogits, adapter, priority }))
    written.ids.push(id);
  return written;
}

/** Generators of models that have one adapter applied, or none. */
const alone = new Map<Adapter | undefined, Generator>();
afterAll(() => {
  for (const generator of alone.values()) generator.dispose();
});

async function writeAlone(adapter: Adapter | undefined, ids: readonly number[], count: number): Promise<Written> {
  let generator = alone.get(adapter);
  if (!generator) {
    const model = makeModel();
    if (adapter) applyAdapter(model, adapter);
    generator = new Generator(model, { maxSequences: 1 });
    alone.set(adapter, generator);
  }
  return write(generator, ids, count);
}

function expectSame(now: Written, alone: Written): void {
  expect(now.ids).toEqual(alone.ids);
  for (const [i, logits] of now.logits.entries()) expectClose(`token ${i}`, logits, alone.logits[i], 1e-4);
}

const first = defaultDevice();
afterEach(() => setDefaultDevice(first));
const adapters = await Promise.all(kinds.map((kind, i) => randomAdapter(makeModel(), 100 + i, kind)));
const names = adapters.map((_, i) => `a${i}`);

async function generatorOf(options: GeneratorOptions): Promise<Generator> {
  const generator = new Generator(makeModel(), { maxAdapters: 4, ...options });
  for (const [i, adapter] of adapters.entries()) await generator.adapters.load(names[i], adapter);
  return generator;
}

/** Prompts that begin alike, of which many meet the same adapter. */
function requestsOf(random: Random, count: number) {
  const stem = Array.from({ length: 70 }, () => 1 + random.below(20));
  return Array.from({ length: count }, () => ({
    ids: [...stem.slice(0, random.below(71)), 1 + random.below(20)],
    count: 1 + random.below(10),
    adapter: random.below(kinds.length + 1),
    wait: random.below(20),
    priority: random.below(3),
  }));
}

type Request = ReturnType<typeof requestsOf>[number];

function writeTogether(generator: Generator, requests: readonly Request[]): Promise<Written[]> {
  return Promise.all(
    requests.map(async ({ ids, count, adapter, wait, priority }) => {
      for (let i = 0; i < wait; i++) await new Promise((resolve) => setImmediate(resolve));
      return write(generator, ids, count, names[adapter], priority);
    }),
  );
}

async function expectAlone(texts: readonly Written[], requests: readonly Request[]): Promise<void> {
  for (const [i, { ids, count, adapter }] of requests.entries())
    expectSame(texts[i], await writeAlone(adapters[adapter], ids, count));
}

describe("texts together are those of each adapter alone", () => {
  test.each<[string, GeneratorOptions]>([
    ["with room for all", {}],
    ["in small pieces, with kept beginnings", { maxSequences: 3, prefixTokens: 256, prefillTokens: 7, initialRoom: 4 }],
    ["pushed out of their places", { maxSequences: 4, cacheTokens: 180, initialRoom: 4 }],
    ["with room for two adapters", { maxAdapters: 2 }],
    ["with room for one", { maxAdapters: 1, maxSequences: 3 }],
  ])("%s", async (_, options) => {
    const generator = await generatorOf(options);
    const requests = requestsOf(new Random("adapters", 1), 10);
    await expectAlone(await writeTogether(generator, requests), requests);
    generator.dispose();
  });

  test("where caches are not in the memory of others", async () => {
    const device = new Device({ binding: "onnxruntime-node" });
    setDefaultDevice(device);
    const generator = await generatorOf({ maxSequences: 4, prefillTokens: 9, maxAdapters: 2 });
    const requests = requestsOf(new Random("adapters", 2), 8);
    const texts = await writeTogether(generator, requests);
    setDefaultDevice(first);
    await expectAlone(texts, requests);
    generator.dispose();
  });
});

describe("what is kept of texts", () => {
  const stem = Array.from({ length: 64 }, (_, i) => 1 + ((i * 7) % 20));
  test("is shared by those of one adapter, and by no others", async () => {
    const generator = await generatorOf({ maxSequences: 2, prefixTokens: 512 });
    const sharedBy = async (adapter: string | undefined, last: number) => {
      const { sharedTokens } = generator.load;
      const written = await write(generator, [...stem, last], 4, adapter);
      expectSame(written, await writeAlone(adapters[names.indexOf(adapter as string)], [...stem, last], 4));
      return generator.load.sharedTokens - sharedTokens;
    };
    expect(await sharedBy("a0", 1)).toBe(0);
    expect(await sharedBy("a1", 1)).toBe(0); // the same ids
    expect(await sharedBy(undefined, 1)).toBe(0);
    expect(await sharedBy("a0", 2)).toBe(64); // in blocks
    expect(await sharedBy("a1", 2)).toBe(64);
    expect(await sharedBy(undefined, 2)).toBe(64);
    await generator.adapters.unload("a0");
    await generator.adapters.load("a0", adapters[1]); // the name is no key
    const written = await write(generator, [...stem, 2], 4, "a0");
    expectSame(written, await writeAlone(adapters[1], [...stem, 2], 4));
    generator.dispose();
  });
});

describe("loading and unloading", () => {
  test("while texts are written, which stay the same", async () => {
    const generator = new Generator(makeModel(), { maxAdapters: 2 });
    await generator.adapters.load("a0", adapters[0]);
    const [plain, adapted] = [undefined, "a0"].map((adapter) => write(generator, [3, 1, 4], 40, adapter));
    const stream = generator.generate([2, 7], { ...greedy, maxNewTokens: 30, adapter: "a0" });
    await stream.next();
    for (const i of [1, 2, 3]) await generator.adapters.load(names[i], adapters[i]); // more layers, and higher ranks
    expect(generator.adapters.list.map(({ name, rank }) => [name, rank])).toEqual([
      ["a0", 2],
      ["a1", 4],
      ["a2", 1],
      ["a3", 3],
    ]);
    let isUnloaded = false;
    const unloading = generator.adapters.unload("a0").then(() => {
      isUnloaded = true;
    });
    await expect(write(generator, [1], 1, "a0")).rejects.toThrow('received "a0"');
    expectSame(await write(generator, [3, 1, 4], 5, "a2"), await writeAlone(adapters[2], [3, 1, 4], 5));
    expect(isUnloaded).toBe(false);
    expectSame(await plain, await writeAlone(undefined, [3, 1, 4], 40));
    expectSame(await adapted, await writeAlone(adapters[0], [3, 1, 4], 40));
    const ids = [];
    for await (const id of stream) ids.push(id);
    expect(ids).toEqual((await writeAlone(adapters[0], [2, 7], 30)).ids.slice(1));
    await unloading;
    generator.dispose();
  });

  test("what cannot be loaded is refused by name", async () => {
    const model = makeModel();
    const without = new Generator(model);
    await expect(without.adapters.load("a", adapters[0])).rejects.toThrow("maxAdapters");
    const generator = new Generator(model, { maxAdapters: 1, maxAdapterRank: 3 });
    await expect(generator.adapters.load("a", adapters[1])).rejects.toThrow("rank of at most 3");
    await generator.adapters.load("sql", adapters[0]);
    await expect(generator.adapters.load("sql", adapters[0])).rejects.toThrow("no adapter has");
    await expect(write(generator, [1], 1, "slq")).rejects.toThrow('did you mean "sql"');
    await expect(generator.adapters.unload("other")).rejects.toThrow("one of sql");
    const refused: [Parameters<typeof newAdapter>[1], string][] = [
      [{ targetModules: ["q_proj"], useDora: true }, "use_dora"],
      [{ targetModules: ["q_proj"], loraBias: true }, "lora_bias"],
      [{ targetModules: ["embed_tokens"] }, "embedding"],
    ];
    for (const [options, message] of refused) {
      const adapter = await newAdapter(model, { rank: 2, ...options }, randomKey(1));
      await expect(generator.adapters.load("x", adapter)).rejects.toThrow(message);
    }
    generator.dispose();
    without.dispose();
  });

  test("a generator that is disposed leaves the model as it was", async () => {
    const model = makeModel();
    const [keys, modules] = [[...model.namedState().keys()], [...namedModules(model)].map(([, module]) => module)];
    const generator = new Generator(model, { maxAdapters: 1 });
    await generator.adapters.load("a0", adapters[0]);
    expect([...model.namedState().keys()]).toEqual(keys);
    await write(generator, [1, 2], 2, "a0");
    generator.dispose();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect([...namedModules(model)].map(([, module]) => module)).toEqual(modules);
  });
});
