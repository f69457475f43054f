// @ts-check
/**
 * Fine-tuning beside PyTorch with transformers and peft, by turns in one run: LoRA, QLoRA and all of SmolLM2-135M, a
 * classifier of MiniLM's size, a ResNet. Tokens (or pictures) a second, peak memory, and ratios. Then what the trainer
 * adds to the bare compiled step, and how long the device waits for data.
 *
 *     npm run bench -- finetune [full lora qlora bert cnn trainer] [--smallest]
 *
 * Each side is a process of its own for each case, with the same model by its config, batches, optimizer and threads.
 * PyTorch's QLoRA needs bitsandbytes, which has no 4 bits on many CPUs: where it is not there, the peer is peft's LoRA
 * on a base in bf16.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { AdamW, constantSchedule } from "../dist/optim/index.js";
import { Device } from "../dist/runtime/index.js";
import { randomKey, setDefaultDevice, tensor } from "../dist/tensor/index.js";
import { compileTrainStep, train } from "../dist/train/index.js";
import { cases, openCase, smallest } from "./finetune-cases.mjs";
import { benchFolder, finetunePython, isSmallest, median, torchEnvironment } from "./torch-python.mjs";

const self = fileURLToPath(import.meta.url);
const THREADS = 2;
const [ROUNDS, STEPS, TRAINER_STEPS] = isSmallest ? [1, 1, 4] : [3, 3, 40];
const table = isSmallest ? smallest : cases;
const LEARNING_RATE = 1e-4;
/** Threads of the one wait busily for a while after a step: the other must not be measured meanwhile. */
const pause = () => new Promise((resolve) => setTimeout(resolve, isSmallest ? 0 : 400));

/** Peak of this process's resident memory, in bytes. */
const peakBytes = () => 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);

/** Answers "step N" and "memory", as torch/finetune.py does. @param {string} name */
async function child(name) {
  setDefaultDevice(new Device({ threads: THREADS }));
  const { objective, batch } = await openCase(table[name]);
  const optimizer = new AdamW(objective.trained, { weightDecay: 0.01 });
  const step = compileTrainStep(objective, optimizer, { clipNorm: 1, key: randomKey(0) }); // with the config's dropout
  const answer = (/** @type {object} */ value) => console.log(JSON.stringify(value));
  answer({ ready: true });
  let done = 0;
  for await (const line of createInterface({ input: process.stdin })) {
    const [word, count] = line.split(" ");
    if (word === "quit") break;
    if (word === "memory") answer({ peakRssBytes: peakBytes() });
    if (word !== "step") continue;
    const [times, losses] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])];
    for (let i = 0; i < Number(count); i++) {
      const inputs = batch(done);
      const started = performance.now();
      losses.push(await step(inputs, LEARNING_RATE, tensor(done++, { dtype: "i32" })).loss.item());
      times.push(performance.now() - started);
    }
    answer({ times_ms: times, losses });
  }
  process.exit(0);
}

/** A process that answers. @param {string} program @param {string[]} args */
async function start(program, args) {
  const process = spawn(program, args, { env: torchEnvironment, stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value } = await lines.next();
    if (value === undefined) throw new Error(`${program} ${args.join(" ")} has stopped`);
    return JSON.parse(value);
  };
  const ask = (/** @type {string} */ request) => {
    process.stdin.write(`${request}\n`);
    return next();
  };
  return { first: await next(), ask, end: () => process.stdin.end("quit\n") };
}

/** @param {string} name */
async function compare(name) {
  const { way, batchSize, length } = table[name];
  const smallestFlag = isSmallest ? ["--smallest"] : [];
  const python = [join(benchFolder, "torch", "finetune.py"), name, ...smallestFlag];
  const ours = await start(process.execPath, [self, "--child", name, ...smallestFlag]);
  const theirs = await start(finetunePython(), python);
  const sides = [
    { name: "kindling", side: ours, times: /** @type {number[]} */ ([]), peak: 0 },
    { name: theirs.first.name, side: theirs, times: /** @type {number[]} */ ([]), peak: 0 },
  ];
  for (const { side } of sides) await side.ask("step 1"); // compiles, and makes the optimizer's state
  for (let round = 0; round < ROUNDS; round++)
    for (const { side, times } of sides) {
      await pause();
      // while the other side had its turn, memory was given back: training does not stop between steps
      times.push(...(await side.ask(`step ${1 + STEPS}`)).times_ms.slice(1));
    }
  for (const each of sides) {
    each.peak = (await each.side.ask("memory")).peakRssBytes;
    each.side.end();
  }
  const items = name === "cnn" ? batchSize : batchSize * length;
  const unit = name === "cnn" ? "pictures/s" : "tokens/s";
  const [rates, peaks] = [sides.map(({ times }) => (1000 * items) / median(times)), sides.map(({ peak }) => peak)];
  sides.forEach(({ name: side }, i) => {
    const numbers = `${rates[i].toFixed(1).padStart(9)} ${unit}, peak ${(peaks[i] / 2 ** 20).toFixed(0)} MiB`;
    console.log(`${`${name} (${way}) ${batchSize} x ${length}`.padEnd(24)} ${side.padEnd(24)} ${numbers}`);
  });
  const [speed, memory] = [rates[0] / rates[1], peaks[0] / peaks[1]].map((ratio) => ratio.toFixed(2));
  console.log(`${"".padEnd(24)} ${speed}x its speed, ${memory}x its memory`);
}

/** What `train` adds to the compiled step that it runs: the two by turns, in one process. */
async function trainerOverhead() {
  setDefaultDevice(new Device({ threads: THREADS }));
  const of = isSmallest ? smallest.bert : cases.bert;
  const { objective, batch } = await openCase(of);
  const optimizer = new AdamW(objective.trained);
  const step = compileTrainStep(objective, optimizer, { clipNorm: 1, key: randomKey(0) });
  const schedule = constantSchedule(LEARNING_RATE);
  const [bare, trained, waits] = [[], [], []].map((list) => /** @type {number[]} */ (list));
  const trainData = { batch: async (/** @type {number} */ i) => batch(i) };
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i <= TRAINER_STEPS / ROUNDS; i++) {
      const inputs = batch(i);
      const started = performance.now();
      await step(inputs, LEARNING_RATE, tensor(i, { dtype: "i32" })).loss.item();
      if (i > 0) bare.push(performance.now() - started);
    }
    const folder = mkdtempSync(join(tmpdir(), "kindling-bench-"));
    let last = 0;
    const steps = Math.ceil(TRAINER_STEPS / ROUNDS) + 1;
    for await (const event of train({ objective, optimizer, schedule, trainData, folder, steps })) {
      if (event.type !== "step") continue;
      const now = performance.now();
      if (last > 0) {
        trained.push(now - last);
        waits.push(event.dataWait);
      }
      last = now;
    }
    rmSync(folder, { recursive: true });
  }
  const added = median(trained) / median(bare) - 1;
  console.log(
    `trainer: ${median(trained).toFixed(1)} ms a step, bare ${median(bare).toFixed(1)} ms: ${(100 * added).toFixed(1)} % more; ` +
      `the device waits for data ${(100 * median(waits)).toFixed(2)} % of the time`,
  );
}

const args = process.argv.slice(2).filter((arg) => arg !== "--smallest");
if (args[0] === "--child") await child(args[1]);
else {
  const names = args.length > 0 ? args : [...Object.keys(table), "trainer"];
  const strange = names.find((name) => name !== "trainer" && !(name in table));
  if (strange) throw new Error(`there is no case ${strange}; there are ${Object.keys(table).join(", ")}, trainer`);
  for (const name of names) await (name === "trainer" ? trainerOverhead() : compare(name));
  process.exit(0);
}
