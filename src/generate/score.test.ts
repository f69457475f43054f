/** Scores and perplexities: golden/scores.json of transformers, and texts that come and go meanwhile. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readJson } from "../files/index.ts";
import { type CausalLM, fromPretrained } from "../models/index.ts";
import { expectClose } from "../testing/close.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import { Generator, perplexity } from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));
const { texts } = (await readJson(join(golden, "scores.json"))) as unknown as {
  texts: Record<
    string,
    {
      ids: number[];
      longest: number;
      logprobs: number[];
      top: [number, number][][];
      perplexities: { maxLength: number; stride: number; value: number }[];
    }
  >;
};
const load = async (name: string) =>
  (await fromPretrained(join(golden, "decoders", name), { task: "causal-lm" })) as CausalLM;
const noTokenizer = undefined as unknown as Tokenizer; // ids need none

describe.each(Object.keys(texts))("%s", (name) => {
  const { ids, longest, logprobs, top, perplexities } = texts[name];

  test.each([512, 7, 1])("log probabilities in pieces of %d tokens", async (prefillTokens) => {
    const model = await load(name);
    const generator = new Generator(model, { prefillTokens, initialRoom: 4 });
    const text = ids.slice(0, longest);
    for (const topLogprobs of [0, 3]) {
      const scored = await generator.score(text, { topLogprobs });
      expect(scored.map(({ id }) => id)).toEqual(text);
      expect(scored[0].logprob).toBeNaN();
      expectClose(
        "logprobs",
        scored.slice(1).map(({ logprob }) => logprob),
        logprobs,
        1e-4,
      );
      const places = top.map((row, i) => row.findIndex(([id]) => id === text[i + 1]));
      scored.slice(1).forEach(({ rank }, i) => {
        if (places[i] < 0) expect(rank).toBeGreaterThan(3);
        else expect(rank).toBe(1 + places[i]);
      });
      if (topLogprobs === 0) continue;
      const likeliest = scored.slice(1).map((each) => each.top.map(({ logprob }) => logprob));
      const expected = top.flat().map(([, logprob]) => logprob);
      expectClose("the likeliest", likeliest.flat(), expected, 1e-4);
    }
    generator.dispose();
    model.dispose();
  });

  test("the perplexity of transformers' example", async () => {
    const model = await load(name);
    const generator = new Generator(model);
    for (const { value, ...windows } of perplexities) {
      const number = await perplexity(generator, noTokenizer, ids, windows);
      expect(Math.abs(number / value - 1), JSON.stringify(windows)).toBeLessThan(1e-4);
    }
    generator.dispose();
    model.dispose();
  });
});

test("scores are the same while texts are written, end with their signal, and follow the weights", async () => {
  const model = await load("llama");
  const { ids, longest } = texts.llama;
  const generator = new Generator(model, { prefillTokens: 5 });
  const text = ids.slice(0, longest);
  const numbers = async () => (await generator.score(text)).slice(1).map(({ logprob }) => logprob);
  const write = async () => {
    const written: number[] = [];
    const options = { temperature: 0, stopTokens: [], maxNewTokens: 12 };
    for await (const id of generator.generate([1, 2, 3], options)) written.push(id);
    return written;
  };
  const [alone, written] = [await numbers(), await write()];
  const gone = new AbortController();
  const aborted = generator.score(text, { signal: gone.signal });
  const together = Promise.all([numbers(), write(), numbers(), write()]);
  gone.abort(new Error("gone"));
  await expect(aborted).rejects.toThrow("gone");
  expect(await together).toEqual([alone, written, alone, written]);
  const [, weight] = [...model.namedParameters()][0];
  weight.set((await weight.read()).map((x) => 2 * x + 0.01));
  expect(await numbers()).not.toEqual(alone);
  await expect(generator.score([])).rejects.toThrow(/at least one token/);
  await expect(generator.score(new Array(500).fill(1))).rejects.toThrow(/context/);
  await expect(generator.score([1], { topLogprobs: -1 })).rejects.toThrow(/topLogprobs/);
  await expect(perplexity(generator, noTokenizer, [1])).rejects.toThrow(/at least 2 tokens/);
  await expect(perplexity(generator, noTokenizer, ids, { stride: 9, maxLength: 8 })).rejects.toThrow(/stride/);
  generator.dispose();
  model.dispose();
});
