// @ts-check
/**
 * What the server adds to each token, with SmolLM2-135M-Instruct (Q4_1): one process writes the same texts for itself
 * and as server-sent events for another on 127.0.0.1, by turns, 1 and 8 streams; and how long its event loop was held
 * up meanwhile.
 *   npm run bench -- overhead [--smallest]
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { serve } from "../dist/serve/index.js";
import { Tokenizer } from "../dist/tokenizers/index.js";
import { streamed } from "./server-process.mjs";
import { modelFile, openKindling, promptOf } from "./smollm.mjs";
import { isSmallest, median } from "./torch-python.mjs";

const [ROUNDS, TOKENS] = isSmallest ? [1, 4] : [7, 96];
const COUNTS = [1, 8];
const self = fileURLToPath(import.meta.url);

/**
 * Milliseconds a token, of all streams together.
 * @param {(prompt: number[]) => AsyncIterable<unknown>} write
 * @param {number} count
 */
async function perToken(write, count) {
  const start = performance.now();
  await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      for await (const _ of write(promptOf(i)));
    }),
  );
  return (performance.now() - start) / (count * TOKENS);
}

/** Milliseconds that the thread of this process has computed so far. */
const computed = () => {
  try {
    return Number(readFileSync("/proc/self/schedstat", "utf8").split(" ")[0]) / 1e6;
  } catch {
    return Number.NaN;
  }
};

/** The process of the model: it serves, and writes for itself when it is told a number of streams. */
async function serving() {
  const file = modelFile();
  const { generator } = await openKindling(file, { contextLength: 2048, maxSequences: Math.max(...COUNTS) });
  const server = await serve({ id: "smollm2", generator, tokenizer: await Tokenizer.open(file) }, { port: 0 });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  let since = 0;
  const options = { temperature: 0, maxNewTokens: TOKENS, stopTokens: [] };
  process.on("message", async (/** @type {number | "watch" | "stop"} */ order) => {
    if (order === "watch") {
      delay.reset();
      delay.enable();
      since = computed();
      process.send?.(true);
    } else if (order === "stop") {
      delay.disable();
      process.send?.([delay.max / 1e6, delay.percentile(99) / 1e6, computed() - since]);
    } else {
      const before = computed();
      const wall = await perToken((prompt) => generator.generate(prompt, options), order);
      process.send?.([wall, (computed() - before) / (order * TOKENS)]);
    }
  });
  process.send?.(server.url);
}

async function compare() {
  const child = fork(self, ["--child", ...process.argv.slice(2)]);
  const answer = async () => (await once(child, "message"))[0];
  const ask = (/** @type {number | "watch" | "stop"} */ order) => {
    const answered = answer();
    child.send(order);
    return answered;
  };
  const url = await answer();
  console.log(
    "| streams | engine alone, ms a token | by HTTP, ms a token | added, ms | of the server's thread | longest block of the event loop, P99, ms |",
  );
  console.log("| --- | --- | --- | --- | --- | --- |");
  for (const count of COUNTS) {
    await ask(count); // compiles
    /** @type {{ alone: number, http: number, thread: number, longest: number, p99: number }[]} */
    const rounds = [];
    for (let round = 0; round < ROUNDS; round++) {
      const [alone, ofThread] = await ask(count);
      await ask("watch");
      const http = await perToken((prompt) => streamed(url, prompt, TOKENS), count);
      const [longest, p99, served] = await ask("stop");
      rounds.push({ alone, http, thread: served / (count * TOKENS) - ofThread, longest, p99 });
    }
    const of = (/** @type {(round: (typeof rounds)[0]) => number} */ value) => median(rounds.map(value)).toFixed(3);
    const added = of(({ alone, http }) => http - alone);
    const blocks = `${Math.max(...rounds.map(({ longest }) => longest)).toFixed(1)}, ${of(({ p99 }) => p99)}`;
    console.log(
      `| ${count} | ${of(({ alone }) => alone)} | ${of(({ http }) => http)} | ${added} | ${of(({ thread }) => thread)} | ${blocks} |`,
    );
  }
  child.kill();
}

if (process.argv.includes("--child")) await serving();
else {
  await compare();
  process.exit();
}
