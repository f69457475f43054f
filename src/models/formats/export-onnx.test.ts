/** Exported models in plain ONNX Runtime: the outputs that transformers has for the models they come from. */
import { readdirSync } from "node:fs";
import { copyFile, mkdtemp, readdir as readdirLater, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as ort from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readJson } from "../../files/index.ts";
import { expectClose } from "../../testing/close.ts";
import { goldenModels, isCounted, readGoldenModel } from "../../testing/golden-model.ts";
import { type CausalLM, exportModel, fromPretrained, type PretrainedModel } from "../index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

const i64 = (values: readonly number[], shape: readonly number[]) =>
  new ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape as number[]);
type Packed = { dtype: string; shape: number[]; data: number[] };
const fed = ({ dtype, shape, data }: Packed) =>
  dtype === "f32" ? new ort.Tensor("float32", Float32Array.from(data), shape) : i64(data, shape);

/** Those whose decoders read images in a text, or whose runs have inputs that a file has no place for. */
const others = /^(llava|qwen2-vl|classic)/;
const only = process.env.KINDLING_MODELS?.split(",");
const names = readdirSync(goldenModels).filter(
  (name) => !others.test(name) && (!only || only.some((part) => name.startsWith(part))),
);

describe.each(names)("%s", (name) => {
  test("runs in ONNX Runtime", async () => {
    const { folder: source, runs } = await readGoldenModel(name);
    const model = await fromPretrained(source);
    const [{ inputs, outputs }] = runs;
    const size = (inputs.pixel_values?.shape.slice(2) ?? undefined) as [number, number] | undefined;
    const files = await exportModel(model, folder, { imageSize: size, externalData: name.length % 2 === 0 });
    const sessions = await Promise.all(
      files.map((file) => ort.InferenceSession.create(join(folder, file), { logSeverityLevel: 3 })),
    );
    const feedsOf = (session: ort.InferenceSession, more: Record<string, ort.Tensor> = {}) =>
      Object.fromEntries(session.inputNames.map((input) => [input, more[input] ?? feed(input, inputs)]));
    let results = await sessions[0].run(feedsOf(sessions[0]));
    if (sessions.length === 3) {
      const decoder: Record<string, ort.Tensor> = { encoder_hidden_states: results.last_hidden_state };
      const written = inputs.decoder_input_ids ?? inputs.input_ids;
      if (inputs.input_ids && !inputs.pixel_values) decoder.encoder_attention_mask = feed("attention_mask", inputs);
      results = {
        ...(await sessions[1].run(feedsOf(sessions[1], { ...decoder, input_ids: fed(written) }))),
        encoder_last_hidden_state: results.last_hidden_state,
      };
    }
    let compared = 0;
    for (const [path, expected] of Object.entries(outputs)) {
      const output = results[path];
      if (!output) continue;
      expect([path, output.dims]).toEqual([path, expected.shape]);
      const counts = isCounted(inputs, expected.shape);
      expectClose(
        path,
        Float32Array.from(output.data as Float32Array).filter(counts),
        expected.data.filter(counts),
        1e-4,
      );
      compared++;
    }
    expect(compared).toBeGreaterThan(0);
    for (const session of sessions) await session.release();
    await expectReadBack(model, source);
    model.dispose();
  });
});

/** The files that were written hold the model: its config and they are enough to make it again. */
async function expectReadBack(model: PretrainedModel, source: string): Promise<void> {
  await copyFile(join(source, "config.json"), join(folder, "config.json"));
  const again = await fromPretrained(folder);
  const stored = again.namedParameters();
  const other: string[] = [];
  for (const [name, parameter] of model.namedParameters()) {
    const [actual, expected] = await Promise.all([stored.get(name), parameter].map((each) => each?.value.read()));
    if (actual === undefined || Buffer.compare(bytesOf(actual), bytesOf(expected as Float32Array)) !== 0)
      other.push(name);
  }
  // what a task has no use for is not in its files
  expect(
    other.filter(
      (name) =>
        !/mask_token$|^vision_model\.head\.|^cls\.predictions\.bias$|^vision_model\.post_layernorm\./.test(name),
    ),
  ).toEqual([]);
  again.dispose();
  for (const file of await readdirLater(folder)) await rm(join(folder, file));
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => Buffer.from(buffer, byteOffset, byteLength);

function feed(input: string, inputs: Record<string, Packed>): ort.Tensor {
  const packed = inputs[input];
  if (packed) return fed(packed);
  const like = inputs.input_ids;
  if (input === "attention_mask" && like)
    return i64(
      like.data.map(() => 1),
      like.shape,
    );
  if (input === "token_type_ids" && like)
    return i64(
      like.data.map(() => 0),
      like.shape,
    );
  if (input === "pixel_mask") {
    const [batch, , ...size] = inputs.pixel_values.shape;
    return i64(new Array<number>(batch * size[0] * size[1]).fill(1), [batch, ...size]);
  }
  throw new Error(`the golden run has no ${input}`);
}

const decoders = fileURLToPath(new URL("../../../golden/decoders/", import.meta.url));
describe.each(readdirSync(decoders).filter((name) => !only || only.some((part) => name.startsWith(part))))(
  "%s",
  (name) => {
    test("generates in ONNX Runtime, with its keys and values", async () => {
      const expected = (await readJson(join(decoders, name, "expected.json"))) as unknown as {
        greedy: { inputIds: number[]; maxNewTokens: number; outputIds: number[] }[];
      };
      const model = (await fromPretrained(join(decoders, name))) as CausalLM;
      const [file] = await exportModel(model, folder);
      const session = await ort.InferenceSession.create(join(folder, file), { logSeverityLevel: 3 });
      for (const { inputIds, maxNewTokens, outputIds } of expected.greedy) {
        const ids = [...inputIds];
        const empty = () =>
          new ort.Tensor("float32", new Float32Array(0), [
            1,
            model.cacheShape.numKeyHeads,
            0,
            model.cacheShape.headDim,
          ]);
        let past = Object.fromEntries(
          session.inputNames.filter((input) => input.startsWith("past")).map((input) => [input, empty() as ort.Tensor]),
        );
        let fresh = ids;
        for (let step = 0; step < maxNewTokens; step++) {
          const { cacheLimit = Number.POSITIVE_INFINITY } = model;
          if (fresh.length === 1 && ids.length === cacheLimit + 1) {
            // longrope: beyond this length all keys are turned otherwise
            fresh = ids;
            past = Object.fromEntries(Object.keys(past).map((input) => [input, empty()]));
          }
          const positions = fresh.map((_, i) => ids.length - fresh.length + i);
          const run = await session.run({
            input_ids: i64(fresh, [1, fresh.length]),
            attention_mask: i64(
              ids.map(() => 1),
              [1, ids.length],
            ),
            position_ids: i64(positions, [1, fresh.length]),
            ...past,
          });
          const logits = run.logits.data as Float32Array;
          const last = logits.subarray(logits.length - model.config.vocabSize);
          ids.push(last.indexOf(Math.max(...last)));
          fresh = ids.slice(-1);
          past = Object.fromEntries(
            Object.keys(past).map((input) => [input, run[input.replace("past_key_values", "present")]]),
          );
        }
        expect(ids).toEqual(outputIds);
      }
      await session.release();
      model.dispose();
    });
  },
);
