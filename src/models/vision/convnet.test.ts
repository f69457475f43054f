/** The small convolutional network against the same one in PyTorch. */
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { compile, grad, randomKey, type Tensor, tensor } from "../../tensor/index.ts";
import { expectClose } from "../../testing/close.ts";
import { ConvNetForImageClassification, fromPretrained, savePretrained } from "../index.ts";

interface Packed {
  [name: string]: { shape: number[]; data: number[] };
}
const path = new URL("../../../golden/methods-vision.json", import.meta.url);
const golden = JSON.parse(readFileSync(path, "utf8")).convnet as {
  weights: Packed;
  images: number[];
  labels: number[];
  logits: number[];
  loss: number;
  gradients: Packed;
  runningMean: number[];
};
const config = { numChannels: 1, hiddenSizes: [2, 3], depths: [1, 1], labels: ["a", "b"] };
const pixelValues = tensor(Float32Array.from(golden.images), { shape: [3, 1, 8, 8] });
const TOLERANCE = 1e-5;

function model(): ConvNetForImageClassification {
  const network = new ConvNetForImageClassification(config, randomKey(0));
  const state = network.namedState();
  expect([...state.keys()].sort()).toEqual(Object.keys(golden.weights).sort());
  for (const [name, { data }] of Object.entries(golden.weights)) state.get(name)?.set(Float32Array.from(data));
  return network;
}

test("outputs, loss, gradients and the running mean are PyTorch's", async () => {
  const network = model();
  expectClose("logits", await network.forward({ pixelValues }).logits.read(), golden.logits, TOLERANCE);
  const parameters = [...network.namedParameters()];
  const labels = tensor(golden.labels, { dtype: "i32" });
  const step = compile((inputs: { pixelValues: Tensor<"f32">; labels: Tensor<"i32"> }) => {
    const loss = network.loss({ ...inputs, isTraining: true });
    return { loss, gradients: grad(loss, parameters.map(([, parameter]) => parameter)) }; // biome-ignore format: a line
  });
  const { loss, gradients } = await step({ pixelValues, labels } as never);
  expectClose("loss", [await loss.item()], [golden.loss], TOLERANCE);
  for (const [i, [name]] of parameters.entries())
    expectClose(name, await gradients[i].read(), golden.gradients[name].data, TOLERANCE);
  const mean = await network.namedState().get("convnet.stages.0.layers.0.normalization.running_mean")?.read();
  expectClose("running mean", mean as Float32Array, golden.runningMean, TOLERANCE);
  step.dispose();
  network.dispose();
});

test("is saved and opened again; grey models average the channels of pictures", async () => {
  const network = model();
  const folder = await mkdtemp(join(tmpdir(), "kindling-convnet-"));
  await savePretrained(network, folder);
  const again = await fromPretrained(folder, { task: "image-classification", strict: true });
  const three = tensor(
    Float32Array.from({ length: 3 * 192 }, (_, i) => golden.images[64 * Math.floor(i / 192) + (i % 64)]),
    { shape: [3, 3, 8, 8] },
  );
  expectClose("logits", await again.forward({ pixelValues: three }).logits.read(), golden.logits, TOLERANCE);
  await rm(folder, { recursive: true });
});

test("norms of single pictures do not know their batch", async () => {
  const network = new ConvNetForImageClassification({ ...config, normType: "layer" }, randomKey(1));
  const all = await network.forward({ pixelValues, isTraining: true }).logits.read();
  const one = tensor(Float32Array.from(golden.images.slice(0, 64)), { shape: [1, 1, 8, 8] });
  expectClose("first", await network.forward({ pixelValues: one }).logits.read(), all.slice(0, 2), TOLERANCE);
  expect(() => new ConvNetForImageClassification({ ...config, depths: [1] }, randomKey(1))).toThrow("as many depths");
  expect(() => new ConvNetForImageClassification({ ...config, kernelSize: 4 }, randomKey(1))).toThrow("odd");
});
