// @ts-check
/**
 * A hundred training steps of a GPT on the CPU and on the card, in f32 and with products in f16: the losses of both.
 * Then some with dropout, whose masks are the same on both.
 */
import { GPT2LMHeadModel } from "../../../dist/models/index.js";
import { AdamW } from "../../../dist/optim/index.js";
import { Device } from "../../../dist/runtime/index.js";
import { randomKey, setDefaultDevice, tensor } from "../../../dist/tensor/index.js";
import { compileTrainStep, languageModel } from "../../../dist/train/index.js";
import { isSmallest, median, provider, report, textOf } from "./part.mjs";

const STEPS = isSmallest ? 3 : 100;
const DROPOUT_STEPS = isSmallest ? 2 : 20;
const [vocabSize, context] = [65, isSmallest ? 8 : 32];

/** @param {number} dropout */
const configOf = (dropout) => ({
  vocabSize,
  hiddenSize: 64,
  numHeads: 4,
  numLayers: isSmallest ? 1 : 4,
  maxPositionEmbeddings: context,
  embeddingDropout: dropout,
  attentionDropout: dropout,
  residualDropout: dropout,
});
const REPORT_EVERY = 10;

/**
 * Text that can be learned: each row counts on from another place, in steps of its own.
 * @param {number} step @param {number} batch
 */
function batchOf(step, batch) {
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

/** @typedef {{ name: string, precision: "f32" | "f16", steps: number, batch: number, dropout: number }} Run */
const plain = { steps: STEPS, batch: 8, dropout: 0 };
/** Masks of attention with 65,536 numbers, which are drawn on the card, and of half as many, which are not. */
const dropped = { steps: DROPOUT_STEPS, batch: isSmallest ? 2 : 16, dropout: 0.1 };
/** @type {readonly Run[]} */
const runs = [
  { name: "f32", precision: "f32", ...plain },
  { name: "f16", precision: "f16", ...plain },
  { name: "f32, dropout", precision: "f32", ...dropped },
];

/**
 * @param {"cpu" | "webgpu" | "cuda"} type
 * @param {Omit<Run, "name">} run
 * @param {(losses: readonly number[], seconds: number, stepMs: number) => void} progress told now and then
 */
async function train(type, { precision, steps, batch, dropout }, progress) {
  const start = performance.now();
  const device = new Device({ type });
  setDefaultDevice(device);
  const model = new GPT2LMHeadModel(configOf(dropout), randomKey(1));
  const optimizer = new AdamW(model.namedParameters(), {});
  const step = compileTrainStep(languageModel(model), optimizer, { clipNorm: 1, key: randomKey(2), precision });
  /** @type {number[]} */
  const losses = [];
  /** @type {number[]} */
  const times = [];
  const tell = () => progress(losses, (performance.now() - start) / 1000, median(times));
  try {
    for (let i = 0; i < steps; i++) {
      const [inputIds, shiftLabels] = batchOf(i, batch);
      const begun = performance.now();
      losses.push(await step({ inputIds, shiftLabels }, 3e-3, tensor(i, { dtype: "i32" })).loss.item());
      times.push(performance.now() - begun);
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

/** @type {Record<string, unknown>} */
const result = { steps: STEPS };
/** The CPU's losses in f32, by whether there is dropout. @type {Map<number, readonly number[]>} */
const expected = new Map();
for (const { dropout, steps, batch } of [plain, dropped]) {
  await train("cpu", { precision: "f32", dropout, steps, batch }, (losses, seconds) => {
    expected.set(dropout, losses);
    if (dropout === 0) result.cpu = { first: losses[0], last: losses.at(-1), steps: losses.length, seconds };
    report(result);
  });
}
for (const { name, ...run } of runs) {
  /** @type {object} */
  let reached = { steps: 0 };
  const failure = await train(provider, run, (losses, seconds, stepMs) => {
    const wanted = expected.get(run.dropout) ?? [];
    const differences = losses.map((loss, i) => Math.abs(loss - wanted[i]) / wanted[i]);
    reached = {
      first: losses[0],
      last: losses.at(-1),
      steps: losses.length,
      seconds,
      stepMs,
      largestOfTenSteps: Math.max(...differences.slice(0, 10)),
      largest: Math.max(...differences),
    };
    result[name] = reached;
    report(result);
  });
  result[name] = { ...reached, failure };
  report(result);
}
report({ ...result, isComplete: true });
