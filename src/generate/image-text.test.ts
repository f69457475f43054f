/** Models that see images and write: the tokens that transformers' generate gives. */
import { expect, test } from "vitest";
import { type BlipForConditionalGeneration, fromPretrained, type ImageTextModel } from "../models/index.ts";
import { collect } from "../testing/collect.ts";
import { goldenModels, inputsOf, readGoldenModel } from "../testing/golden-model.ts";
import { ImageTextGenerator, Seq2SeqGenerator } from "./index.ts";

test.each(["llava", "llava-layers", "qwen2-vl"])("%s: greedy tokens through the cache", async (name) => {
  const { folder, greedy = [] } = await readGoldenModel(name);
  const model = (await fromPretrained(folder)) as ImageTextModel;
  const generator = new ImageTextGenerator(model, { contextLength: 128 });
  expect(greedy.length).toBeGreaterThan(0);
  for (const { inputs, outputIds } of greedy) {
    const { inputIds: _, attentionMask: __, ...images } = inputsOf(inputs);
    const inputIds = inputs.input_ids.data;
    const count = outputIds.length - inputIds.length;
    const options = { maxNewTokens: count, minNewTokens: count, temperature: 0 };
    const newIds = await collect(generator.generate({ inputIds, ...images }, options));
    expect([...inputIds, ...newIds]).toEqual(outputIds);
  }
  generator.dispose();
  model.dispose();
});

test("blip: greedy captions, with and without their start", async () => {
  const { folder, greedy = [] } = await readGoldenModel("blip");
  const model = (await fromPretrained(folder)) as BlipForConditionalGeneration;
  const generator = new Seq2SeqGenerator(model);
  for (const { inputs, outputIds } of greedy) {
    const { pixelValues } = inputsOf(inputs) as { pixelValues: never };
    const start = [model.config.bosTokenId, ...(inputs.input_ids?.data.slice(1, -1) ?? [])];
    const count = outputIds.length - start.length;
    const options = { decoderInputIds: start, maxNewTokens: count, minNewTokens: count, stopTokens: [] };
    expect([...start, ...(await collect(generator.generate({ pixelValues }, options)))]).toEqual(outputIds);
  }
  generator.dispose();
  model.dispose();
});

test("a text without the places of its images is an error, and so is one that is too long", async () => {
  const model = await fromPretrained(`${goldenModels}/llava`, { task: "image-text-to-text" });
  const { greedy = [] } = await readGoldenModel("llava");
  const { pixelValues } = inputsOf(greedy[0].inputs) as { pixelValues: never };
  const generator = new ImageTextGenerator(model, { contextLength: 6 });
  await expect(generator.generate({ inputIds: [1, 28, 28, 3], pixelValues }).next()).rejects.toThrow(
    /expected 4 places for the images, tokens 28; received 2/,
  );
  await expect(generator.generate({ inputIds: [1, 28, 28, 28, 28, 3, 3], pixelValues }).next()).rejects.toThrow(
    /at most 6 tokens/,
  );
  expect(() => new ImageTextGenerator(model, { contextLength: 1e9 })).toThrow(/contextLength from 1/);
  // the context is full after one more token
  expect(
    await collect(
      generator.generate({ inputIds: [1, 28, 28, 28, 28, 3], pixelValues }, { temperature: 0, stopTokens: [] }),
    ),
  ).toHaveLength(1);
  generator.dispose();
  model.dispose();
});
