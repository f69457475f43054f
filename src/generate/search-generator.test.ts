import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type CausalLM, fromPretrained } from "../models/index.ts";
import { collect } from "../testing/collect.ts";
import { Generator, SearchGenerator } from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));
const families = ["gpt2/a", ...readdirSync(`${golden}decoders`).map((name) => `decoders/${name}`)];
const opened = (name: string): Promise<CausalLM> => fromPretrained(golden + name, { task: "causal-lm" });

describe("contrastive search with next to no penalty gives the greedy text", () => {
  test.each(families)("%s", async (name) => {
    const { greedy } = JSON.parse(readFileSync(`${golden}${name}/expected.json`, "utf8"));
    const model = await opened(name);
    const generator = new SearchGenerator(model, { initialRoom: 4, prefillTokens: 4 });
    for (const { inputIds, maxNewTokens, outputIds } of greedy) {
      const options = { penaltyAlpha: 1e-7, topK: 2, maxNewTokens, stopTokens: [] };
      const { cacheLimit = Number.POSITIVE_INFINITY } = model;
      const crosses = inputIds.length <= cacheLimit && outputIds.length > cacheLimit;
      const ids = collect(generator.generate(inputIds, options));
      if (crosses) await expect(ids).rejects.toThrow(/the context/);
      else expect([...inputIds, ...(await ids)]).toEqual(outputIds);
    }
    generator.dispose();
    model.dispose();
  });
});

test("the best of several texts is the one that is written, and searches wait for one another", async () => {
  const model = await opened("decoders/llama");
  const generator = new SearchGenerator(model);
  const options = { numBeams: 3, maxNewTokens: 6, stopTokens: [] };
  const [texts, ids, fewer] = await Promise.all([
    generator.generateSequences([3, 9, 6], { ...options, numReturnSequences: 3 }),
    collect(generator.generate([3, 9, 6], options)),
    generator.generateSequences([3, 9, 6], { ...options, numBeams: 2 }),
  ]);
  expect(texts.map(({ finishReason }) => finishReason)).toEqual(["length", "length", "length"]);
  expect(ids).toEqual(texts[0].ids);
  expect(fewer).toHaveLength(1);
  expect(await generator.generateSequences([3], { ...options, maxNewTokens: 0 })).toEqual([]);
  generator.dispose();
  model.dispose();
});

test("an abort ends a search, and the next is not harmed", async () => {
  const model = await opened("decoders/llama");
  const generator = new SearchGenerator(model);
  const options = { numBeams: 2, maxNewTokens: 8, stopTokens: [] };
  const expected = await generator.generateSequences([3, 9, 6], options);
  const controller = new AbortController();
  let calls = 0;
  const abortLater = (_: Float32Array) => {
    if (++calls === 5) controller.abort(new Error("enough"));
  };
  await expect(
    generator.generateSequences([3, 9, 6], { ...options, processors: [abortLater], signal: controller.signal }),
  ).rejects.toThrow(/enough/);
  expect(calls).toBeLessThan(8);
  expect(await generator.generateSequences([3, 9, 6], options)).toEqual(expected);
  generator.dispose();
  model.dispose();
});

test("what cannot be searched", async () => {
  const model = await opened("decoders/llama");
  const { maxPositionEmbeddings } = model.config;
  expect(() => new SearchGenerator(model, { contextLength: maxPositionEmbeddings + 1 })).toThrow(
    /a contextLength from/,
  );
  expect(() => new SearchGenerator(model, { prefillTokens: 0 })).toThrow(/prefillTokens to be a positive integer/);
  expect(() => new SearchGenerator(model, { beams: 2 } as object)).toThrow(/beams/);
  const generator = new SearchGenerator(model, { contextLength: 10 });
  const search = (prompt: number[], options: object) => generator.generateSequences(prompt, options);
  await expect(search([3], {})).rejects.toThrow(/generateSequences: expected numBeams above 1/);
  await expect(search([], { numBeams: 2 })).rejects.toThrow(/a prompt of at least one token/);
  await expect(search([999], { numBeams: 2 })).rejects.toThrow(/token ids from 0/);
  await expect(search([3, 4], { numBeams: 2, maxNewTokens: 9 })).rejects.toThrow(/at most 10 tokens together/);
  await expect(search([3], { numBeams: 2, topP: 0.5 })).rejects.toThrow(/numBeams: expected 1/);
  await expect(search([3], { numBeams: 2, onLogits: () => {} })).rejects.toThrow(/numBeams: expected 1/);
  await expect(generator.generate([3], { penaltyAlpha: 0.5, topLogprobs: 2 }).next()).rejects.toThrow(/penaltyAlpha/);
  await expect(generator.generate([3], {}).next()).rejects.toThrow(/numBeams above 1, or penaltyAlpha above 0/);
  await expect(generator.generate([3], { numBeams: 2, numReturnSequences: 2 }).next()).rejects.toThrow(
    /numReturnSequences: expected a way to write texts that is built/,
  );
  generator.dispose();
  model.dispose();
});

test("Generator searches too, beside texts that it writes token by token", async () => {
  const model = await opened("decoders/llama");
  const [generator, searches] = [new Generator(model), new SearchGenerator(model)];
  const settings = { maxNewTokens: 6, stopTokens: [], temperature: 0 };
  const prompt = [3, 9, 6];
  const ways = [{ numBeams: 3 }, { penaltyAlpha: 0.5, topK: 3 }, {}];
  const expected = [
    await collect(searches.generate(prompt, { ...settings, ...ways[0] })),
    await collect(searches.generate(prompt, { ...settings, ...ways[1] })),
    await collect(generator.generate(prompt, settings)),
  ];
  const together = ways.map((way) => collect(generator.generate(prompt, { ...settings, ...way, group: "a" })));
  expect(await Promise.all(together)).toEqual(expected);
  const rows: number[][] = [[], [], []];
  for await (const { row, id } of generator.generateBatch(ways.map((way) => ({ ids: prompt, ...settings, ...way }))))
    rows[row].push(id);
  expect(rows).toEqual(expected);
  const texts = await generator.generateSequences(prompt, { ...settings, numBeams: 3, numReturnSequences: 2 });
  expect(texts.map(({ ids }) => ids)[0]).toEqual(expected[0]);
  const wrong = (options: object) => generator.generate(prompt, { ...settings, numBeams: 2, ...options }).next();
  await expect(wrong({ contextShift: true })).rejects.toThrow(/received contextShift/);
  await expect(wrong({ promptLookupNumTokens: 3 })).rejects.toThrow(/received proposals of tokens/);
  await expect(wrong({ topLogprobs: 1 })).rejects.toThrow(/numBeams: expected 1/);
  for (const each of [generator, searches, model]) each.dispose();
});
