/** What is compiled before the first text, and what only when it is worth it. */
import { afterAll, describe, expect, test } from "vitest";
import { LlamaForCausalLM } from "../../models/index.ts";
import { Device } from "../../runtime/index.ts";
import { defaultDevice, randomKey, setDefaultDevice } from "../../tensor/index.ts";
import { Generator } from "../index.ts";

const before = defaultDevice();
const device = new Device({ threads: 1 });
setDefaultDevice(device);
afterAll(async () => {
  setDefaultDevice(before);
  await device.close();
});
const sharesMemory = await device.sharesMemory;

const model = new LlamaForCausalLM(
  {
    vocabSize: 97,
    maxPositionEmbeddings: 256,
    hiddenSize: 32,
    intermediateSize: 48,
    numLayers: 2,
    numHeads: 4,
    numKeyHeads: 2,
  },
  randomKey(5),
);

const prompt = [3, 1, 4, 1, 5];
const greedy = { temperature: 0, stopTokens: [] };

async function write(generator: Generator, maxNewTokens: number): Promise<number[]> {
  const ids: number[] = [];
  for await (const id of generator.generate(prompt, { ...greedy, maxNewTokens })) ids.push(id);
  return ids;
}

/** Frees a generator's graphs, which takes a moment. */
async function dispose(...generators: Generator[]): Promise<void> {
  for (const generator of generators) generator.dispose();
  await expect.poll(() => device.compiledCount).toBe(0);
}

/** The number of graphs that are compiled for something. */
async function graphsFor(run: () => Promise<unknown>): Promise<number> {
  const graphs = device.compiledCount;
  await run();
  return device.compiledCount - graphs;
}

describe.skipIf(!sharesMemory)("graphs of a generator", () => {
  test("are one until single tokens are worth another, which gives the same tokens", async () => {
    const generator = new Generator(model);
    const texts: number[][] = [];
    expect(await graphsFor(async () => texts.push(await write(generator, 30)))).toBe(1);
    expect(await graphsFor(async () => texts.push(await write(generator, 120)))).toBe(1);
    await generator.prepare(1); // it is ready from here on
    expect(await graphsFor(async () => texts.push(await write(generator, 120)))).toBe(0);
    const [short, changing, prepared] = texts;
    expect(changing).toEqual(prepared);
    expect(changing.slice(0, 30)).toEqual(short);
    await dispose(generator);
  });

  test("are there before the first text when they are prepared, once", async () => {
    const generator = new Generator(model, { maxSequences: 2 });
    expect(await graphsFor(() => generator.prepare())).toBe(1);
    expect(await graphsFor(() => Promise.all([generator.prepare(16), generator.prepare(16)]))).toBe(2);
    const batch = async () => {
      for await (const _ of generator.generateBatch([1, 2].map((id) => ({ ids: [id], ...greedy, maxNewTokens: 5 }))));
    };
    expect(await graphsFor(batch)).toBe(0);
    expect(await graphsFor(() => write(generator, 100))).toBe(0);
    await dispose(generator);
  });

  test("are compiled while a text waits for what it needs of them", async () => {
    const [first, second] = [new Generator(model), new Generator(model)];
    const prepared = second.prepare(2);
    expect(await write(second, 20)).toEqual(await write(first, 20));
    await prepared;
    await dispose(first, second);
  });

  test("are none of a generator that was disposed, also in the middle", async () => {
    const generator = new Generator(model);
    generator.dispose();
    expect(await graphsFor(() => generator.prepare(2))).toBe(0);
    const another = new Generator(model);
    const prepared = another.prepare(2);
    another.dispose();
    await prepared.catch(() => {});
    await dispose();
  });
});
