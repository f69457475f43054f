// @ts-check
/**
 * Several texts at once by a real model of 135 M parameters in 4 bits (SmolLM2-135M-Instruct, Q4_1), against llama.cpp
 * (node-llama-cpp) in the same run: tokens a second of 1 and 8 streams, reading a prompt of 512 tokens, and the first
 * token of a prompt whose beginning was read before.
 *   npm run bench -- streams [--smallest] [--source]
 * With --source beside llama.cpp built here from its source, for this processor, too.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { child, modelFile, openKindling, openLlama, promptOf, residentBytes, THREADS } from "./smollm.mjs";
import { benchFolder, isSmallest, llamaPython, median, torchEnvironment } from "./torch-python.mjs";

const self = fileURLToPath(import.meta.url);
const [ROUNDS, TOKENS, PROMPT, SHARED] = isSmallest ? [1, 4, 24, 16] : [3, 48, 512, 400];
const STREAMS = 8;
const [program, path = ""] = process.argv.slice(process.argv.indexOf("--child") + 1);

/**
 * @typedef {object} Program
 * @property {(prompt: number[]) => AsyncIterable<unknown>} write a stream of its own for each call
 */

/**
 * Milliseconds until the first token, and from it to the last.
 * @param {AsyncIterable<unknown>} tokens
 * @param {number} count
 */
async function timesOf(tokens, count) {
  const start = performance.now();
  let first = 0;
  let left = count;
  for await (const _ of tokens) {
    first ||= performance.now() - start;
    if (--left === 0) break;
  }
  return { first, rest: performance.now() - start - first };
}

/** @param {Program} program */
async function measure({ write }) {
  await timesOf(write(promptOf(1)), isSmallest ? 4 : 100); // compiles, after 64 tokens what single ones are faster by
  await Promise.all(Array.from({ length: STREAMS }, (_, i) => timesOf(write(promptOf(i + 20)), 4)));
  const one = await timesOf(write(promptOf(2)), TOKENS);
  const start = performance.now();
  await Promise.all(Array.from({ length: STREAMS }, (_, i) => timesOf(write(promptOf(i + 40)), TOKENS)));
  const many = performance.now() - start;
  await timesOf(write(promptOf(3, PROMPT)), 1); // by now all that it needs is compiled
  const long = await timesOf(write(promptOf(4, PROMPT)), 1);
  const shared = await timesOf(write([...promptOf(4, SHARED), ...promptOf(5, 12)]), 1);
  return {
    oneStream: (1000 * (TOKENS - 1)) / one.rest,
    manyStreams: (1000 * STREAMS * TOKENS) / many,
    prefill: (1000 * PROMPT) / long.first,
    firstToken: long.first,
    sharedFirstToken: shared.first,
    residentMiB: residentBytes() / 2 ** 20,
  };
}

async function kindling() {
  const { generator } = await openKindling(path, { contextLength: 2048, maxSequences: STREAMS });
  const options = { temperature: 0, maxNewTokens: 128, stopTokens: [] };
  return measure({ write: (prompt) => generator.generate(prompt, options) });
}

async function llama() {
  const context = await openLlama(path, { contextSize: 1024, sequences: STREAMS, batchSize: 512 });
  const free = Array.from({ length: STREAMS }, () => context.getSequence());
  return measure({
    async *write(prompt) {
      const sequence = free.pop();
      try {
        // the beginning that it shares with what the sequence has stays
        const { firstDifferentIndex = 0 } = (await sequence.compareContextTokens?.(prompt)) ?? {};
        const kept = Math.min(firstDifferentIndex, prompt.length - 1);
        await sequence.eraseContextTokenRanges([{ start: kept, end: sequence.nextTokenIndex }]);
        yield* sequence.evaluate(prompt.slice(kept), { temperature: 0, yieldEogToken: true });
      } finally {
        free.push(sequence);
      }
    },
  });
}

/** What llama.cpp from source takes, where it is asked for. @param {string} file */
function sourceLlama(file) {
  const sizes = { threads: THREADS, streams: STREAMS, tokens: TOKENS, prompt: PROMPT };
  const options = Object.entries(sizes).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const args = [join(benchFolder, "llama", "streams.py"), file, ...options];
  return JSON.parse(execFileSync(llamaPython(), args, { encoding: "utf8", env: torchEnvironment }));
}

function compare() {
  const file = modelFile();
  /** @type {Record<string, number>[]} */
  const fromSource = [];
  /** @type {Record<string, Awaited<ReturnType<typeof measure>>[]>} */
  const results = { kindling: [], llama: [] };
  for (let round = 0; round < ROUNDS; round++)
    for (const name of ["kindling", "llama"])
      results[name].push(child(self, [name, file, ...(isSmallest ? ["--smallest"] : [])]));
  if (process.argv.includes("--source"))
    for (let round = 0; round < ROUNDS; round++) fromSource.push(sourceLlama(file));
  const rows = /** @type {const} */ ([
    ["oneStream", "1 stream, tokens/s", false],
    ["manyStreams", `${STREAMS} streams, tokens/s together`, false],
    ["prefill", `prompt of ${PROMPT} tokens, tokens/s`, false],
    ["sharedFirstToken", `first token, ${SHARED} of ${SHARED + 12} tokens read before, ms`, true],
    ["residentMiB", "resident memory at the end, MiB", true],
  ]);
  console.log("| | Kindling | llama.cpp | ratio (above 1: Kindling is better) |\n| --- | --- | --- | --- |");
  for (const [key, label, isCost] of rows) {
    const [ours, theirs] = [results.kindling, results.llama].map((list) => list.map((result) => result[key]));
    const ratio = median(ours.map((value, i) => (isCost ? theirs[i] / value : value / theirs[i])));
    console.log(`| ${label} | ${median(ours).toFixed(1)} | ${median(theirs).toFixed(1)} | ${ratio.toFixed(2)}x |`);
  }
  for (const [key, label] of rows.filter(([key]) => fromSource[0]?.[key] !== undefined)) {
    const [ours, theirs] = [results.kindling.map((result) => result[key]), fromSource.map((result) => result[key])];
    const ratio = median(ours.map((value, i) => value / theirs[i]));
    console.log(`llama.cpp from source, ${label}: ${median(theirs).toFixed(1)} = ${ratio.toFixed(2)}x`);
  }
  const of = (/** @type {(result: Awaited<ReturnType<typeof measure>>) => number} */ value) =>
    median(results.kindling.map(value)).toFixed(2);
  console.log(`${STREAMS} streams / one of ours: ${of(({ manyStreams, oneStream }) => manyStreams / oneStream)}x`);
  console.log(
    `first token with a shared beginning / without: ${of(({ sharedFirstToken, firstToken }) => sharedFirstToken / firstToken)}x`,
  );
}

if (process.argv.includes("--child")) console.log(JSON.stringify(await (program === "llama" ? llama() : kindling())));
else compare();
process.exit();
