import { expect, test } from "vitest";
import { GPT2LMHeadModel } from "../models/index.ts";
import { randomKey, tensor } from "../tensor/index.ts";
import { characterTokenizer } from "../testing/characters.ts";
import { ContextLengthError, Generator, generateText, indexOfLargest, Sampler } from "./index.ts";

const tokenizer = await characterTokenizer("abcdefghijklmnopqrstuvwxyz .,!?\n");
const model = new GPT2LMHeadModel(
  {
    vocabSize: tokenizer.vocabSize,
    maxPositionEmbeddings: 32,
    hiddenSize: 32,
    numLayers: 2,
    numHeads: 4,
    initializerRange: 0.3,
    bosTokenId: null,
    eosTokenId: null,
  },
  randomKey(3),
);
const generator = new Generator(model);
const collect = async (prompt: number[], options: object) => {
  const ids: number[] = [];
  for await (const id of generator.generate(prompt, options)) ids.push(id);
  return ids;
};

/** Greedy generation by running the whole sequence each time. */
async function plainGreedy(prompt: number[], count: number): Promise<number[]> {
  const ids = [...prompt];
  for (let i = 0; i < count; i++) {
    const logits = await model
      .forward({ inputIds: tensor(Int32Array.from(ids), { shape: [1, ids.length] }) })
      .logits.read();
    ids.push(indexOfLargest(logits.slice(-tokenizer.vocabSize)));
  }
  return ids.slice(prompt.length);
}

test("the cache gives what running everything again gives", async () => {
  expect(await collect([5, 6, 7], { temperature: 0, maxNewTokens: 20 })).toEqual(await plainGreedy([5, 6, 7], 20));
});

test("a prompt that shares its beginning with the last one reuses the cache, with the same result", async () => {
  await collect([5, 6, 7, 8, 9], { temperature: 0, maxNewTokens: 3 });
  expect(await collect([5, 6, 7, 1, 2, 3], { temperature: 0, maxNewTokens: 8 })).toEqual(
    await plainGreedy([5, 6, 7, 1, 2, 3], 8),
  );
});

test("a prompt and an answer longer than the context are refused, by a class and a code", async () => {
  const long = Array.from({ length: 50 }, (_, i) => i % 20);
  const refusal = collect(long.slice(0, 10), { maxNewTokens: 23 });
  await expect(refusal).rejects.toThrow(ContextLengthError);
  await expect(refusal).rejects.toMatchObject({
    code: "context_length_exceeded",
    promptTokens: 10,
    maxNewTokens: 23,
    contextLength: 32,
  });
  await expect(collect(long, {})).rejects.toThrow(/at most 32 tokens together, the context; received 50 of the prompt/);
  expect(await collect(long.slice(0, 10), { maxNewTokens: 22 })).toHaveLength(22);
  expect(await collect(long.slice(0, 10), {})).toHaveLength(22); // what there is room for
});

test("with contextShift generation goes on past the context length", async () => {
  expect(await collect([1, 2, 3], { temperature: 0.7, maxNewTokens: 90, contextShift: true })).toHaveLength(90);
  const long = Array.from({ length: 50 }, (_, i) => i % 20);
  expect(await collect(long, { maxNewTokens: 5, contextShift: true })).toHaveLength(5);
});

test("a prompt may be token ids, which are used as they are", async () => {
  const textOf = async (prompt: string | number[]) => {
    let text = "";
    for await (const piece of generateText(generator, tokenizer, prompt, { temperature: 0, maxNewTokens: 6 }))
      text += piece.text;
    return text;
  };
  expect(await textOf([5, 6, 7])).toBe(await tokenizer.decode(await plainGreedy([5, 6, 7], 6)));
  expect(await textOf(await tokenizer.encode("abc"))).toBe(await textOf("abc"));
});

test("the same seed gives the same text, another seed another", async () => {
  const run = (seed: number) => collect([1], { seed, temperature: 1, maxNewTokens: 20 });
  expect(await run(1)).toEqual(await run(1));
  expect(await run(1)).not.toEqual(await run(2));
});

test("by default the likeliest tokens are taken, or what generation_config.json says, with another seed each time", async () => {
  expect(await collect([5, 6, 7], { maxNewTokens: 20 })).toEqual(await plainGreedy([5, 6, 7], 20));
  model.generationConfig = { do_sample: true, temperature: 1.5 };
  const texts = [await collect([1], { maxNewTokens: 20 }), await collect([1], { maxNewTokens: 20 })];
  model.generationConfig = {};
  expect(texts[0]).not.toEqual(texts[1]);
});

test("any of several end tokens ends a text, of generation_config.json or of the model's config", async () => {
  const whole = await plainGreedy([5, 6, 7], 20);
  const [first, second] = [whole[3], whole.find((id) => !whole.slice(0, 4).includes(id)) as number];
  for (const ends of [
    [first, second],
    [second, first],
  ]) {
    model.generationConfig = { eos_token_id: ends };
    expect(await collect([5, 6, 7], { maxNewTokens: 20 })).toEqual(whole.slice(0, whole.indexOf(first)));
  }
  model.generationConfig = { eos_token_id: [second] };
  expect(await collect([5, 6, 7], { maxNewTokens: 20 })).toEqual(whole.slice(0, whole.indexOf(second)));
  model.generationConfig = {};
  const ending = new Generator(
    Object.assign(Object.create(model), { config: { ...model.config, eosTokenId: [second, first] } }),
  );
  const ids: number[] = [];
  for await (const id of ending.generate([5, 6, 7], { maxNewTokens: 20 })) ids.push(id);
  expect(ids).toEqual(whole.slice(0, whole.indexOf(first)));
});

test("calls at the same time do not disturb one another", async () => {
  const [a, b] = await Promise.all([
    collect([5, 6], { temperature: 0, maxNewTokens: 6 }),
    collect([9, 3], { temperature: 0, maxNewTokens: 6 }),
  ]);
  expect(a).toEqual(await plainGreedy([5, 6], 6));
  expect(b).toEqual(await plainGreedy([9, 3], 6));
});

test("bad input is refused", async () => {
  await expect(collect([], {})).rejects.toThrow(/at least one token/);
  await expect(collect([999], {})).rejects.toThrow(/token ids from 0 to/);
  await expect(collect([1], { temprature: 1 })).rejects.toThrow(/did you mean "temperature"/);
  await expect(collect([1], { topP: 0 })).rejects.toThrow(/topP above 0/);
  await expect(collect([1], { maxNewTokens: -1 })).rejects.toThrow(/maxNewTokens/);
});

test("an aborted generation stops, and the next works", async () => {
  const controller = new AbortController();
  const ids: number[] = [];
  await expect(
    (async () => {
      for await (const id of generator.generate([1], {
        maxNewTokens: 1000,
        contextShift: true,
        signal: controller.signal,
      })) {
        ids.push(id);
        if (ids.length === 3) controller.abort();
      }
    })(),
  ).rejects.toThrow(/abort/i);
  expect(ids).toHaveLength(3);
  expect(await collect([5, 6], { temperature: 0, maxNewTokens: 4 })).toEqual(await plainGreedy([5, 6], 4));
});

test("stop texts end the text and are never given out, wherever the pieces break", async () => {
  const whole: string[] = [];
  for await (const { text } of generateText(generator, tokenizer, "ab", { temperature: 0, maxNewTokens: 20 }))
    whole.push(text);
  const full = whole.join("");
  expect(full.length).toBeGreaterThan(10); // special tokens stand for no text
  for (const [from, to] of [
    [4, 6],
    [7, 10],
    [0, 2],
  ]) {
    const stop = full.slice(from, to);
    let got = "";
    let reason: string | undefined;
    for await (const piece of generateText(generator, tokenizer, "ab", {
      temperature: 0,
      maxNewTokens: 20,
      stop: ["\u0000never", stop],
    })) {
      got += piece.text;
      reason = piece.finishReason ?? reason;
    }
    expect(got).toBe(full.slice(0, full.indexOf(stop)));
    expect(reason).toBe("stop");
  }
});

test("top-k and top-p keep the likeliest tokens only, in the right proportions", () => {
  const logits = Float32Array.of(Math.log(0.5), Math.log(0.3), Math.log(0.15), Math.log(0.05));
  const count = (options: object) => {
    const sampler = new Sampler({ seed: 7, ...options });
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 4000; i++) counts[sampler.pick(logits)]++;
    return counts.map((c) => c / 4000);
  };
  const all = count({});
  for (const [i, p] of [0.5, 0.3, 0.15, 0.05].entries()) expect(Math.abs(all[i] - p)).toBeLessThan(0.03);
  const two = count({ topK: 2 });
  expect(two.slice(2)).toEqual([0, 0]);
  expect(Math.abs(two[0] - 0.625)).toBeLessThan(0.03);
  expect(count({ topP: 0.6 }).slice(2)).toEqual([0, 0]); // 0.5 does not reach 0.6, so the second joins
  expect(count({ topP: 0.4 }).slice(1)).toEqual([0, 0, 0]);
  expect(count({ temperature: 0 })[0]).toBe(1);
});
