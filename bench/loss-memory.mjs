// @ts-check
/**
 * What the cross-entropy of a large vocabulary takes: the largest resident memory of a process, and the time of a loss
 * with its gradients, of the plain path and with a part of the vocabulary at a time; of a weight that is trained, and
 * of a frozen one.
 *   npm run bench -- loss-memory [--rows=2048] [--classes=49152] [--width=576]
 *
 * Every measurement is a process of its own. "Above the inputs" is without what the process had when it held hidden
 * states and weight.
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { linearCrossEntropy } from "../dist/losses/index.js";
import { Device } from "../dist/runtime/index.js";
import { compile, crossEntropy, grad, matmul, setDefaultDevice, tensor, Variable } from "../dist/tensor/index.js";
import { isSmallest, median } from "./torch-python.mjs";

const self = fileURLToPath(import.meta.url);
/** @param {string} name @param {number} value @param {number} smallest */
const sizeOf = (name, value, smallest) => {
  const argument = process.argv.find((arg) => arg.startsWith(`--${name}=`));
  return argument ? Number(argument.slice(name.length + 3)) : isSmallest ? smallest : value;
};
const ROWS = sizeOf("rows", 2048, 8);
const CLASSES = sizeOf("classes", 49152, 64);
const WIDTH = sizeOf("width", 576, 4);
const ROUNDS = isSmallest ? 1 : 5;
const chunks = isSmallest ? [16] : [512, 1024, 4096];

/** Numbers of about the same size, without a generator's state. @param {number} length @param {number} size */
const numbers = (length, size) => Float32Array.from({ length }, (_, i) => size * Math.sin(1 + 12.9898 * i));

/**
 * Seconds and bytes of one way. @param {number} chunk 0 for the plain path @param {boolean} isFrozen
 */
async function measure(chunk, isFrozen) {
  setDefaultDevice(new Device({ cache: false }));
  const hidden = new Variable({ name: "hidden", dtype: "f32", shape: [ROWS, WIDTH] }, numbers(ROWS * WIDTH, 1));
  const weight = new Variable(
    { name: "weight", dtype: "f32", shape: [CLASSES, WIDTH] },
    numbers(CLASSES * WIDTH, 0.05),
  );
  const targets = tensor(Int32Array.from({ length: ROWS }, (_, i) => (7919 * i) % CLASSES));
  const step = compile((/** @type {import("../dist/tensor/index.js").Tensor<"i32">} */ targets) => {
    const loss = chunk
      ? linearCrossEntropy(hidden, weight, targets, { chunk })
      : crossEntropy(matmul(hidden, weight, { transposeB: true }), targets);
    return { loss, gradients: grad(loss, isFrozen ? [hidden] : [hidden, weight]) };
  });
  const before = process.resourceUsage().maxRSS;
  const seconds = [];
  const processorSeconds = [];
  let loss = 0;
  for (let round = -1; round < ROUNDS; round++) {
    const started = performance.now();
    const { user, system } = process.cpuUsage();
    const result = await step.run(targets);
    loss = await result.loss.item();
    const used = process.cpuUsage();
    for (const gradient of result.gradients) gradient.dispose();
    if (round < 0) continue; // compiles
    seconds.push((performance.now() - started) / 1000);
    processorSeconds.push((used.user - user + used.system - system) / 1e6);
  }
  return {
    loss,
    peakBytes: process.resourceUsage().maxRSS * 1024,
    beforeBytes: before * 1024,
    seconds: median(seconds),
    processorSeconds: median(processorSeconds),
  };
}

function compare() {
  const megabytes = (/** @type {number} */ bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  console.log(
    `${ROWS} rows, ${CLASSES} classes, width ${WIDTH}: all logits are ${megabytes(4 * ROWS * CLASSES)}, the weight is ${megabytes(4 * CLASSES * WIDTH)}`,
  );
  for (const isFrozen of [false, true]) {
    console.log(isFrozen ? "weight frozen" : "weight trained");
    const [plain, ...parts] = [0, ...chunks].map((chunk) => {
      const args = [...process.argv.slice(2), "--child", String(chunk), String(isFrozen)];
      return JSON.parse(execFileSync(process.execPath, [self, ...args], { encoding: "utf8" }));
    });
    for (const [i, result] of [plain, ...parts].entries()) {
      const name = i === 0 ? "plain" : `chunk ${chunks[i - 1]}`;
      const above = result.peakBytes - result.beforeBytes;
      const ratio = (/** @type {string} */ of) => `${(result[of] / plain[of]).toFixed(2)}x`;
      console.log(
        `  ${name.padEnd(10)} peak ${megabytes(result.peakBytes).padStart(9)}, above the inputs ${megabytes(above).padStart(9)}, ` +
          `${result.seconds.toFixed(2)} s (${ratio("seconds")}), processor ${result.processorSeconds.toFixed(2)} s (${ratio("processorSeconds")}), loss ${result.loss.toFixed(5)}`,
      );
    }
  }
}

const child = process.argv.indexOf("--child");
if (child < 0) compare();
else {
  const [chunk, isFrozen] = process.argv.slice(child + 1);
  console.log(JSON.stringify(await measure(Number(chunk), isFrozen === "true")));
  process.exit(0);
}
