/** Texts behind prompts and prefixes: those that peft writes, see golden/make_peft_generation.py. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test, vi } from "vitest";
import { readJson } from "../files/index.ts";
import { type CausalLM, fromPretrained } from "../models/index.ts";
import { applyAdapter, readAdapter } from "../peft/index.ts";
import { defaultDevice } from "../tensor/index.ts";
import { type BatchPrompt, Generator, type GeneratorOptions } from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/peft/", import.meta.url));
const { texts } = (await readJson(join(golden, "generation.json"))) as {
  texts: Record<string, Record<string, { prompt: number[]; ids: number[] }[]>>;
};
const cases = Object.entries(texts).flatMap(([base, adapters]) => Object.keys(adapters).map((name) => [base, name]));
const silent = { onWarning: () => {} };
const open = (base: string) => fromPretrained(join(golden, base), { ...silent, task: "causal-lm" });
const adapterOf = (base: string, name: string) => readAdapter(join(golden, base, name));

let model: CausalLM;
let generator: Generator;
afterEach(() => {
  vi.restoreAllMocks();
  generator.dispose();
  model.dispose();
});

/** Greedy continuations of prompts that are written together. */
async function write(prompts: readonly Omit<BatchPrompt, "maxNewTokens">[], count = 20): Promise<number[][]> {
  const batch = prompts.map((prompt) => ({ ...prompt, temperature: 0, maxNewTokens: count }));
  const rows: number[][] = prompts.map(() => []);
  for await (const { row, id } of generator.generateBatch(batch)) rows[row].push(id);
  return rows;
}

describe.each(cases)("%s, %s", (base, name) => {
  const runs = texts[base][name];
  const expected = runs.map(({ ids }) => ids);
  test.each<[string, GeneratorOptions, boolean?]>([
    ["as it is", {}],
    ["in pieces of two tokens", { prefillTokens: 2, sharedPrefillTokens: 2 }],
    ["where memory is not shared", { prefillTokens: 2 }, false],
  ])("%s: peft's texts, one by one, together, and again", async (_, options, sharesMemory = true) => {
    if (!sharesMemory) vi.spyOn(defaultDevice(), "sharesMemory", "get").mockResolvedValue(false);
    model = await open(base);
    applyAdapter(model, await adapterOf(base, name), silent);
    generator = new Generator(model, options);
    for (const { prompt, ids } of runs) expect(await write([{ ids: prompt }])).toEqual([ids]);
    const prompts = runs.map(({ prompt }) => ({ ids: prompt }));
    expect(await write(prompts)).toEqual(expected);
    expect(await write([prompts[0]])).toEqual([expected[0]]);
  });
});

test("the texts of the model as it is now; what does not go behind a prompt is refused by name", async () => {
  model = await open("llama");
  const [{ prompt: ids, ids: expected }] = texts.llama["train-prefix"];
  generator = new Generator(model, { contextLength: 40 });
  const plain = await write([{ ids }]);
  const applied = applyAdapter(model, await adapterOf("llama", "train-prefix"), silent);
  expect(await write([{ ids }])).toEqual([expected]);
  const refused: [Partial<BatchPrompt>, RegExp][] = [
    [{ contextShift: true }, /received contextShift, which would forget it/],
    [{ numBeams: 2 }, /received a search/],
    [{ promptLookupNumTokens: 3 }, /received proposals of tokens/],
  ];
  for (const [options, message] of refused) await expect(write([{ ids, ...options }])).rejects.toThrow(message);
  await expect(generator.score(ids)).rejects.toThrow("nothing before its texts");
  await expect(generator.generateSequences(ids, { numBeams: 2 })).rejects.toThrow("nothing before its texts");
  expect(() => model.onnxParts()).toThrow("nothing before its texts");
  await expect(write([{ ids }], 33)).rejects.toThrow("33"); // 3 + 5 + 33 tokens are more than 40
  const late = write([{ ids }]);
  applied.remove();
  await expect(late).rejects.toThrow("another, applied or removed while it waited");
  expect(await write([{ ids }])).toEqual(plain);
});

test("prompts, prefixes and LoRA of different texts, written together", async () => {
  model = await open("llama");
  const { llama } = texts;
  generator = new Generator(model, { maxAdapters: 4, prefixTokens: 64 });
  const plain = await write([{ ids: [5, 6, 7] }]);
  for (const name of Object.keys(llama)) await generator.adapters.load(name, await adapterOf("llama", name), silent);
  await generator.adapters.load("lora", await adapterOf("llama", "lora"), silent);
  expect(generator.adapters.list.map(({ rank }) => rank)).toEqual([0, 0, 0, 3]);
  const [lora] = await write([{ ids: [5, 6, 7], adapter: "lora" }]);
  const all = Object.entries(llama).flatMap(([adapter, runs]) =>
    runs.map(({ prompt, ids }) => ({ prompt: { ids: prompt, adapter }, ids })),
  );
  for (const { prompt, ids } of all) expect(await write([prompt])).toEqual([ids]);
  const others = [{ ids: [5, 6, 7], adapter: "lora" }, { ids: [5, 6, 7] }];
  for (let round = 0; round < 2; round++) {
    const rows = await write([...all.map(({ prompt }) => prompt), ...others]);
    expect(rows).toEqual([...all.map(({ ids }) => ids), lora, plain[0]]);
  }
  await generator.adapters.unload("train-prefix");
  await generator.adapters.load("train-prefix", await adapterOf("llama", "train-prompt"), silent);
  const [{ prompt, ids }] = llama["train-prompt"];
  expect(await write([{ ids: prompt, adapter: "train-prefix" }])).toEqual([ids]);
  const applied = applyAdapter(model, await adapterOf("llama", "train-prompt"), silent);
  await expect(write([{ ids: prompt, adapter: "p-tuning" }])).rejects.toThrow("nothing before its texts");
  applied.remove();
});

test("where memory is not shared, prompts are of the model alone", async () => {
  vi.spyOn(defaultDevice(), "sharesMemory", "get").mockResolvedValue(false);
  model = await open("llama");
  generator = new Generator(model, { maxAdapters: 1 });
  await generator.adapters.load("prompt", await adapterOf("llama", "train-prompt"), silent);
  await expect(write([{ ids: [5], adapter: "prompt" }])).rejects.toThrow("apply it to the model alone");
  const plain = await write([{ ids: [5] }]);
  expect(plain[0]).toHaveLength(20);
});
