// @ts-check
/**
 * Kindling against PyTorch, interleaved in one run, and against JavaScript libraries after it.
 * npm run bench -- compare [gpt-S gpt-M gpt-L resnet18 lstm bert mlp]
 * [--peers=eager,compile,bf16,jax,tfjs-wasm,tfjs-cpu,brain]
 */
import { spawn } from "node:child_process";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Device } from "../dist/runtime/index.js";
import { setDefaultDevice } from "../dist/tensor/index.js";
import { benchFolder, installPeers, isSmallest, median, torchEnvironment, torchPython } from "./torch-python.mjs";
import { workloads } from "./workloads.mjs";

const THREADS = 2;
const ROUNDS = isSmallest ? 1 : 5;
/** Threads of the one wait busily for a while after a step: the other must not be measured meanwhile. */
const pause = () => new Promise((resolve) => setTimeout(resolve, 400));
const LONGEST_ANSWER_MS = 120_000;
/** Steps of a round, so that a round takes about a second. */
const stepsOf = { mlp: 100, lstm: 3, resnet18: 2, bert: 2, "gpt-S": 20, "gpt-M": 1, "gpt-L": 1 };

/**
 * The peers' programs. JavaScript ones may take minutes for a step. @type {Record<string, { file: string, args:
 * string[] }>}
 */
const programs = {
  ...Object.fromEntries(
    ["eager", "compile", "bf16", "compile+bf16"].map((mode) => [
      mode,
      { file: "torch/run.py", args: ["--mode", mode] },
    ]),
  ),
  jax: { file: "peers/jax.mjs", args: [] },
  "tfjs-wasm": { file: "peers/tfjs.mjs", args: ["--backend", "wasm"] },
  "tfjs-cpu": { file: "peers/tfjs.mjs", args: ["--backend", "cpu"] },
  brain: { file: "peers/brain.mjs", args: [] },
};
const isTorch = (/** @type {string} */ peer) => programs[peer].file.endsWith(".py");

/**
 * A peer that waits for requests. Its answers are undefined when it stopped or took too long. @param {string} workload
 * @param {string} peer
 */
async function startPeer(workload, peer) {
  const { file, args } = programs[peer];
  const all = [join(benchFolder, file), ...args, "--workload", workload, "--threads", String(THREADS)];
  const child = spawn(isTorch(peer) ? torchPython() : process.execPath, all, {
    env: torchEnvironment,
    stdio: ["pipe", "pipe", isTorch(peer) ? "inherit" : "ignore"],
  });
  child.stdin.on("error", () => {}); // it has stopped, which shows as the end of its answers
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const timer = setTimeout(() => child.kill(), LONGEST_ANSWER_MS);
    const { value } = await lines.next();
    clearTimeout(timer);
    return value === undefined ? undefined : JSON.parse(value);
  };
  const ready = await next();
  /** @param {string} request */
  const ask = (request) => {
    child.stdin.write(`${request}\n`);
    return next();
  };
  return { ready, ask, quit: () => child.stdin.end("quit\n") };
}

/**
 * Steps of a peer that is far slower: its time, or that it has none. @param {string} name @param {string} peer @param
 * {number} ours @param {number} memory
 */
async function measureAfterwards(name, peer, ours, memory) {
  const program = await startPeer(name, peer);
  const started = performance.now();
  const first = program.ready && (await program.ask("step 1"));
  if (!first)
    return `${peer} ${performance.now() - started > LONGEST_ANSWER_MS ? `over ${LONGEST_ANSWER_MS / 1000} s a step` : "cannot"}`;
  const more = first.times_ms[0] > 20_000 ? 1 : first.times_ms[0] > 1000 ? 3 : 20;
  const theirs = median((await program.ask(`step ${more}`))?.times_ms ?? first.times_ms);
  const { peakRssBytes } = (await program.ask("memory")) ?? { peakRssBytes: Number.NaN };
  program.quit();
  return `${peer} ${theirs.toFixed(1)} ms = ${(theirs / ours).toFixed(1)}x (memory ${(memory / peakRssBytes).toFixed(2)}x)`;
}

/** @param {keyof typeof workloads} name @param {string[]} modes */
async function measure(name, modes) {
  const device = new Device({ threads: THREADS });
  setDefaultDevice(device);
  const workload = workloads[name]({});
  const { data, parameters } = workload;
  const step = /** @type {(...args: any[]) => Promise<any>} */ (workload.step);
  const count = parameters.reduce(
    (total, { shape }) => total + shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1),
    0,
  );
  /** @param {number} steps */
  const ours = async (steps) => {
    const times = [];
    for (let i = 0; i < steps; i++) {
      const batch = data();
      const started = performance.now();
      const result = await step(...batch);
      if (result.shape.length === 0) await result.item();
      else result.dispose();
      times.push(performance.now() - started);
    }
    return times;
  };
  const steps = isSmallest ? 1 : stepsOf[name];
  const peers = [];
  for (const mode of modes.filter(isTorch))
    peers.push({
      mode,
      torch: await startPeer(name, mode),
      times: /** @type {number[]} */ ([]),
      ratios: /** @type {number[]} */ ([]),
    });
  for (const { torch } of peers) await torch.ask("step 2");
  await ours(2);
  const mine = [];
  for (let round = 0; round < ROUNDS; round++) {
    await pause();
    const time = median(await ours(steps));
    mine.push(time);
    for (const peer of peers) {
      await pause();
      const theirs = median((await peer.torch.ask(`step ${steps}`)).times_ms);
      peer.times.push(theirs);
      peer.ratios.push(theirs / time);
    }
  }
  const memory = process.resourceUsage().maxRSS * 1024;
  const cells = [];
  for (const { mode, torch, times, ratios } of peers) {
    const { peakRssBytes } = await torch.ask("memory");
    if (torch.ready.parameters !== count)
      throw new Error(`${mode}: ${torch.ready.parameters} parameters there, ${count} here`);
    cells.push(
      `${mode} ${median(times).toFixed(1)} ms = ${median(ratios).toFixed(2)}x (memory ${(memory / peakRssBytes).toFixed(2)}x)`,
    );
    torch.quit();
  }
  for (const peer of modes.filter((mode) => !isTorch(mode)))
    cells.push(await measureAfterwards(name, peer, median(mine), memory));
  console.log(`| ${name} | ${median(mine).toFixed(1)} ms | ${cells.join(" | ")} |`);
  await device.close();
}

const args = process.argv.slice(2);
const modes = (args.find((arg) => arg.startsWith("--peers="))?.slice(8) ?? "eager").split(",");
for (const mode of modes)
  if (!(mode in programs))
    throw new Error(`there is no peer "${mode}"; there are: ${Object.keys(programs).join(", ")}`);
if (!modes.every(isTorch)) installPeers();
const names = /** @type {(keyof typeof workloads)[]} */ (args.filter((name) => name in workloads));
if (names.length === 1) await measure(names[0], modes);
else {
  console.log(
    `${cpus()[0].model.trim()}, ${availableParallelism()} cores, ${THREADS} threads each; medians of ${ROUNDS} interleaved rounds; the peer's time / Kindling's`,
  );
  for (const name of names.length > 0 ? names : Object.keys(workloads)) {
    const options = [name, `--peers=${modes.join(",")}`, ...(isSmallest ? ["--smallest"] : [])];
    const child = spawn(process.execPath, [process.argv[1], ...options], { stdio: "inherit" });
    const code = await new Promise((resolve) => child.on("close", resolve));
    if (code !== 0) process.exitCode = 1;
  }
}
