/** Encoder-decoders of golden/models: the tokens that transformers' generate gives. */
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { fromPretrained, type Seq2SeqLM } from "../models/index.ts";
import type { Tensor } from "../tensor/index.ts";
import { goldenModels, inputsOf, readGoldenModel } from "../testing/golden-model.ts";
import { applyRules, rulesFrom, Seq2SeqGenerator } from "./index.ts";

const NEW_TOKENS = 12;
const names = readdirSync(goldenModels).filter((name) => /^(t5|t5-gated|mt5|bart|marian|marian-two-vocabularies|whisper)$/.test(name));

describe.each(names)("%s", (name) => {
  test("greedy tokens through the cache", async () => {
    const { folder, greedy = [] } = await readGoldenModel(name);
    const model = (await fromPretrained(folder)) as Seq2SeqLM;
    const generator = new Seq2SeqGenerator(model);
    expect(greedy.length).toBeGreaterThan(0);
    for (const { inputs, outputIds } of greedy) {
      const { input_ids: text, attention_mask: mask, decoder_input_ids: start } = inputs;
      const inputIds = text?.data.filter((_, i) => mask?.data[i] !== 0);
      const inputFeatures = inputsOf(inputs).inputFeatures as Tensor<"f32"> | undefined;
      const decoderInputIds = start?.data;
      const options = { maxNewTokens: NEW_TOKENS, rules: { minNewTokens: NEW_TOKENS }, ...(decoderInputIds && { decoderInputIds }), stopTokens: [] };
      const made: number[] = [];
      for await (const id of generator.generate(inputFeatures ? { inputFeatures } : { inputIds }, options)) made.push(id);
      expect([...(decoderInputIds ?? [outputIds[0]]), ...made]).toEqual(outputIds);
    }
    generator.dispose();
    model.dispose();
  });
});

describe("rules of generation_config.json", () => {
  const ruled = (json: object, ids: number[], progress: object = {}) => {
    const logits = Float32Array.of(1, 2, 3, 4);
    applyRules(logits, rulesFrom(json as Record<string, unknown>), { ids, startLength: 1, maxLength: 9, ...progress });
    return [...logits];
  };
  const none = Number.NEGATIVE_INFINITY;
  test("each does what transformers' does", () => {
    expect(ruled({}, [1])).toEqual([1, 2, 3, 4]);
    expect(ruled({ repetition_penalty: 2 }, [1, 3])).toEqual([1, 1, 3, 2]);
    expect(ruled({ no_repeat_ngram_size: 2 }, [1, 2, 3, 1])).toEqual([1, 2, none, 4]);
    expect(ruled({ bad_words_ids: [[0], [2, 3]] }, [1, 2])).toEqual([none, 2, 3, none]);
    expect(ruled({ min_length: 3, eos_token_id: 2 }, [1, 1])).toEqual([1, 2, none, 4]);
    expect(ruled({ forced_bos_token_id: 0 }, [1])).toEqual([0, none, none, none]);
    expect(ruled({ forced_eos_token_id: 3 }, [1, 1, 1], { maxLength: 4 })).toEqual([none, none, none, 0]);
    expect(ruled({ suppress_tokens: [1], begin_suppress_tokens: [2] }, [1])).toEqual([1, none, none, 4]);
    expect(ruled({ suppress_tokens: [1], begin_suppress_tokens: [2] }, [1, 1])).toEqual([1, none, 3, 4]);
  });
  test("what cannot be followed is an error", () => {
    expect(() => rulesFrom({ bad_words_ids: [1] })).toThrow(/bad_words_ids/);
    expect(() => rulesFrom({ repetition_penalty: 0 })).toThrow(/repetition_penalty/);
  });
});

test("what cannot be read is an error", async () => {
  const model = (await fromPretrained(`${goldenModels}/t5`)) as Seq2SeqLM;
  const generator = new Seq2SeqGenerator(model, { maxLength: 8 });
  await expect(generator.generate({}).next()).rejects.toThrow(/inputIds, inputFeatures or pixelValues/);
  await expect(generator.generate({ inputIds: [] }).next()).rejects.toThrow(/empty text/);
  await expect(generator.generate({ inputIds: [10_000] }).next()).rejects.toThrow(/token ids from 0/);
  await expect(generator.generate({ inputIds: [5] }, { decoderInputIds: [1, 1, 1, 1, 1, 1, 1, 1] }).next()).rejects.toThrow(/from 1 to 7/);
  generator.dispose();
  model.dispose();
});
