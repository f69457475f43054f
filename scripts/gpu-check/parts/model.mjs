// @ts-check
/** A real model, as others trained it (magika, a classifier of file types): its answers on the card and on the CPU. */
import { fileURLToPath } from "node:url";
import { loadOnnx } from "../../../dist/onnx/index.js";
import { Device } from "../../../dist/runtime/index.js";
import { compile, setDefaultDevice, tensor } from "../../../dist/tensor/index.js";
import { provider, report } from "./part.mjs";

const file = fileURLToPath(new URL("../../../models/magika.onnx", import.meta.url));
const bytes = Int32Array.from({ length: 2048 }, (_, i) => (i * 37) % 257);

/** @param {"cpu" | typeof provider} type */
async function answerOf(type) {
  const device = new Device({ type });
  setDefaultDevice(device);
  const model = await loadOnnx(file);
  const run = compile((/** @type {any} */ input) => model.forward({ bytes: input }));
  const answers = run(tensor(bytes, { shape: [1, 2048] }));
  const numbers = /** @type {Float32Array} */ (await answers[model.outputs[0].name].read());
  await device.close();
  return numbers;
}

const expected = await answerOf("cpu");
const numbers = await answerOf(provider);
const differences = Array.from(expected, (value, i) => Math.abs(value - numbers[i]));
report({ model: "magika 1.0.3", numbers: numbers.length, largest: Math.max(...differences), isComplete: true });
