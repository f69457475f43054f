// @ts-check
/**
 * Runs the parts of plan.mjs and writes gpu-check.json and gpu-check.md after each. Ends in time whatever happens: a
 * part that hangs is killed, one that crashes takes no other with it.
 *   node main.mjs OUTPUT [--seconds=480] [--provider=webgpu] [--smallest] [--only=part,part]
 */
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { thisSystem } from "../../dist/cli/gpu-libraries.js";
import { MARK } from "./parts/part.mjs";
import { plan } from "./plan.mjs";
import { markdownOf } from "./report.mjs";
import { onlyDriver, prepareVulkan } from "./vulkan.mjs";

/** @typedef {import("./plan.mjs").Part} Part */
/** @typedef {import("./report.mjs").Outcome} Outcome */

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(dirname(here));
const [output] = process.argv.slice(2);
/** @param {string} name */
const option = (name) => process.argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
const isSmallest = process.argv.includes("--smallest");
const seconds = Number(option("seconds") ?? 480);
const only = option("only")?.split(",");
const provider = option("provider") ?? "webgpu";
const deadline = performance.now() + 1000 * seconds;
/** Parts that measure no time run beside one another where there are cores enough. */
const AT_ONCE = availableParallelism() >= 8 ? 6 : 1;
/** A process that hangs in the card's driver does not even end when it is killed: so long it is waited for. */
const UNKILLABLE_MS = 3000;
/** Of what a part writes to standard error, the end. */
const STDERR_CHARACTERS = 1500;

/** PyTorch takes long to load from a disk that has not been read yet. */
const TORCH_MS = 45_000;

/** @param {string} program @param {string[]} args @param {number} [timeout] milliseconds */
function textOf(program, args, timeout = 10_000) {
  try {
    return execFileSync(program, args, {
      encoding: "utf8",
      timeout,
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return undefined;
  }
}

/** A Python with PyTorch, and whether it sees a card. */
function findTorch() {
  const script = "import torch; print(torch.__version__, torch.version.cuda, torch.cuda.is_available())";
  for (const python of [process.env.KINDLING_TORCH_PYTHON, "python3", "/opt/torch/.venv/bin/python3"]) {
    const answer = python && textOf(python, ["-c", script], TORCH_MS);
    if (python && answer) return { python, answer, seesCard: answer.endsWith("True") };
  }
  return undefined;
}

/** Folders of the libraries in the Python packages nvidia-*. */
function cudaFolders() {
  const script =
    "import glob, os, nvidia; print(':'.join(f for p in nvidia.__path__ for f in glob.glob(os.path.join(p, '*', 'lib'))))";
  return torch ? (textOf(torch.python, ["-c", script]) ?? "").split(":") : [];
}

mkdirSync(output, { recursive: true });
const work = mkdtempSync(join(tmpdir(), "kindling-gpu-"));
const vulkan = prepareVulkan(thisSystem(), { bundled: join(root, "lib", "system"), work });
const torch = findTorch();
const query = "name,driver_version,memory.total,compute_cap,power.limit,clocks.max.sm";
const machine = {
  date: new Date().toISOString(),
  processor: cpus()[0]?.model.trim(),
  cores: availableParallelism(),
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
  nvidiaSmi: textOf("nvidia-smi", [`--query-gpu=${query}`, "--format=csv,noheader"]),
  torch,
};
// CUDA's libraries come with PyTorch, where nothing else has brought them
const libraries = [vulkan.libraryPath, ...cudaFolders()].filter(Boolean).join(":");
const env = {
  ...process.env,
  ...(vulkan.manifests.length > 0 ? onlyDriver(vulkan.manifests[0]) : {}),
  LD_LIBRARY_PATH: libraries,
  KINDLING_CACHE: "off",
  NVIDIA_TF32_OVERRIDE: "0", // f32 is f32, also where CUDA's libraries would round its products
  VK_LOADER_DEBUG: process.env.VK_LOADER_DEBUG ?? "error,warn",
};

/** @type {Outcome[]} */
const outcomes = plan.map((part) => ({ name: part.name, state: "not run" }));

function write() {
  const all = { provider, machine, vulkan, isSmallest, parts: outcomes };
  writeFileSync(join(output, "gpu-check.json"), JSON.stringify(all, null, 1));
  writeFileSync(join(output, "gpu-check.md"), markdownOf(all));
}

/** Whether the adapter's part has seen the provider work. */
function isPresent() {
  const adapter = /** @type {any} */ (outcomes.find(({ name }) => name === "adapter")?.result);
  return adapter?.[provider]?.works === true;
}

/** Why a part is not run, if so. @param {Part} part */
function obstacleTo({ name, needsCard, isPython }) {
  if (only && name !== "adapter" && !only.some((word) => name.startsWith(word))) return "not asked for";
  if (isPython && !(torch && (torch.seesCard || isSmallest))) return "no Python with a PyTorch that sees a card";
  if (needsCard && !isPresent()) return `${provider} does not work here`;
  if (deadline - performance.now() < 5000) return "no time was left";
  return undefined;
}

/** @param {number} index in the plan */
function runPart(index) {
  const part = plan[index];
  const outcome = outcomes[index];
  const obstacle = obstacleTo(part);
  if (obstacle) {
    outcome.reason = obstacle;
    return Promise.resolve();
  }
  const started = performance.now();
  const program = part.isPython ? /** @type {{ python: string }} */ (torch).python : process.execPath;
  const args = [
    join(here, "parts", part.file),
    ...part.args,
    `--provider=${provider}`,
    ...(isSmallest ? ["--smallest"] : []),
  ];
  outcome.state = "running";
  return new Promise((resolve) => {
    // a group of its own, so that what a part has started ends with it
    const child = spawn(program, args, { env, cwd: work, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    let isLate = false;
    const limit = Math.min(1000 * part.limitSeconds, deadline - performance.now());
    const timer = setTimeout(() => {
      isLate = true;
      kill(child.pid);
      setTimeout(() => end(null, "SIGKILL"), UNKILLABLE_MS);
    }, limit);
    let [pending, errors] = ["", ""];
    /** @param {number | null} code @param {NodeJS.Signals | null} signal */
    const end = (code, signal) => {
      if (outcome.state !== "running") return;
      clearTimeout(timer);
      outcome.seconds = Math.round((performance.now() - started) / 100) / 10;
      outcome.state = isLate ? "out of time" : code === 0 ? "done" : "failed";
      if (outcome.state === "failed") outcome.reason = `ended with ${signal ?? `code ${code}`}`;
      if ((outcome.state !== "done" || (part.name === "adapter" && !isPresent())) && errors) outcome.stderr = errors;
      console.log(`${part.name}: ${outcome.state}, ${outcome.seconds} s`);
      write();
      resolve(undefined);
    };
    child.stdout.setEncoding("utf8").on("data", (/** @type {string} */ text) => {
      const lines = (pending + text).split("\n");
      pending = lines.pop() ?? "";
      const last = lines.findLast((line) => line.startsWith(MARK));
      if (last) outcome.result = JSON.parse(last.slice(MARK.length));
    });
    child.stderr.setEncoding("utf8").on("data", (/** @type {string} */ text) => {
      errors = (errors + text).slice(-STDERR_CHARACTERS);
    });
    child.on("error", (cause) => {
      errors += cause.message;
    });
    child.on("close", end);
  });
}

/** @param {number | undefined} pid of the first process of a group */
function kill(pid) {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {} // it has ended
}

console.log(
  `gpu-check: ${machine.nvidiaSmi ?? "no nvidia-smi"}; ${[...vulkan.notes, ...vulkan.missing].join("; ") || "Vulkan is there"}`,
);
write();
const untimed = plan.flatMap((part, i) => (part.isTimed ? [] : [i]));
const firstTimed = plan.findIndex((part) => part.isTimed);
await runPart(firstTimed); // which providers there are
for (const manifest of provider === "webgpu" ? vulkan.manifests.slice(1) : []) {
  if (isPresent()) break;
  Object.assign(env, onlyDriver(manifest));
  vulkan.notes.push(`WebGPU did not start; tried again with ${manifest}`);
  await runPart(firstTimed);
}
const queue = [...untimed];
const takeTurns = async () => {
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) await runPart(next);
};
await Promise.all(Array.from({ length: AT_ONCE }, takeTurns));
for (const [i, part] of plan.entries()) if (part.isTimed && i !== firstTimed) await runPart(i);
write();
console.log(markdownOf({ provider, machine, vulkan, isSmallest, parts: outcomes }));
rmSync(work, { recursive: true, force: true });
process.exit(); // whatever still hangs
