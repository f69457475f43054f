import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { type CausalLM, fromPretrained } from "../models/index.ts";
import { characterTokenizer } from "../testing/characters.ts";
import { Generator, generateText, type TokenLogprobs } from "./index.ts";
import { type PickOptions, TokenPicker } from "./token-picker.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));
const { logprobs } = JSON.parse(readFileSync(`${golden}decoding.json`, "utf8")) as {
  logprobs: { logits: number[]; logprobs: number[]; top: [number, number][] };
};
const llama = (): Promise<CausalLM> => fromPretrained(`${golden}decoders/llama`, { task: "causal-lm" });
const picker = (options: PickOptions, start: readonly number[] = [0]) =>
  new TokenPicker({ config: { eosTokenId: null }, generationConfig: {} }, start, start, options);

test("log probabilities are those of the model, whatever the settings make of them", () => {
  const [likeliest] = logprobs.top[0];
  const banned = { suppressTokens: [likeliest], temperature: 0.5, seed: 1, topK: 1 };
  for (const settings of [{}, banned]) {
    const told: TokenLogprobs[] = [];
    const text = picker({ ...settings, topLogprobs: 5, onLogprobs: (each) => told.push(each) });
    const id = text.next(Float32Array.from(logprobs.logits)) as number;
    expect(id === likeliest).toBe(settings !== banned);
    expect(told).toEqual([text.logprobs]);
    expect(told[0].id).toBe(id);
    expect(told[0].logprob).toBeCloseTo(logprobs.logprobs[id], 10);
    expect(told[0].top.map((each) => each.id)).toEqual(logprobs.top.map(([each]) => each));
    for (const [i, { logprob }] of told[0].top.entries()) expect(logprob).toBeCloseTo(logprobs.top[i][1], 10);
  }
});

test("log probabilities are computed when they are asked for", () => {
  const logits = Float32Array.of(1, 2);
  const plain = picker({});
  plain.next(logits.slice());
  expect(plain.logprobs).toBeUndefined();
  const alone = picker({ topLogprobs: 0 });
  alone.next(logits.slice());
  expect(alone.logprobs).toMatchObject({ id: 1, top: [] });
  expect(alone.logprobs?.logprob).toBeCloseTo(-Math.log(1 + Math.exp(-1)), 12);
  const all = picker({ topLogprobs: 9 });
  all.next(logits.slice());
  expect(all.logprobs?.top.map(({ id }) => id)).toEqual([1, 0]);
  const equal = picker({ topLogprobs: 2 });
  equal.next(Float32Array.of(1, 3, 3, 3));
  expect(equal.logprobs?.top.map(({ id }) => id)).toEqual([1, 2]);
  expect(() => picker({ topLogprobs: -1 })).toThrow(/topLogprobs to be an integer of at least 0; received -1/);
});

test("a generator follows processors, warpers and penalties, and tells log probabilities", async () => {
  const model = await llama();
  const generator = new Generator(model);
  const idsOf = async (options: object) => {
    const ids: number[] = [];
    for await (const id of generator.generate([3, 9, 6], { maxNewTokens: 6, stopTokens: [], ...options })) ids.push(id);
    return ids;
  };
  const plain = await idsOf({});
  expect(await idsOf({ processors: [(logits: Float32Array) => logits.fill(9, 7, 8)] })).toEqual([7, 7, 7, 7, 7, 7]);
  const two = await idsOf({ allowedTokenIds: [4, 5] });
  expect(two.every((id) => id === 4 || id === 5)).toBe(true);
  const fresh = await idsOf({ logitBias: { [plain[0]]: -100 } });
  expect(fresh[0]).not.toBe(plain[0]);
  const varied = await idsOf({ presencePenalty: 2, frequencyPenalty: 2, processors: [(l: Float32Array) => l.fill(0)] });
  expect(varied).toHaveLength(6);
  const warped = await idsOf({ warpers: [(c: { keep(f: (i: number) => boolean): void }) => c.keep((i) => i === 0)] });
  expect(warped).toHaveLength(6);
  const told: TokenLogprobs[] = [];
  expect(await idsOf({ topLogprobs: 2, onLogprobs: (each: TokenLogprobs) => told.push(each) })).toEqual(plain);
  expect(told.map(({ id }) => id)).toEqual(plain);
  for (const { logprob, top } of told) expect(top[0].logprob).toBe(logprob);
  expect(await idsOf({ mirostat: 2, seed: 3 })).toEqual(await idsOf({ mirostat: 2, seed: 3 }));
  await expect(idsOf({ drySequenceBreakers: ["x"], dryMultiplier: 1 })).rejects.toThrow(/use generateText/);
  const all = [() => {}];
  await expect(idsOf({ warpers: all, temperature: 0 })).rejects.toThrow(/draws with warpers.*received temperature: 0/);
  await expect(idsOf({ warpers: all, doSample: false })).rejects.toThrow(/received doSample: false/);
  await expect(idsOf({ warpers: 1 })).rejects.toThrow(/warpers to be a list of functions/);
  await expect(idsOf({ processors: [1] })).rejects.toThrow(/processors to be functions/);
  generator.dispose();
  model.dispose();
});

test("generateText makes tokens of the texts that break sequences", async () => {
  const model = await llama();
  const generator = new Generator(model);
  const tokenizer = await characterTokenizer(
    Array.from({ length: 43 }, (_, i) => String.fromCharCode(65 + i)).join(""),
  );
  const textOf = async (options: object) => {
    let text = "";
    const settings = { stopTokens: [], maxNewTokens: 12, dryMultiplier: 50, dryAllowedLength: 1, ...options };
    for await (const piece of generateText(generator, tokenizer, [3, 9, 6], settings)) text += piece.text;
    return text;
  };
  const breakers = ["B", "K", "U"];
  const ids = await Promise.all(breakers.map(async (text) => (await tokenizer.encode(text)).at(-1)));
  expect(await textOf({ drySequenceBreakers: breakers })).toBe(await textOf({ drySequenceBreakerIds: ids }));
  expect(await textOf({})).toHaveLength(12);
  await expect(textOf({ dryMultiplier: 0, drySequenceBreakers: ["B"], dryAllowedLength: undefined })).rejects.toThrow(
    /drySequenceBreakers with dryMultiplier/,
  );
  generator.dispose();
  model.dispose();
});
