// @ts-check
/**
 * A hundred training steps of a GPT on the CPU and on the card, in f32 and with products in f16: the losses of both.
 */
import { GPT2LMHeadModel } from "../../../dist/models/index.js";
import { AdamW } from "../../../dist/optim/index.js";
import { Device } from "../../../dist/runtime/index.js";
import { randomKey, setDefaultDevice, tensor } from "../../../dist/tensor/index.js";
import { compileTrainStep, languageModel } from "../../../dist/train/index.js";
import { isSmallest, provider, report, textOf } from "./part.mjs";

const STEPS = isSmallest ? 3 : 100;
const [vocabSize, batch, context] = [65, 8, isSmallest ? 8 : 32];
const config = {
  vocabSize,
  hiddenSize: 64,
  numHeads: 4,
  numLayers: isSmallest ? 1 : 4,
  maxPositionEmbeddings: context,
  // random numbers are drawn on the CPU, which would be most of a step so small; random programs cover them
  embeddingDropout: 0,
  attentionDropout: 0,
  residualDropout: 0,
};
const REPORT_EVERY = 10;

/** Text that can be learned: each row counts on from another place, in steps of its own. @param {number} step */
function batchOf(step) {
  const ids = (/** @type {number} */ shift) =>
    tensor(
      Int32Array.from({ length: batch * context }, (_, i) => {
        const row = Math.floor(i / context);
        return (step * 7 + row * 13 + ((i % context) + shift) * (1 + (row % 3))) % vocabSize;
      }),
      { shape: [batch, context] },
    );
  return /** @type {const} */ ([ids(0), ids(1)]);
}

/**
 * @param {"cpu" | "webgpu" | "cuda"} type
 * @param {"f32" | "f16"} precision
 * @param {(losses: readonly number[], seconds: number) => void} progress told now and then
 */
async function train(type, precision, progress) {
  const start = performance.now();
  const device = new Device({ type });
  setDefaultDevice(device);
  const model = new GPT2LMHeadModel(config, randomKey(1));
  const optimizer = new AdamW(model.namedParameters(), {});
  const step = compileTrainStep(languageModel(model), optimizer, { clipNorm: 1, key: randomKey(2), precision });
  /** @type {number[]} */
  const losses = [];
  const tell = () => progress(losses, (performance.now() - start) / 1000);
  try {
    for (let i = 0; i < STEPS; i++) {
      const [inputIds, shiftLabels] = batchOf(i);
      losses.push(await step({ inputIds, shiftLabels }, 3e-3, tensor(i, { dtype: "i32" })).loss.item());
      if (losses.length === 1 || losses.length % REPORT_EVERY === 0) tell();
    }
    tell();
    return undefined;
  } catch (cause) {
    tell();
    return textOf(cause);
  } finally {
    setDefaultDevice(undefined);
    await device.close();
  }
}

/** @type {readonly number[]} */
let expected = [];
/** @type {Record<string, unknown>} */
const result = { steps: STEPS };
await train("cpu", "f32", (losses, seconds) => {
  expected = losses;
  result.cpu = { first: losses[0], last: losses.at(-1), steps: losses.length, seconds };
  report(result);
});
for (const precision of /** @type {const} */ (["f32", "f16"])) {
  /** @type {object} */
  let reached = { steps: 0 };
  const failure = await train(provider, precision, (losses, seconds) => {
    const differences = losses.map((loss, i) => Math.abs(loss - expected[i]) / expected[i]);
    reached = {
      first: losses[0],
      last: losses.at(-1),
      steps: losses.length,
      seconds,
      largestOfTenSteps: Math.max(...differences.slice(0, 10)),
      largest: Math.max(...differences),
    };
    result[precision] = reached;
    report(result);
  });
  result[precision] = { ...reached, failure };
  report(result);
}
report({ ...result, isComplete: true });
