/**
 * Encoder-decoders and models that read images, as ONNX files, in plain ONNX Runtime: the tokens that transformers'
 * generate gives, by the files' keys and values.
 */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type EncoderDecoder,
  exportModel,
  fromPretrained,
  type ImageTextModel,
  type TaskModels,
} from "../models/index.ts";
import { goldenModels, inputsOf, readGoldenModel } from "../testing/golden-model.ts";
import { indexOfLargest, processorsOf, settingsOf } from "./index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

type Feeds = Record<string, ort.Tensor>;
type Packed = { dtype: string; shape: number[]; data: number[] };
const i64 = (values: readonly number[]) =>
  new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);

const names = (await readdir(goldenModels)).filter((name) =>
  /^(t5|t5-gated|mt5|bart|marian|marian-two-vocabularies|whisper|blip)$/.test(name),
);
test.each(names)("%s", async (name) => {
  const { folder: source, greedy = [] } = await readGoldenModel(name);
  const model = (await fromPretrained(source)) as TaskModels["seq2seq-lm"];
  const { endTokenIds } = model as EncoderDecoder;
  const [{ inputs: first }] = greedy;
  const files = await exportModel(model, folder, {
    imageSize: first.pixel_values?.shape.slice(2) as [number, number] | undefined,
  });
  const [encoder, decoder, withPast] = await Promise.all(
    files.map((file) => ort.InferenceSession.create(join(folder, file), { logSeverityLevel: 3 })),
  );
  for (const { inputs, outputIds } of greedy) {
    const {
      input_ids: text,
      attention_mask: mask,
      decoder_input_ids: begun,
    } = inputs as Record<string, Packed | undefined>;
    const isText = encoder.inputNames.includes("input_ids");
    const seen: Feeds = isText && text ? { encoder_attention_mask: i64(mask?.data ?? text.data.map(() => 1)) } : {};
    const read = (input: string): ort.Tensor => {
      if (input === "input_ids") return i64((text as Packed).data);
      if (input === "attention_mask") return seen.encoder_attention_mask;
      const { data, shape } = inputs[input];
      return new ort.Tensor("float32", Float32Array.from(data), shape);
    };
    const { last_hidden_state: states } = await encoder.run(
      Object.fromEntries(encoder.inputNames.map((input) => [input, read(input)])),
    );
    const started = begun?.data ?? [outputIds[0], ...(isText || !text ? [] : text.data.slice(1, -1))];
    let run = await decoder.run({ input_ids: i64(started), encoder_hidden_states: states, ...seen });
    const across = Object.entries(run).filter(([key]) => key.includes(".encoder."));
    const written = [...started];
    const settings = settingsOf(model.generationConfig, { minNewTokens: outputIds.length });
    const rules = { ...settings, ...(endTokenIds && { eosTokenId: endTokenIds }) };
    while (written.length < outputIds.length) {
      const logits = (run.logits.data as Float32Array).slice(-(run.logits.dims.at(-1) as number));
      for (const process of processorsOf(rules))
        process(logits, { ids: written, startLength: started.length, maxLength: outputIds.length });
      written.push(indexOfLargest(logits));
      const grown = Object.entries(run).filter(([key]) => key.includes(".decoder."));
      const past = Object.fromEntries(
        [...grown, ...across].map(([key, value]) => [key.replace("present", "past_key_values"), value]),
      );
      run = await withPast.run({ input_ids: i64(written.slice(-1)), ...seen, ...past });
    }
    expect(written).toEqual(outputIds);
  }
  for (const session of [encoder, decoder, withPast]) await session.release();
  model.dispose();
});

test.each(["llava", "llava-layers", "qwen2-vl"])("%s", async (name) => {
  const { folder: source, greedy = [] } = await readGoldenModel(name);
  const model = (await fromPretrained(source)) as ImageTextModel;
  const [{ inputs, outputIds }] = greedy;
  const patchSide = (model.config as { vision: { patchSize: number } }).vision.patchSize;
  const grid = inputs.image_grid_thw?.data;
  const imageSize = (grid ? [grid[1] * patchSide, grid[2] * patchSide] : inputs.pixel_values.shape.slice(2)) as [
    number,
    number,
  ];
  const files = await exportModel(model, folder, { imageSize });
  const [vision, tokens, decoder] = await Promise.all(
    files.map((file) => ort.InferenceSession.create(join(folder, file), { logSeverityLevel: 3 })),
  );
  const pixels = new ort.Tensor("float32", Float32Array.from(inputs.pixel_values.data), inputs.pixel_values.shape);
  const { image_features: features } = await vision.run({
    pixel_values: pixels,
    ...(grid && { image_grid_thw: new ort.Tensor("int64", BigInt64Array.from(grid, BigInt), [1, 3]) }),
  });
  const written = [...inputs.input_ids.data];
  const { positions, offset } = model.embed(inputsOf(inputs) as never);
  const firstPositions = positions ? Array.from(await positions.read()) : written.map((_, i) => i);
  const beyond = offset ? await offset.item() : 0;
  const { numKeyHeads, headDim } = model.languageModel.cacheShape;
  const empty = new ort.Tensor("float32", new Float32Array(0), [1, numKeyHeads, 0, headDim]);
  let past: Feeds = Object.fromEntries(
    decoder.inputNames.filter((input) => input.startsWith("past")).map((input) => [input, empty]),
  );
  for (let fresh = [...written]; written.length < outputIds.length; fresh = written.slice(-1)) {
    const { inputs_embeds: embedded } = await tokens.run({ input_ids: i64(fresh) });
    const isFirst = fresh.length > 1;
    const width = embedded.dims[2];
    let place = 0;
    for (const [i, id] of fresh.entries()) {
      if (!isFirst || id !== model.imageTokenId) continue;
      (embedded.data as Float32Array).set(
        (features.data as Float32Array).subarray(place * width, ++place * width),
        i * width,
      );
    }
    const positionIds = isFirst
      ? firstPositions
      : new Array<number>(grid ? 3 : 1).fill(written.length - 1 + Number(beyond));
    const run = await decoder.run({
      inputs_embeds: embedded,
      attention_mask: i64(written.map(() => 1)),
      position_ids: new ort.Tensor(
        "int64",
        BigInt64Array.from(positionIds, BigInt),
        grid ? [3, 1, fresh.length] : [1, fresh.length],
      ),
      ...past,
    });
    const logits = (run.logits.data as Float32Array).slice(-(run.logits.dims[2] as number));
    const rules = settingsOf(model.generationConfig, { minNewTokens: outputIds.length });
    for (const process of processorsOf(rules))
      process(logits, { ids: written, startLength: inputs.input_ids.data.length, maxLength: outputIds.length + 1 });
    written.push(indexOfLargest(logits));
    past = Object.fromEntries(
      Object.keys(past).map((input) => [input, run[input.replace("past_key_values", "present")]]),
    );
  }
  expect(written).toEqual(outputIds);
  for (const session of [vision, tokens, decoder]) await session.release();
  model.dispose();
});
