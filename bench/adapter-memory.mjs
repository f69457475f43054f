// @ts-check
/**
 * Peak resident memory of training SmolLM2-135M: full fine-tuning, LoRA (rank 16 on all linear layers) and QLoRA (the
 * same, with the base in blocks of 4 bits), each in a process of its own, with the same batches. QLoRA computes what is
 * inside of layers again for the gradient, as a config with such a base does by default; "qlora-kept" keeps it, and
 * "qlora-chunks" has a part of the vocabulary at a time besides.
 *
 *     node bench/adapter-memory.mjs [BATCHxLENGTH] [path of the GGUF file]
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { fromPretrained } from "../dist/models/index.js";
import { AdamW } from "../dist/optim/index.js";
import { applyAdapter, newAdapter } from "../dist/peft/index.js";
import { Device } from "../dist/runtime/index.js";
import { randomKey, setDefaultDevice, tensor } from "../dist/tensor/index.js";
import { compileTrainStep, languageModel } from "../dist/train/index.js";
import { modelFile, THREADS } from "./smollm.mjs";

const STEPS = 3;
/** How the base is opened for each way of training. */
const ways = {
  full: { weights: "f32" },
  lora: { weights: "f32" },
  qlora: { weights: "blocks", activations: "f32" },
  "qlora-kept": { weights: "blocks", activations: "f32" },
  "qlora-chunks": { weights: "blocks", activations: "f32" },
};
/** @typedef {keyof typeof ways} Way */
const [size = "4x256", path = modelFile(), way] = process.argv.slice(2);

/** @param {Way} way */
async function train(way) {
  const [batch, length] = size.split("x").map(Number);
  setDefaultDevice(new Device({ threads: THREADS }));
  const options = /** @type {{ weights: "f32" | "blocks" }} */ (ways[way]);
  const model = await fromPretrained(path, { task: "causal-lm", ...options });
  const objective = languageModel(model, way === "qlora-chunks" ? { lossChunk: 2048 } : {});
  let { trained } = objective;
  if (way !== "full") {
    const adapter = await newAdapter(model, { rank: 16, targetModules: "all-linear" }, randomKey(0));
    trained = applyAdapter(model, adapter, { onWarning: () => {} }).parameters;
  }
  const optimizer = new AdamW(trained);
  const checkpointActivations = way === "qlora" || way === "qlora-chunks";
  const step = compileTrainStep(objective, optimizer, { clipNorm: 1, checkpointActivations });
  const { vocabSize } = model.config;
  let loss = Number.NaN;
  const opened = resident();
  let seconds = 0;
  for (let i = 0; i < STEPS; i++) {
    const ids = Int32Array.from({ length: batch * length }, (_, at) => (at * 7919 + i * 104729) % vocabSize);
    const inputIds = tensor(ids, { shape: [batch, length] });
    const started = performance.now();
    ({ loss } = { loss: await step({ inputIds, labels: inputIds }, 1e-4, tensor(i, { dtype: "i32" })).loss.item() });
    seconds = (performance.now() - started) / 1000;
  }
  const trainedCount = [...trained.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  console.log(JSON.stringify({ way, trainedCount, opened, peak: peak(), loss, seconds }));
}

const field = (/** @type {string} */ name) =>
  Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024;
/** Megabytes in memory now, and at most. */
const resident = () => field("VmRSS");
const peak = () => field("VmHWM");

if (way) await train(/** @type {Way} */ (way));
else {
  const peaks = new Map();
  for (const way of Object.keys(ways)) {
    const line = execFileSync(process.execPath, [fileURLToPath(import.meta.url), size, path, way], {
      encoding: "utf8",
    });
    const { peak, opened, trainedCount, loss, seconds } = JSON.parse(line.trim().split("\n").at(-1) ?? "");
    peaks.set(way, peak);
    const ratio = (peak / (peaks.get("full") ?? peak)).toFixed(2);
    console.log(
      `${way.padEnd(12)} peak ${peak.toFixed(0)} MB (${ratio} of full), ${opened.toFixed(0)} MB when opened, ` +
        `${trainedCount} numbers trained, loss ${loss.toFixed(4)}, last step ${seconds.toFixed(1)} s`,
    );
  }
}
