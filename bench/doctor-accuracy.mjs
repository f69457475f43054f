// @ts-check
/**
 * What `kindling doctor` says of memory, against the resident peak of processes that train, on three cases: all of a
 * model of GPT-2's size, LoRA on SmolLM2-135M, and a classifier of MiniLM's size. Exits with 1 where one is off by more
 * than 15 %. Memory can be measured on a busy machine.
 *
 *     npm run bench -- doctor-accuracy [full lora classifier] [--smallest]
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { estimateTraining } from "../dist/advise/index.js";
import { AdamW } from "../dist/optim/index.js";
import { tensor } from "../dist/tensor/index.js";
import { compileTrainStep } from "../dist/train/index.js";
import { configs, openCase } from "./finetune-cases.mjs";
import { isSmallest } from "./torch-python.mjs";

const [STEPS, MOST_ERROR] = [3, 0.15];

/** @type {Record<string, { config: keyof typeof configs, way: "full" | "lora", batchSize: number, length: number }>} */
const cases = {
  full: { config: "gpt2", way: "full", batchSize: 1, length: 256 },
  lora: { config: "smollm2", way: "lora", batchSize: 2, length: 256 },
  classifier: { config: "minilm", way: "full", batchSize: 32, length: 128 },
};

/** Trains a few steps. @param {string} name */
async function train(name) {
  const { objective, batch } = await openCase(cases[name]);
  const optimizer = new AdamW(objective.trained);
  const step = compileTrainStep(objective, optimizer, { clipNorm: 1 });
  for (let i = 0; i < STEPS; i++) await step(batch(i), 1e-4, tensor(i, { dtype: "i32" })).loss.item();
  const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  console.log(JSON.stringify({ peak: 1024 * Number(kilobytes) }));
  process.exit(0);
}

/** @param {string[]} names */
async function compare(names) {
  for (const name of names) {
    const { config, ...form } = cases[name];
    const { totalBytes } = await estimateTraining({ name, json: configs[config].json }, form);
    const output = execFileSync(process.execPath, [fileURLToPath(import.meta.url), "--child", name], {
      encoding: "utf8",
    });
    const { peak } = JSON.parse(output.trim().split("\n").at(-1) ?? "");
    const error = totalBytes / peak - 1;
    const [estimated, measured] = [totalBytes, peak].map((bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`);
    const size = `${form.way}, ${form.batchSize} x ${form.length}`;
    console.log(
      `${config.padEnd(8)} ${size.padEnd(16)} estimated ${estimated}, measured ${measured}: ${(100 * error).toFixed(1)} %`,
    );
    if (Math.abs(error) > MOST_ERROR) process.exitCode = 1;
  }
}

const args = process.argv.slice(2).filter((arg) => arg !== "--smallest");
if (args[0] === "--child") await train(args[1]);
else await compare(args.length > 0 ? args : isSmallest ? ["classifier"] : Object.keys(cases));
