/** Texts with adapters beside one another, and those of models that have one adapter applied alone. */
import { expect } from "vitest";
import { Generator, type GeneratorOptions } from "../generate/index.ts";
import { type CausalLM, LlamaForCausalLM, llamaConfig } from "../models/index.ts";
import { type Adapter, applyAdapter, newAdapter } from "../peft/index.ts";
import { normal, randomKey } from "../tensor/index.ts";
import { expectClose } from "./close.ts";
import type { Random } from "./fuzz/random.ts";

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
export const makeModel = () => new LlamaForCausalLM(config, randomKey(5));
export const greedy = { temperature: 0, stopTokens: [] };

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

export interface Written {
  ids: number[];
  logits: Float32Array[];
}

export async function write(
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
export function disposeAlone(): void {
  for (const generator of alone.values()) generator.dispose();
}

export async function writeAlone(
  adapter: Adapter | undefined,
  ids: readonly number[],
  count: number,
): Promise<Written> {
  let generator = alone.get(adapter);
  if (!generator) {
    const model = makeModel();
    if (adapter) applyAdapter(model, adapter);
    generator = new Generator(model, { maxSequences: 1 });
    alone.set(adapter, generator);
  }
  return write(generator, ids, count);
}

export function expectSame(now: Written, alone: Written): void {
  expect(now.ids).toEqual(alone.ids);
  for (const [i, logits] of now.logits.entries()) expectClose(`token ${i}`, logits, alone.logits[i], 1e-4);
}

export const adapters = await Promise.all(kinds.map((kind, i) => randomAdapter(makeModel(), 100 + i, kind)));
export const names = adapters.map((_, i) => `a${i}`);

export async function generatorOf(options: GeneratorOptions): Promise<Generator> {
  const generator = new Generator(makeModel(), { maxAdapters: 4, ...options });
  for (const [i, adapter] of adapters.entries()) await generator.adapters.load(names[i], adapter);
  return generator;
}

/** Prompts that begin alike, of which many meet the same adapter. */
export function requestsOf(random: Random, count: number) {
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

export function writeTogether(generator: Generator, requests: readonly Request[]): Promise<Written[]> {
  return Promise.all(
    requests.map(async ({ ids, count, adapter, wait, priority }) => {
      for (let i = 0; i < wait; i++) await new Promise((resolve) => setImmediate(resolve));
      return write(generator, ids, count, names[adapter], priority);
    }),
  );
}

export async function expectAlone(texts: readonly Written[], requests: readonly Request[]): Promise<void> {
  for (const [i, { ids, count, adapter }] of requests.entries())
    expectSame(texts[i], await writeAlone(adapters[adapter], ids, count));
}
