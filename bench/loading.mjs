// @ts-check
/**
 * How long a checkpoint takes until it is a model, against reading its bytes, and until the model has given logits; the
 * peak of memory, and what it comes to rest at, against the weights' file; and what a token then takes. Of 16 bits both
 * widened once and, with weights: "stored", as they are used.
 *   npm run bench -- loading [--layers=14]
 *
 * Every measurement is a process of its own. Where the system lets it (as root on Linux), the cache of the files is
 * emptied before each, so that both read from the disk.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, openSync, readSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Generator } from "../dist/generate/index.js";
import { fromPretrained, LlamaForCausalLM, savePretrained } from "../dist/models/index.js";
import { randomKey, tensor } from "../dist/tensor/index.js";
import { isSmallest, median } from "./torch-python.mjs";

const self = fileURLToPath(import.meta.url);
const [kind, root = ""] = process.argv.slice(process.argv.indexOf("--child") + 1);
const dtypes = /** @type {const} */ (["f32", "f16", "bf16"]);
const ROUNDS = isSmallest ? 1 : 5;
const BLOCK = 8 * 2 ** 20;
const layersOption = process.argv.find((arg) => arg.startsWith("--layers="));
const LAYERS = layersOption ? Number(layersOption.slice("--layers=".length)) : isSmallest ? 1 : 14;
const SIZES = {
  vocabSize: 32000,
  hiddenSize: 1024,
  intermediateSize: 2816,
  numHeads: 16,
  numLayers: LAYERS,
  maxPositionEmbeddings: 512,
};
const parameters =
  2 * SIZES.vocabSize * SIZES.hiddenSize +
  SIZES.numLayers * SIZES.hiddenSize * (4 * SIZES.hiddenSize + 3 * SIZES.intermediateSize);

/**
 * Measures in a process of its own: a process starts with the peak of the one that starts it. @param {string} kind
 * @param {string} folder
 */
const child = (kind, folder) =>
  execFileSync(
    process.execPath,
    [self, ...(isSmallest ? ["--smallest"] : []), `--layers=${LAYERS}`, "--child", kind, folder],
    { encoding: "utf8" },
  );

/** Reads every byte, as plainly as it can be done. @param {string} folder */
function read(folder) {
  const block = new Uint8Array(BLOCK);
  const file = openSync(join(folder, "model.safetensors"), "r");
  while (readSync(file, block, 0, BLOCK, null) > 0);
  return undefined;
}

/** @returns false where the system does not let us */
function emptyCache() {
  try {
    execFileSync("sync");
    writeFileSync("/proc/sys/vm/drop_caches", "3");
    return true;
  } catch {
    return false;
  }
}

/** Milliseconds, the median of many tokens. @param {import("../dist/models/index.js").CausalLM} model */
async function timeOfToken(model) {
  const generator = new Generator(model);
  const times = [];
  let last = performance.now();
  for await (const _ of generator.generate([1, 2, 3, 4], { maxNewTokens: 40, temperature: 0, stopTokens: [] })) {
    times.push(performance.now() - last);
    last = performance.now();
  }
  return median(times.slice(4));
}

async function make() {
  const model = new LlamaForCausalLM(SIZES, randomKey(0));
  for (const dtype of dtypes) await savePretrained(model, join(root, dtype), { dtype });
}

function compare() {
  const folder = mkdtempSync(join(tmpdir(), "kindling-loading-"));
  try {
    child("make", folder);
    console.log(
      `${(parameters / 1e6).toFixed(0)} M parameters, ${emptyCache() ? "from the disk" : "from the cache, which the system does not let us empty"}`,
    );
    for (const dtype of dtypes) {
      const path = join(folder, dtype);
      const kinds = dtype === "f32" ? ["read", "f32"] : ["read", "f32", "stored"];
      const rounds = Array.from({ length: ROUNDS }, () =>
        kinds.map((kind) => {
          emptyCache();
          return JSON.parse(child(kind, path));
        }),
      );
      const [plain, loaded] = [0, 1].map((i) => median(rounds.map((round) => round[i].seconds)));
      const answered = median(rounds.map((round) => round[1].answerSeconds));
      const ratio = median(rounds.map(([plain, loaded]) => loaded.seconds / plain.seconds));
      const peak = median(rounds.map((round) => round[1].peakBytes)) / (4 * parameters);
      const { size } = statSync(join(path, "model.safetensors"));
      const gigabytes = (size / 1e9).toFixed(2);
      console.log(
        `${dtype.padEnd(4)} ${gigabytes} GB: read in ${plain.toFixed(2)} s, a model in ${loaded.toFixed(2)} s, ${ratio.toFixed(2)}x (goal 1.5); ` +
          `its first logits after ${answered.toFixed(2)} s, peak memory then ${peak.toFixed(2)}x of the weights in f32 (goal 1.3)`,
      );
      for (const [i, kind] of kinds.entries()) {
        if (kind === "read") continue;
        const of = (/** @type {string} */ name) => median(rounds.map((round) => round[i][name]));
        const ratio = (/** @type {string} */ name) => `${(of(name) / size).toFixed(2)}x`;
        console.log(
          `     weights "${kind}": of the file's size, peak ${ratio("peakBytes")}, at rest ${ratio("restBytes")} (goal ${kind === "stored" ? 1.2 : 2.1}); ` +
            `${of("tokenMs").toFixed(1)} ms a token`,
        );
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (!process.argv.includes("--child")) compare();
else if (kind === "make") await make();
else {
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  const weights = kind === "stored" ? kind : "f32";
  const model = kind === "read" ? read(root) : await fromPretrained(root, { task: "causal-lm", weights });
  const ready = seconds();
  // weights are pages of the file, which are read when they are used
  await model?.forward({ inputIds: tensor(Int32Array.of(1), { shape: [1, 1] }) }).logits.read();
  const answerSeconds = seconds();
  const tokenMs = model && (await timeOfToken(model));
  console.log(
    JSON.stringify({
      seconds: ready,
      answerSeconds,
      tokenMs,
      peakBytes: process.resourceUsage().maxRSS * 1024,
      restBytes: process.memoryUsage().rss,
    }),
  );
}
process.exit();
