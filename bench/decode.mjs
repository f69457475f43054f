// @ts-check
/**
 * Tokens of a real model of 135 M parameters in 4 bits (SmolLM2-135M-Instruct, Q4_1), one stream: time of a token, by
 * the context and by the room of the cache, against llama.cpp (node-llama-cpp) in the same run, bytes copied for a
 * token, and the memory of the process.
 *   npm run bench -- decode [--smallest]
 */
import { fileURLToPath } from "node:url";
import { llamaFolder } from "./peer-packages.mjs";
import { child, modelFile, openKindling, openLlama, promptOf, residentBytes } from "./smollm.mjs";
import { isSmallest, median } from "./torch-python.mjs";

const self = fileURLToPath(import.meta.url);
const [ROUNDS, TOKENS, ROOMS] = isSmallest ? [1, 4, [64]] : [5, 64, [600, 2048, 8192]];
const prompt = promptOf(0);
const [program, path = "", room = "0"] = process.argv.slice(process.argv.indexOf("--child") + 1);

/** Milliseconds between tokens but the first. @param {AsyncIterable<unknown>} tokens */
async function timesOf(tokens) {
  const times = [];
  let last = 0;
  for await (const _ of tokens) {
    const now = performance.now();
    if (last > 0) times.push(now - last);
    last = now;
    if (times.length === TOKENS) break;
  }
  return times;
}

/** @param {boolean} isAtOnce whether the cache has its room at the start, or grows with the text */
async function kindling(isAtOnce) {
  const { device, generator } = await openKindling(path, {
    contextLength: Number(room),
    ...(isAtOnce ? { initialRoom: Number(room) } : {}),
  });
  for await (const _ of generator.generate(prompt, { temperature: 0, maxNewTokens: 4, stopTokens: [] })); // compiles
  const before = device.copiedBytes ?? Number.NaN;
  const times = await timesOf(generator.generate(prompt, { temperature: 0, maxNewTokens: TOKENS + 2, stopTokens: [] }));
  return {
    ms: median(times),
    residentBytes: residentBytes(),
    copiedBytes: ((device.copiedBytes ?? Number.NaN) - before) / (times.length + 1),
  };
}

async function llama() {
  const sequence = (await openLlama(path, { contextSize: Number(room) })).getSequence();
  const times = await timesOf(sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true }));
  return { ms: median(times), residentBytes: residentBytes() };
}

/** Each in a process of its own. @param {string} name @param {string} file @param {number} room */
const measured = (name, file, room) => child(self, [name, file, String(room), ...(isSmallest ? ["--smallest"] : [])]);

function compare() {
  const file = modelFile();
  llamaFolder();
  /** @type {{ name: string, room: number, ms: number, residentBytes: number, copiedBytes?: number }[]} */
  const results = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (const room of ROOMS)
      for (const name of ["kindling", "at once", "llama"]) results.push({ name, room, ...measured(name, file, room) });
  }
  const of = (/** @type {string} */ name, /** @type {number} */ room) =>
    results.filter((result) => result.name === name && result.room === room);
  const ratio = (/** @type {{ ms: number }[]} */ a, /** @type {{ ms: number }[]} */ b) =>
    median(a.map(({ ms }, i) => ms / b[i].ms));
  console.log(
    "| context | Kindling, ms a token | with all its room at once | llama.cpp | llama.cpp's time / ours, at once | copied a token | memory, ours / llama.cpp's |",
  );
  console.log("| --- | --- | --- | --- | --- | --- | --- |");
  for (const room of ROOMS) {
    const [ours, atOnce, theirs] = [of("kindling", room), of("at once", room), of("llama", room)];
    const memory = median(ours.map(({ residentBytes }, i) => residentBytes / theirs[i].residentBytes));
    const megabytes = median(ours.map(({ residentBytes }) => residentBytes)) / 1e6;
    const copied = (median(ours.map(({ copiedBytes = Number.NaN }) => copiedBytes)) / 1e3).toFixed(2);
    const times = [ours, atOnce, theirs].map((list) => median(list.map(({ ms }) => ms)).toFixed(1));
    console.log(
      `| ${room} | ${times[0]} | ${times[1]} | ${ratio(theirs, ours).toFixed(2)}x | ${copied} KB | ${megabytes.toFixed(0)} MB, ${memory.toFixed(2)}x |`,
    );
  }
  const [smallest, largest] = [ROOMS[0], ROOMS[ROOMS.length - 1]];
  console.log(
    `a token with room ${largest} / with room ${smallest}: ${ratio(of("at once", largest), of("at once", smallest)).toFixed(2)}x`,
  );
}

if (process.argv.includes("--child"))
  console.log(JSON.stringify(await (program === "llama" ? llama() : kindling(program === "at once"))));
else compare();
process.exit();
