/** Speculation over real models: texts are those without it, and draws are distributed as without it. */
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type CausalLM, fromPretrained, LlamaForCausalLM, llamaConfig } from "../../models/index.ts";
import { randomKey } from "../../tensor/index.ts";
import { Random } from "../../testing/fuzz/random.ts";
import { type GenerateOptions, Generator } from "../index.ts";

const decoders = fileURLToPath(new URL("../../../golden/decoders", import.meta.url));
const load = async (name: string) => (await fromPretrained(`${decoders}/${name}`, { task: "causal-lm" })) as CausalLM;
const small = (seed: number, initializerRange = 0.5) =>
  new LlamaForCausalLM(
    llamaConfig({
      vocabSize: 8,
      hiddenSize: 16,
      intermediateSize: 32,
      numLayers: 2,
      numHeads: 4,
      numKeyHeads: 2,
      initializerRange,
      maxPositionEmbeddings: 128,
    }),
    randomKey(seed),
  );

async function write(generator: Generator, ids: readonly number[], options: GenerateOptions): Promise<number[]> {
  const text: number[] = [];
  for await (const id of generator.generate(ids, { stopTokens: [], ...options })) text.push(id);
  return text;
}

describe.each(["llama", "gemma2", "qwen3-moe", "phi3-longrope", "mixtral"])("%s", (name) => {
  test("greedy texts are those without, by lookup and by a draft", async () => {
    const model = await load(name);
    const random = new Random("speculation", 1);
    const generator = new Generator(model, { maxSequences: 4 });
    const assistant = new Generator(model, { maxSequences: 1 }); // accepts all: a draft as good as the model
    const { maxPositionEmbeddings, vocabSize } = model.config;
    for (let i = 0; i < 4; i++) {
      const part = Array.from({ length: 3 + random.below(5) }, () => 1 + random.below(Math.min(15, vocabSize - 1)));
      const ids = [...part, 2, ...part];
      const maxNewTokens = Math.min(24, maxPositionEmbeddings - ids.length);
      const settings = { temperature: 0, maxNewTokens };
      const plain = await write(generator, ids, settings);
      expect(await write(generator, ids, { ...settings, promptLookupNumTokens: 6 })).toEqual(plain);
      const drafted = { ...settings, assistant, assistantConfidenceThreshold: 0, numAssistantTokens: 4 };
      expect(await write(generator, ids, drafted)).toEqual(plain);
    }
    generator.dispose();
    assistant.dispose();
    model.dispose();
  });
});

test("the end of a text, a limit and penalties are those without", async () => {
  const model = small(2);
  const generator = new Generator(model);
  const assistant = new Generator(small(3), { maxSequences: 1 });
  const ids = [1, 2, 3, 1, 2, 3, 1, 2];
  for (const settings of [
    { stopTokens: [5] },
    { stopTokens: [1, 2] },
    { maxNewTokens: 1 },
    { maxNewTokens: 2 },
    { repetitionPenalty: 1.3 },
    { noRepeatNgramSize: 2, maxNewTokens: 12 },
    { minNewTokens: 6, stopTokens: [3] },
  ] satisfies GenerateOptions[]) {
    const options = { temperature: 0, maxNewTokens: 30, ...settings };
    const plain = await write(generator, ids, options);
    expect(await write(generator, ids, { ...options, promptLookupNumTokens: 8 })).toEqual(plain);
    expect(await write(generator, ids, { ...options, assistant, assistantConfidenceThreshold: 0 })).toEqual(plain);
  }
  generator.dispose();
});

test("draws are distributed as without, by lookup and by a draft", async () => {
  const model = small(4, 0.2);
  const generator = new Generator(model, { maxSequences: 1 });
  const assistant = new Generator(small(5, 0.4), { maxSequences: 1 });
  const ids = [1, 2, 3, 4, 1, 2];
  const texts = 600;
  const countsOf = async (options: GenerateOptions, firstSeed: number) => {
    const counts = new Map<string, number>();
    for (let seed = firstSeed; seed < firstSeed + texts; seed++) {
      const text = (
        await write(generator, ids, { maxNewTokens: 2, temperature: 0.9, topK: 4, seed, ...options })
      ).join();
      counts.set(text, (counts.get(text) ?? 0) + 1);
    }
    return counts;
  };
  const plain = await countsOf({}, 0);
  for (const options of [{ promptLookupNumTokens: 3 }, { assistant, assistantConfidenceThreshold: 0 }]) {
    const counts = await countsOf(options, 100_000);
    // two samples of one distribution: chi-square of the texts that are not rare, once in 10,000 beyond this
    let chi = 0;
    let cells = 0;
    for (const text of new Set([...plain.keys(), ...counts.keys()])) {
      const [a, b] = [plain.get(text) ?? 0, counts.get(text) ?? 0];
      if (a + b < 10) continue;
      chi += (a - b) ** 2 / (a + b);
      cells++;
    }
    const spread = 2 / (9 * cells);
    expect(chi).toBeLessThan(cells * (1 - spread + 3.72 * Math.sqrt(spread)) ** 3);
  }
  generator.dispose();
}, 60_000);

test("what does not go together is refused by name", async () => {
  const model = small(6);
  const generator = new Generator(model);
  const refused: [GenerateOptions, RegExp][] = [
    [{ assistant: generator }, /an assistant of a smaller model; received the generator itself/],
    [{ promptLookupNumTokens: 0 }, /promptLookupNumTokens/],
    [{ maxMatchingNgramSize: 2 }, /promptLookupNumTokens with maxMatchingNgramSize/],
    [{ numAssistantTokens: 3 }, /an assistant with numAssistantTokens/],
    [{ promptLookupNumTokens: 3, onLogits: () => {} }, /no onLogits where tokens are proposed/],
    [{ promptLookupNumTokens: 3, topLogprobs: 1 }, /no topLogprobs where tokens are proposed/],
  ];
  for (const [options, message] of refused) await expect(write(generator, [1], options)).rejects.toThrow(message);
  generator.dispose();
});
