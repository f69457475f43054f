// @ts-check
/**
 * From the start of a process to its first token, with SmolLM2-135M-Instruct (Q4_1): `kindling generate`, and
 * `kindling serve` with a request as soon as it is ready, beside llama.cpp (node-llama-cpp) in the same run.
 *   npm run bench -- start [--smallest]
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { program as kindling, startServer, streamed } from "./server-process.mjs";
import { modelFile, openLlama, THREADS } from "./smollm.mjs";
import { isSmallest, median } from "./torch-python.mjs";

const self = fileURLToPath(import.meta.url);
const ROUNDS = isSmallest ? 1 : 5;
const PROMPT = "The capital of France is";
const prompt = [504, 3575, 282, 4649, 314]; // its tokens

/** Milliseconds until a program has written more than so many bytes. @param {string[]} args @param {number} bytes */
function untilWritten(args, bytes) {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    let written = 0;
    /** @type {number | undefined} */
    let time;
    child.stdout.on("data", (data) => {
      written += data.length;
      if (written > bytes) time ??= performance.now() - start;
    });
    child.once("close", (code) => (time === undefined ? reject(new Error(`it ended with ${code}`)) : resolve(time)));
  });
}

/** @param {string} file */
async function untilServed(file) {
  const start = performance.now();
  const { url, close } = await startServer([file, "--threads", String(THREADS)]);
  const ready = performance.now() - start;
  for await (const _ of streamed(url, prompt, 2)) {
    const first = performance.now() - start;
    await close();
    return { ready, first };
  }
  throw new Error("no token came");
}

/** @param {string} path */
async function llama(path) {
  const context = await openLlama(path, { contextSize: 512, sequences: 1, batchSize: 512 });
  for await (const _ of context.getSequence().evaluate(prompt, { temperature: 0, yieldEogToken: true })) break;
  process.stdout.write("first");
}

async function compare() {
  const file = modelFile();
  const options = ["--prompt", PROMPT, "--tokens", "4", "--temperature", "0", "--threads", String(THREADS)];
  /** @type {{ generate: number, serve: number, ready: number, llama: number }[]} */
  const rounds = [];
  for (let round = 0; round < ROUNDS; round++) {
    const generate = await untilWritten([kindling, "generate", file, ...options], PROMPT.length);
    const { ready, first } = await untilServed(file);
    rounds.push({ generate, serve: first, ready, llama: await untilWritten([self, "--child", file], 0) });
  }
  const shown = (/** @type {keyof (typeof rounds)[0]} */ name) => median(rounds.map((round) => round[name])).toFixed(0);
  const ratio = (/** @type {"generate" | "serve"} */ name) =>
    `${median(rounds.map((round) => round.llama / round[name])).toFixed(2)}x`;
  console.log(
    "| from the start of the process to the first token | ms | llama.cpp, ms | ratio (above 1: Kindling is better) |",
  );
  console.log("| --- | --- | --- | --- |");
  console.log(`| kindling generate | ${shown("generate")} | ${shown("llama")} | ${ratio("generate")} |`);
  console.log(
    `| kindling serve, ready after ${shown("ready")} ms | ${shown("serve")} | ${shown("llama")} | ${ratio("serve")} |`,
  );
}

if (process.argv.includes("--child")) await llama(process.argv[process.argv.indexOf("--child") + 1]);
else await compare();
process.exit();
