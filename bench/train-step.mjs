// @ts-check
/**
 * Time and memory of a training step (forward, backward, clip, AdamW) against PyTorch eager f32, interleaved in one run.
 *   npm run bench -- train-step [S M L] [--fused] [--profile]
 */
import { spawn } from "node:child_process";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { GPT2LMHeadModel } from "../dist/models/index.js";
import { AdamW } from "../dist/optim/index.js";
import { Device } from "../dist/runtime/index.js";
import { randomKey, setDefaultDevice, tensor } from "../dist/tensor/index.js";
import { compileTrainStep } from "../dist/train/index.js";
import { benchFolder, median, torchEnvironment, torchPython } from "./torch-python.mjs";

const THREADS = 2;
const sizes = {
  S: { vocab: 65, width: 128, heads: 4, layers: 4, batch: 12, context: 64, steps: 20 },
  M: { vocab: 65, width: 384, heads: 6, layers: 6, batch: 12, context: 256, steps: 2 },
  L: { vocab: 8192, width: 512, heads: 8, layers: 8, batch: 4, context: 512, steps: 1 },
};
const ROUNDS = 7;
/** Threads of the one wait busily for a while after a step: the other must not be measured meanwhile. */
const PAUSE_MS = 400;
const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE_MS));

/** @typedef {(typeof sizes)["S"]} Size */

/** @param {Size} size @param {string} optimizer */
async function startTorch(size, optimizer) {
  const { steps: _, ...shape } = size;
  const args = Object.entries({ ...shape, optimizer, threads: THREADS }).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = spawn(torchPython(), [join(benchFolder, "torch", "train_step.py"), ...args], { env: torchEnvironment, stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value);
  const ready = await next();
  /** @param {string} request */
  const ask = (request) => {
    child.stdin.write(`${request}\n`);
    return next();
  };
  return { ready, ask, quit: () => child.stdin.end("quit\n") };
}

/** @param {Size} size */
function startKindling({ vocab, width, heads, layers, batch, context }) {
  const none = { embeddingDropout: 0, attentionDropout: 0, residualDropout: 0 };
  const model = new GPT2LMHeadModel(
    { vocabSize: vocab, hiddenSize: width, numHeads: heads, numLayers: layers, maxPositionEmbeddings: context, ...none },
    randomKey(0),
  );
  const optimizer = new AdamW(model.namedParameters(), { betas: [0.9, 0.95], weightDecay: 0.1 });
  const step = compileTrainStep(model, optimizer, { clipNorm: 1 });
  let count = 0;
  const ids = () =>
    tensor(
      Int32Array.from({ length: batch * context }, () => Math.floor(Math.random() * vocab)),
      { shape: [batch, context] },
    );
  const overheads = /** @type {number[]} */ ([]);
  /** @param {number} steps */
  const run = async (steps) => {
    const times = [];
    for (let i = 0; i < steps; i++) {
      const [inputs, targets] = [ids(), ids()];
      const started = performance.now();
      const { loss } = await step(inputs, targets, 1e-3, tensor(count++, { dtype: "i32" }));
      await loss.item();
      times.push(performance.now() - started);
      overheads.push(times[i] - step.lastComputeMs);
    }
    return times;
  };
  return { parameters: model.parameterCount(), run, overheads };
}

/** One size in a process of its own, so that peak memory is its own. @param {string} name @param {string} optimizer */
async function measure(name, optimizer) {
  const size = sizes[/** @type {keyof typeof sizes} */ (name)];
  const device = new Device({ threads: THREADS });
  setDefaultDevice(device);
  const torch = await startTorch(size, optimizer);
  const kindling = startKindling(size);
  if (torch.ready.parameters !== kindling.parameters) throw new Error(`${torch.ready.parameters} parameters there, ${kindling.parameters} here`);
  await torch.ask("step 2");
  const started = performance.now();
  await kindling.run(1);
  const firstStepMs = performance.now() - started;
  await kindling.run(1);
  kindling.overheads.length = 0;
  const ours = [];
  const theirs = [];
  const ratios = [];
  for (let round = 0; round < ROUNDS; round++) {
    const a = median((await torch.ask(`step ${size.steps}`)).times_ms);
    await pause();
    const b = median(await kindling.run(size.steps));
    await pause();
    theirs.push(a);
    ours.push(b);
    ratios.push(a / b);
  }
  const { peakRssBytes } = await torch.ask("memory");
  torch.quit();
  const memory = process.resourceUsage().maxRSS * 1024;
  await device.close();
  return {
    ours: median(ours),
    theirs: median(theirs),
    ratio: median(ratios),
    memoryRatio: memory / peakRssBytes,
    memory,
    peakRssBytes,
    firstStepMs,
    overhead: median(kindling.overheads),
    torch: torch.ready.torch,
  };
}

const args = process.argv.slice(2);
const names = args.filter((name) => name in sizes);
const optimizer = args.includes("--fused") ? "fused" : "default";
if (names.length === 1) {
  const r = await measure(names[0], optimizer);
  const mb = (/** @type {number} */ bytes) => (bytes / 1e6).toFixed(0);
  console.log(
    `| ${names[0]} | ${r.ours.toFixed(1)} ms | ${r.theirs.toFixed(1)} ms | ${r.ratio.toFixed(2)}x | ${mb(r.memory)} / ${mb(r.peakRssBytes)} MB = ${r.memoryRatio.toFixed(2)}x | ${r.overhead.toFixed(2)} ms | ${(r.firstStepMs / 1000).toFixed(1)} s |`,
  );
} else {
  console.log(
    `${cpus()[0].model.trim()}, ${availableParallelism()} cores, ${THREADS} threads each, f32, PyTorch with ${optimizer} AdamW; medians of ${ROUNDS} interleaved rounds`,
  );
  console.log("| size | Kindling | PyTorch eager | speed, PyTorch / Kindling | peak memory | around the run | first step |");
  console.log("| --- | --- | --- | --- | --- | --- | --- |");
  for (const name of names.length > 0 ? names : Object.keys(sizes)) {
    const child = spawn(process.execPath, [process.argv[1], name, ...args.filter((arg) => arg.startsWith("--"))], { stdio: "inherit" });
    await new Promise((resolve) => child.on("close", resolve));
  }
}
