// @ts-check
/**
 * Kindling against PyTorch (eager, torch.compile, bf16), interleaved in one run.
 *   npm run bench -- compare [mlp lstm resnet18 bert] [--modes eager,compile,bf16]
 */
import { spawn } from "node:child_process";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Device } from "../dist/runtime/index.js";
import { setDefaultDevice } from "../dist/tensor/index.js";
import { benchFolder, median, torchEnvironment, torchPython } from "./torch-python.mjs";
import { workloads } from "./workloads.mjs";

const THREADS = 2;
const ROUNDS = 5;
/** Threads of the one wait busily for a while after a step: the other must not be measured meanwhile. */
const pause = () => new Promise((resolve) => setTimeout(resolve, 400));
/** Steps of a round, so that a round takes about a second. */
const stepsOf = { mlp: 100, lstm: 3, resnet18: 1, bert: 2 };

/** @param {string} workload @param {string} mode */
async function startTorch(workload, mode) {
  const args = ["--workload", workload, "--mode", mode, "--threads", String(THREADS)];
  const child = spawn(torchPython(), [join(benchFolder, "torch", "run.py"), ...args], { env: torchEnvironment, stdio: ["pipe", "pipe", "inherit"] });
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

/** @param {keyof typeof workloads} name @param {string[]} modes */
async function measure(name, modes) {
  const device = new Device({ threads: THREADS });
  setDefaultDevice(device);
  const workload = workloads[name]();
  const { data, parameters } = workload;
  const step = /** @type {(...args: any[]) => Promise<any>} */ (workload.step);
  const count = parameters.reduce((total, { shape }) => total + shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1), 0);
  /** @param {number} steps */
  const ours = async (steps) => {
    const times = [];
    for (let i = 0; i < steps; i++) {
      const given = data();
      const started = performance.now();
      const result = await step(...given);
      if (result.shape.length === 0) await result.item();
      else result.dispose();
      times.push(performance.now() - started);
    }
    return times;
  };
  const steps = stepsOf[name];
  const peers = [];
  for (const mode of modes)
    peers.push({ mode, torch: await startTorch(name, mode), times: /** @type {number[]} */ ([]), ratios: /** @type {number[]} */ ([]) });
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
    if (torch.ready.parameters !== count) throw new Error(`${mode}: ${torch.ready.parameters} parameters there, ${count} here`);
    cells.push(`${mode} ${median(times).toFixed(1)} ms = ${median(ratios).toFixed(2)}x (memory ${(memory / peakRssBytes).toFixed(2)}x)`);
    torch.quit();
  }
  console.log(`| ${name} | ${median(mine).toFixed(1)} ms | ${cells.join(" | ")} |`);
  await device.close();
}

const args = process.argv.slice(2);
const modes = (args.find((arg) => arg.startsWith("--modes="))?.slice(8) ?? "eager").split(",");
const names = /** @type {(keyof typeof workloads)[]} */ (args.filter((name) => name in workloads));
if (names.length === 1) await measure(names[0], modes);
else {
  console.log(
    `${cpus()[0].model.trim()}, ${availableParallelism()} cores, ${THREADS} threads each; medians of ${ROUNDS} interleaved rounds; PyTorch's time / Kindling's`,
  );
  for (const name of names.length > 0 ? names : Object.keys(workloads)) {
    const child = spawn(process.execPath, [process.argv[1], name, `--modes=${modes.join(",")}`], { stdio: "inherit" });
    await new Promise((resolve) => child.on("close", resolve));
  }
}
