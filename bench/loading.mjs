// @ts-check
/**
 * How long a checkpoint takes until it is a model, against reading its bytes, and until the model has given logits; and
 * the peak of memory against the weights.
 *   npm run bench -- loading
 *
 * Every measurement is a process of its own. Where the system lets it (as root on Linux), the cache of the files is
 * emptied before each, so that both read from the disk.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, openSync, readSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fromPretrained, LlamaForCausalLM, savePretrained } from "../dist/models/index.js";
import { randomKey, tensor } from "../dist/tensor/index.js";
import { isSmallest, median } from "./torch-python.mjs";

const self = fileURLToPath(import.meta.url);
const [kind, root = ""] = process.argv.slice(process.argv.indexOf("--child") + 1);
const dtypes = /** @type {const} */ (["f32", "f16", "bf16"]);
const ROUNDS = isSmallest ? 1 : 5;
const BLOCK = 8 * 2 ** 20;
const LAYERS = isSmallest ? 1 : 14;
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
  execFileSync(process.execPath, [self, ...(isSmallest ? ["--smallest"] : []), "--child", kind, folder], {
    encoding: "utf8",
  });

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
      const rounds = Array.from({ length: ROUNDS }, () =>
        ["read", "load"].map((kind) => {
          emptyCache();
          return JSON.parse(child(kind, path));
        }),
      );
      const [plain, loaded] = [0, 1].map((i) => median(rounds.map((round) => round[i].seconds)));
      const answered = median(rounds.map((round) => round[1].answerSeconds));
      const ratio = median(rounds.map(([plain, loaded]) => loaded.seconds / plain.seconds));
      const peak = median(rounds.map((round) => round[1].peakBytes)) / (4 * parameters);
      const gigabytes = (statSync(join(path, "model.safetensors")).size / 1e9).toFixed(2);
      console.log(
        `${dtype.padEnd(4)} ${gigabytes} GB: read in ${plain.toFixed(2)} s, a model in ${loaded.toFixed(2)} s, ${ratio.toFixed(2)}x (goal 1.5); ` +
          `its first logits after ${answered.toFixed(2)} s, peak memory then ${peak.toFixed(2)}x of the weights in f32 (goal 1.3)`,
      );
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
  const model = kind === "read" ? read(root) : await fromPretrained(root, { task: "causal-lm" });
  const ready = seconds();
  // weights are pages of the file, which are read when they are used
  await model?.forward({ inputIds: tensor(Int32Array.of(1), { shape: [1, 1] }) }).logits.read();
  console.log(
    JSON.stringify({ seconds: ready, answerSeconds: seconds(), peakBytes: process.resourceUsage().maxRSS * 1024 }),
  );
}
process.exit();
