// @ts-check
/**
 * A real model of 135 M parameters (SmolLM2-135M-Instruct), written as ONNX, by transformers.js; and the same weights
 * by Kindling: in f32 and in 8 bits, one text each, on two threads.
 *   npm run bench -- transformers-js [--smallest]
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Generator } from "../dist/generate/index.js";
import { exportModel, fromPretrained, saveGguf } from "../dist/models/index.js";
import { Device } from "../dist/runtime/index.js";
import { setDefaultDevice } from "../dist/tensor/index.js";
import { transformersJsFolder } from "./peer-packages.mjs";
import { child, modelFile, promptOf, THREADS } from "./smollm.mjs";
import { benchFolder, isSmallest, median, torchEnvironment, torchPython } from "./torch-python.mjs";

const self = fileURLToPath(import.meta.url);
const [ROUNDS, TOKENS, PROMPT] = isSmallest ? [1, 4, 24] : [3, 48, 512];
const [program, precision = ""] = process.argv.slice(process.argv.indexOf("--child") + 1);
const models = join(transformersJsFolder(), "models");
const onnx = join(models, "smollm2", "onnx");
const gguf = join(models, "smollm2-q8_0.gguf");

/** The model in f32 and in 8 bits, as ONNX and as GGUF, each made once. */
async function makeAll() {
  if (existsSync(gguf)) return;
  const model = await fromPretrained(modelFile(), { task: "causal-lm" });
  await exportModel(model, join(models, "smollm2"));
  mkdirSync(onnx, { recursive: true });
  renameSync(join(models, "smollm2", "model.onnx"), join(onnx, "model.onnx"));
  const packages = join(benchFolder, ".venv", "onnxruntime");
  const python = { ...torchEnvironment, PYTHONPATH: packages };
  const install = ["-m", "pip", "install", "--quiet", "--target", packages, "onnxruntime==1.24.1", "onnx==1.20.1"];
  execFileSync(torchPython(), install, { stdio: "inherit" });
  const quantize = [
    "from onnxruntime.quantization import quantize_dynamic, QuantType",
    `quantize_dynamic(${JSON.stringify(join(onnx, "model.onnx"))}, ${JSON.stringify(join(onnx, "model_quantized.onnx"))}, weight_type=QuantType.QInt8)`,
  ].join("; ");
  execFileSync(torchPython(), ["-c", quantize], { env: python, stdio: "inherit" });
  await saveGguf(model, gguf, { type: "q8_0" });
}

/** @typedef {(prompt: number[], tokens: number) => Promise<number[]>} Write times in ms when each token was there */

/** @returns {Promise<Write>} */
async function kindling() {
  setDefaultDevice(new Device({ threads: THREADS }));
  const model =
    precision === "f32"
      ? await fromPretrained(modelFile(), { task: "causal-lm" })
      : await fromPretrained(gguf, { task: "causal-lm", weights: "blocks" });
  const generator = new Generator(model, { contextLength: 2048, maxSequences: 1 });
  return async (prompt, tokens) => {
    const start = performance.now();
    const times = [];
    const options = { temperature: 0, maxNewTokens: tokens, stopTokens: [] };
    for await (const _ of generator.generate(prompt, options)) times.push(performance.now() - start);
    return times;
  };
}

/** @returns {Promise<Write>} */
async function transformersJs() {
  const require = createRequire(join(transformersJsFolder(), "package.json"));
  const { AutoModelForCausalLM, BaseStreamer, env, Tensor } = await import(
    String(pathToFileURL(require.resolve("@huggingface/transformers")))
  );
  Object.assign(env, { localModelPath: models, allowRemoteModels: false });
  const session_options = { intraOpNumThreads: THREADS };
  const dtype = precision === "f32" ? "fp32" : "q8";
  const model = await AutoModelForCausalLM.from_pretrained("smollm2", { dtype, device: "cpu", session_options });
  return async (prompt, tokens) => {
    const start = performance.now();
    /** @type {number[]} */
    const times = [];
    const streamer = new (class extends BaseStreamer {
      /** The prompt comes first. */
      isPrompt = true;
      put() {
        if (!this.isPrompt) times.push(performance.now() - start);
        this.isPrompt = false;
      }
      end() {}
    })();
    const tensorOf = (/** @type {(id: number) => number} */ f) =>
      new Tensor(
        "int64",
        BigInt64Array.from(prompt, (id) => BigInt(f(id))),
        [1, prompt.length],
      );
    await model.generate({
      inputs: tensorOf((id) => id),
      attention_mask: tensorOf(() => 1),
      max_new_tokens: tokens,
      min_new_tokens: tokens,
      do_sample: false,
      streamer,
    });
    return times;
  };
}

/** @param {Write} write */
async function measure(write) {
  await write(promptOf(1), 4);
  const [first, ...rest] = await write(promptOf(2), TOKENS);
  await write(promptOf(3, PROMPT), 1);
  const [long] = await write(promptOf(4, PROMPT), 1);
  return { decode: (1000 * rest.length) / (rest[rest.length - 1] - first), prefill: (1000 * PROMPT) / long };
}

async function compare() {
  await makeAll();
  const flags = isSmallest ? ["--smallest"] : [];
  console.log("| tokens/s | Kindling | transformers.js | ratio |\n| --- | --- | --- | --- |");
  for (const bits of ["f32", "8 bits"]) {
    const rounds = Array.from({ length: ROUNDS }, () =>
      ["kindling", "transformers.js"].map((name) => child(self, [name, bits, ...flags])),
    );
    for (const what of ["decode", "prefill"]) {
      const [ours, theirs] = [0, 1].map((i) => median(rounds.map((round) => round[i][what])));
      console.log(`| ${what}, ${bits} | ${ours.toFixed(1)} | ${theirs.toFixed(1)} | ${(ours / theirs).toFixed(2)}x |`);
    }
  }
}

if (process.argv.includes("--child"))
  console.log(JSON.stringify(await measure(await (program === "kindling" ? kindling() : transformersJs()))));
else await compare();
process.exit();
