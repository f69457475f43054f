// @ts-check
import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const benchFolder = dirname(fileURLToPath(import.meta.url));

/** `--smallest`: once and small, to see that a benchmark runs; its numbers say nothing. */
export const isSmallest = process.argv.includes("--smallest");

/** The environment for PyTorch: these two make some machines' BLAS slow, and belong together. */
export const torchEnvironment = { ...process.env };
delete torchEnvironment.OPENBLAS_CORETYPE;
delete torchEnvironment.OPENBLAS_L2_SIZE;

/**
 * A Python with PyTorch: KINDLING_TORCH_PYTHON, or a virtual environment made here the first time. @returns {string}
 */
export function torchPython() {
  if (process.env.KINDLING_TORCH_PYTHON) return process.env.KINDLING_TORCH_PYTHON;
  return pythonWith(".venv", "PyTorch", ["-r", join(benchFolder, "torch", "requirements.txt")]);
}

/** A Python with PyTorch and peft, which goes into the same virtual environment the first time. @returns {string} */
export function finetunePython() {
  const python = torchPython();
  if (spawnSync(python, ["-c", "import peft"]).status === 0) return python;
  if (process.env.KINDLING_TORCH_PYTHON) throw new Error(`${python} has no peft: pip install peft==0.21.2`);
  const packages = join(benchFolder, "torch", "requirements-finetune.txt");
  if (spawnSync(python, ["-m", "pip", "install", "--quiet", "-r", packages], { stdio: "inherit" }).status === 0)
    return python;
  throw new Error(`${packages} could not be installed`);
}

/** A Python with Hugging Face's datasets and transformers: KINDLING_PYTHON, or one made here. @returns {string} */
export function datasetsPython() {
  if (process.env.KINDLING_PYTHON) return process.env.KINDLING_PYTHON;
  return pythonWith(".venv-datasets", "datasets", ["datasets==5.2.0", "transformers==5.23.0"]);
}

/**
 * A Python with llama.cpp built here from its source, for this processor: it takes ten minutes, a C++ compiler and
 * CMake. @returns {string}
 */
export function llamaPython() {
  const CMAKE_ARGS = "-DGGML_NATIVE=ON -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAVA_BUILD=OFF";
  const source = ["--no-cache-dir", "--no-binary", "llama-cpp-python", "llama-cpp-python==0.3.36"];
  return pythonWith(".venv-llama", "llama.cpp from its source", source, { CMAKE_ARGS });
}

/**
 * The Python of a virtual environment with some packages, made here the first time.
 * @param {string} name of its folder @param {string} what @param {string[]} packages and pip's options for them
 * @param {Record<string, string>} [variables] for pip
 */
function pythonWith(name, what, packages, variables) {
  const environment = join(benchFolder, name);
  const python = join(environment, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
  if (existsSync(python)) return python;
  console.log(`making a virtual environment with ${what} in bench/${name} (once) ...`);
  /** @param {string} program @param {string[]} args */
  const run = (program, args) => {
    if (spawnSync(program, args, { stdio: "inherit", env: { ...process.env, ...variables } }).status === 0) return;
    rmSync(environment, { recursive: true, force: true });
    throw new Error(`${program} ${args.join(" ")} failed`);
  };
  run("python3", ["-m", "venv", environment]);
  run(python, ["-m", "pip", "install", "--quiet", ...packages]);
  return python;
}

/** The JavaScript libraries that the benchmarks compare with, in bench/peers/node_modules the first time. */
export function installPeers() {
  const cwd = join(benchFolder, "peers");
  if (existsSync(join(cwd, "node_modules"))) return;
  console.log("installing the JavaScript peers in bench/peers (once) ...");
  if (spawnSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd, stdio: "inherit" }).status !== 0)
    throw new Error("npm ci failed in bench/peers");
}

/** Middle of a list. @param {readonly number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
