/** Encoder-decoders of golden/models: the tokens that transformers' generate gives. */
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { fromPretrained, type Seq2SeqLM } from "../models/index.ts";
import type { Tensor } from "../tensor/index.ts";
import { goldenModels, inputsOf, readGoldenModel } from "../testing/golden-model.ts";
import { Seq2SeqGenerator } from "./index.ts";

const NEW_TOKENS = 12;
const names = readdirSync(goldenModels).filter((name) =>
  /^(t5|t5-gated|mt5|bart|marian|marian-two-vocabularies|whisper)$/.test(name),
);

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
      const options = {
        maxNewTokens: NEW_TOKENS,
        minNewTokens: NEW_TOKENS,
        ...(decoderInputIds && { decoderInputIds }),
        stopTokens: [],
      };
      const newIds: number[] = [];
      for await (const id of generator.generate(inputFeatures ? { inputFeatures } : { inputIds }, options))
        newIds.push(id);
      expect([...(decoderInputIds ?? [outputIds[0]]), ...newIds]).toEqual(outputIds);
    }
    generator.dispose();
    model.dispose();
  });
});

test("what cannot be read is an error", async () => {
  const model = (await fromPretrained(`${goldenModels}/t5`)) as Seq2SeqLM;
  const generator = new Seq2SeqGenerator(model, { maxLength: 8 });
  await expect(generator.generate({}).next()).rejects.toThrow(/inputIds, inputFeatures or pixelValues/);
  await expect(generator.generate({ inputIds: [] }).next()).rejects.toThrow(/empty text/);
  await expect(generator.generate({ inputIds: [10_000] }).next()).rejects.toThrow(/token ids from 0/);
  await expect(
    generator.generate({ inputIds: [5] }, { decoderInputIds: [1, 1, 1, 1, 1, 1, 1, 1] }).next(),
  ).rejects.toThrow(/from 1 to 7/);
  generator.dispose();
  model.dispose();
});
