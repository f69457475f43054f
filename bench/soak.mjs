// @ts-check
/**
 * A server under load for minutes: SmolLM2-135M-Instruct (Q4_1), 32 clients of which some give up their answers, and
 * requests that are wrong in between. Errors that were not deserved, resident memory, and times to the first token.
 *   npm run bench -- soak [--seconds 300] [--smallest]
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { formatLoadReport, loadTest } from "../dist/load-test/index.js";
import { startServer } from "./server-process.mjs";
import { modelFile, THREADS } from "./smollm.mjs";
import { isSmallest } from "./torch-python.mjs";

const typed = process.argv.indexOf("--seconds");
const SECONDS = typed > 0 ? Number(process.argv[typed + 1]) : isSmallest ? 5 : 300;
const CLIENTS = isSmallest ? 4 : 32;

const chat = "/v1/chat/completions";
const messages = [{ role: "user", content: "Hi" }];
/** What is wrong, and the status that it deserves. @type {[path: string, body: unknown, status: number][]} */
const wrong = [
  [chat, "{", 400],
  [chat, { messages, temperature: 9 }, 400],
  [chat, { messages, temprature: 1 }, 400],
  [chat, { messages, model: "absent" }, 404],
  [chat, { messages: [{ role: "user", content: "long ".repeat(20000) }] }, 400],
  ["/v1/completions", { prompt: [10 ** 9] }, 400],
  ["/v1/completions", { prompt: "x", grammar: "root ::= absent" }, 400],
  ["/v1/absent", {}, 404],
];

/** @param {number} pid MiB */
const residentMiB = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;

const { url, pid, close } = await startServer([modelFile(), "--threads", String(THREADS), "--context", "2048"]);
const ended = new AbortController();
/** @type {Map<string, number>} */
const undeserved = new Map();
let asked = 0;

async function askWrongly() {
  for (; !ended.signal.aborted; asked++) {
    const [path, body, status] = wrong[asked % wrong.length];
    const answer = await fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
    const text = await answer.text();
    const name = `${path} ${answer.status}, not ${status}: ${/"code":"[^"]*"/.exec(text)?.[0] ?? ""}`;
    if (answer.status !== status) undeserved.set(name, (undeserved.get(name) ?? 0) + 1);
    await sleep(50);
  }
}

/** @type {number[]} */
const resident = [];
async function watchMemory() {
  for (const share of [0.05, 0.5, 0.95]) {
    await sleep(SECONDS * 1000 * share - (performance.now() - start), undefined, { signal: ended.signal });
    resident.push(residentMiB(pid));
  }
}

const start = performance.now();
const others = [askWrongly(), watchMemory()];
const report = await loadTest({
  url,
  concurrency: CLIENTS,
  duration: SECONDS,
  inputTokens: [16, 256],
  outputTokens: [8, 64],
  cancel: 0.1,
  ignoreEos: true,
});
resident.push(residentMiB(pid));
ended.abort();
await Promise.allSettled(others);
await close();
console.log(formatLoadReport(report));
const [first, ...later] = resident.map((size) => size.toFixed(0));
console.log(`resident memory, MiB: ${first} at the start, then ${later.join(", ")}`);
console.log(`wrong requests: ${asked}; answers that were not deserved: ${undeserved.size === 0 ? "none" : ""}`);
for (const [name, count] of undeserved) console.log(`  ${count} x ${name}`);
process.exit();
