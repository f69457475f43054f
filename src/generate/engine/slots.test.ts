/** Real runs over the cache: whatever texts come and go beside one another, each is the one that it is alone. */
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { type CausalLM, fromPretrained, LlamaForCausalLM, llamaConfig } from "../../models/index.ts";
import { Device } from "../../runtime/index.ts";
import { defaultDevice, randomKey, setDefaultDevice } from "../../tensor/index.ts";
import { Random } from "../../testing/fuzz/random.ts";
import { Generator, type GeneratorOptions } from "../index.ts";

const decoders = fileURLToPath(new URL("../../../golden/decoders", import.meta.url));
const load = async (name: string) => (await fromPretrained(`${decoders}/${name}`, { task: "causal-lm" })) as CausalLM;
const longer = () =>
  new LlamaForCausalLM(
    llamaConfig({
      vocabSize: 16,
      hiddenSize: 16,
      intermediateSize: 32,
      numLayers: 2,
      numHeads: 4,
      numKeyHeads: 2,
      initializerRange: 0.5,
      maxPositionEmbeddings: 256,
    }),
    randomKey(5),
  );
const greedy = { temperature: 0, stopTokens: [] };

async function write(generator: Generator, ids: readonly number[], count: number, pause = async () => {}) {
  const text: number[] = [];
  for await (const id of generator.generate(ids, { ...greedy, maxNewTokens: count })) {
    text.push(id);
    await pause();
  }
  return text;
}

const first = defaultDevice();
afterEach(() => setDefaultDevice(first));

/** Prompts with beginnings in common, as those of chats. */
function promptsOf(random: Random, count: number, longest: number): number[][] {
  const stem = Array.from({ length: longest }, () => 1 + random.below(15));
  return Array.from({ length: count }, () => [
    ...stem.slice(0, random.below(longest + 1)),
    ...Array.from({ length: 1 + random.below(6) }, () => 1 + random.below(15)),
  ]);
}

/** Runs prompts at random times beside one another, and each alone, and compares. */
async function expectAlike(model: CausalLM, options: GeneratorOptions, seed: number, count: number): Promise<void> {
  const random = new Random("slots", seed);
  const prompts = promptsOf(random, count, Math.min(150, model.config.maxPositionEmbeddings - 20));
  const counts = prompts.map(() => 1 + random.below(12));
  const together = new Generator(model, options);
  const texts = await Promise.all(
    prompts.map(async (ids, i) => {
      await new Promise((resolve) => setTimeout(resolve, random.below(30)));
      return write(together, ids, counts[i], async () => {
        if (random.below(4) === 0) await new Promise((resolve) => setTimeout(resolve, random.below(5)));
      });
    }),
  );
  const again = await write(together, prompts[0], counts[0]);
  together.dispose();
  const { cacheDtype } = options;
  const alone = new Generator(model, { maxSequences: 1, cacheDtype });
  for (const [i, ids] of prompts.entries()) expect(texts[i]).toEqual(await write(alone, ids, counts[i]));
  expect(again).toEqual(texts[0]);
  alone.dispose();
}

const settings: [string, GeneratorOptions][] = [
  ["many places", { maxSequences: 16 }],
  ["few places", { maxSequences: 2, initialRoom: 4 }],
  ["little room", { maxSequences: 8, cacheTokens: 512, initialRoom: 64 }],
  ["blocks for beginnings", { maxSequences: 3, prefixTokens: 512, prefillTokens: 20, sharedPrefillTokens: 7 }],
  ["few blocks", { maxSequences: 2, prefixTokens: 64, initialRoom: 8 }],
  [
    "little room in 8 bits",
    { cacheDtype: "int8", maxSequences: 8, cacheTokens: 512, initialRoom: 64, prefixTokens: 128 },
  ],
];

describe.each(["long context", "llama", "gemma2", "phi3-longrope"])("%s", (name) => {
  test.each(settings)("%s: each text is the one it is alone", async (_, options) => {
    const model = name === "long context" ? longer() : await load(name);
    for (const seed of [1]) await expectAlike(model, options, seed, 9);
    model.dispose();
  });
});

test.each(["f32", "int8"] as const)(
  "where memory is not shared, texts are the same: %s",
  async (cacheDtype) => {
    const device = new Device({ binding: "onnxruntime-node" });
    setDefaultDevice(device);
    const model = await load("llama");
    await expectAlike(model, { maxSequences: 4, cacheDtype }, 3, 7);
    model.dispose();
    await device.close();
  },
  60_000,
);

test("what a text shares with one before is not read again: in its place, beside it, or in blocks", async () => {
  const model = longer();
  const stem = Array.from({ length: 128 }, (_, i) => 1 + ((i * 7) % 15));
  const other = Array.from({ length: 128 }, (_, i) => 1 + ((i * 5) % 15));
  const device = defaultDevice();
  const { request } = device.allocate("f32", []).connection;
  const { connection } = device.allocate("f32", []);
  let runs: number[] = [];
  connection.request = (body, signal) => {
    if (typeof body !== "function" && body.kind === "run") runs.push(body.hostInputs[0]?.data.length ?? 0);
    return request.call(connection, body, signal) as never;
  };
  const generator = new Generator(model, { maxSequences: 2, prefixTokens: 512 });
  const read = async (ids: number[]) => {
    runs = [];
    await write(generator, ids, 1);
    return Math.max(...runs);
  };
  expect(await read([...stem, 3])).toBe(129);
  expect(await read([...stem, 4, 5])).toBe(2); // in its place
  const held = generator.generate([...stem, 6], { ...greedy, maxNewTokens: 5 });
  await held.next();
  expect(await read([...stem, 7, 7, 7])).toBe(3); // beside it
  await held.return("stop");
  await read(other);
  await read(other.map((id) => id + 1));
  await read(other.map((id) => id + 2)); // both places have other texts now
  expect(await read([...stem, 8, 8])).toBe(2); // in blocks
  connection.request = request;
  generator.dispose();
  model.dispose();
});
