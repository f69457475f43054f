/** Texts with adapters beside one another: each is that of the model with its adapter applied alone. */
import { afterEach, describe, expect, test } from "vitest";
import { type CausalLM, LlamaForCausalLM, llamaConfig } from "../models/index.ts";
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

async function write(generator: Generator, ids: readonly number[], count: number, adapter?: string): Promise<Written> {
  const written: Written = { ids: [], logits: [] };
  const onLogits = (logits: Float32Array) => written.logits.push(logits.slice());
  for await (const id of generator.generate(ids, { ...greedy, maxNewTokens: count, onLogits, adapter }))
    written.ids.push(id);
  return written;
}

/** The text of a model that has the adapter applied. */
async function writeAlone(adapter: Adapter | undefined, ids: readonly number[], count: number): Promise<Written> {
  const model = makeModel();
  if (adapter) applyAdapter(model, adapter);
  const generator = new Generator(model);
  const written = await write(generator, ids, count);
  generator.dispose();
  return written;
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

async function expectAllSame(generator: Generator, seed: number, count: number): Promise<void> {
  const requests = requestsOf(new Random("adapters", seed), count);
  const texts = await Promise.all(
    requests.map(async ({ ids, count, adapter, wait, priority }) => {
      for (let i = 0; i < wait; i++) await new Promise((resolve) => setImmediate(resolve));
      const written: Written = { ids: [], logits: [] };
      const onLogits = (logits: Float32Array) => written.logits.push(logits.slice());
      const settings = { ...greedy, maxNewTokens: count, onLogits, priority, adapter: names[adapter] };
      for await (const id of generator.generate(ids, settings)) written.ids.push(id);
      return written;
    }),
  );
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
    await expectAllSame(generator, 1, 10);
    generator.dispose();
  });

  test("where caches are not in the memory of others", async () => {
    setDefaultDevice(new Device({ runtime: "onnxruntime-node" } as never));
    const generator = await generatorOf({ maxSequences: 4, prefillTokens: 9, maxAdapters: 2 });
    await expectAllSame(generator, 2, 8);
    generator.dispose();
  });
});
