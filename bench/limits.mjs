// @ts-check
/**
 * Figures that have a limit instead of a peer: time to compile the training step of GPT-2 small, how long the event
 * loop is blocked while training, and the cost of a generated token early and late in the context.
 *   npm run bench -- limits
 */
import { Generator } from "../dist/generate/index.js";
import { GPT2LMHeadModel } from "../dist/models/index.js";
import { AdamW } from "../dist/optim/index.js";
import { Device } from "../dist/runtime/index.js";
import { defaultDevice, randomKey, setDefaultDevice, tensor } from "../dist/tensor/index.js";
import { compileTrainStep, languageModel } from "../dist/train/index.js";
import { isSmallest, median } from "./torch-python.mjs";

setDefaultDevice(new Device({ cache: false })); // the time to compile, not to load what an earlier run has compiled

const NO_DROPOUT = { embeddingDropout: 0, attentionDropout: 0, residualDropout: 0 };

/** @param {number} batch @param {number} context @param {number} vocabSize */
const ids = (batch, context, vocabSize) =>
  tensor(
    Int32Array.from({ length: batch * context }, () => Math.floor(Math.random() * vocabSize)),
    { shape: [batch, context] },
  );

async function compileTime() {
  // GPT-2 small: 12 layers, 124 M parameters
  const model = new GPT2LMHeadModel(isSmallest ? { numLayers: 1, hiddenSize: 96 } : {}, randomKey(0));
  const optimizer = new AdamW(model.namedParameters());
  const step = compileTrainStep(languageModel(model), optimizer, { clipNorm: 1 });
  const tokens = ids(1, 64, 50257);
  const device = defaultDevice();
  await device.upload("f32", [1], new Float32Array(1)).read(); // it has started
  const started = performance.now();
  const graph = step.graph({ inputIds: tokens, shiftLabels: tokens }, 1e-3, tensor(0, { dtype: "i32" }));
  const traced = performance.now();
  const updates = graph.outputs.slice(2).map((_, i) => ({ output: i + 2, input: i + 4 }));
  const executable = device.compile(graph, { updates });
  const lowered = performance.now();
  await executable.ready;
  const ready = performance.now();
  const seconds = (/** @type {number} */ ms) => (ms / 1000).toFixed(2);
  console.log(
    `GPT-2 small, ${graph.nodes.length} nodes: trace ${seconds(traced - started)} s, passes and lowering ${seconds(lowered - traced)} s, session ${seconds(ready - lowered)} s;`,
  );
  console.log(`  together ${seconds(ready - started)} s; limit 5 s`);
  device.release(executable);
  step.dispose();
  model.dispose();
  for (const variable of optimizer.state.values()) variable.dispose();
}

async function eventLoop() {
  const model = new GPT2LMHeadModel(
    { vocabSize: 65, hiddenSize: 384, numLayers: 6, numHeads: 6, maxPositionEmbeddings: 256, ...NO_DROPOUT },
    randomKey(0),
  );
  const step = compileTrainStep(languageModel(model), new AdamW(model.namedParameters()), { clipNorm: 1 });
  const run = async (/** @type {number} */ i) =>
    (
      await step({ inputIds: ids(12, 256, 65), shiftLabels: ids(12, 256, 65) }, 1e-3, tensor(i, { dtype: "i32" }))
    ).loss.item();
  await run(0);
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }, 1);
  for (let i = 1; i <= 5; i++) await run(i);
  clearInterval(timer);
  console.log(`longest time the event loop was blocked in 5 steps of size M: ${longest.toFixed(1)} ms; limit 50 ms`);
  const [inputs, targets] = [ids(12, 256, 65), ids(12, 256, 65)];
  const before = performance.eventLoopUtilization();
  const around = [];
  for (let i = 6; i <= 10; i++) {
    const started = performance.now();
    await step.run({ inputIds: inputs, shiftLabels: targets }, 1e-3, tensor(i, { dtype: "i32" }));
    around.push(performance.now() - started - step.lastComputeMs);
  }
  const { active } = performance.eventLoopUtilization(before);
  console.log(
    `JavaScript of the program's thread in a step of size M: ${(active / 5).toFixed(2)} ms; outside of ONNX Runtime ${median(around).toFixed(2)} ms; limit 1 ms`,
  );
  step.dispose();
}

async function decoding() {
  const model = new GPT2LMHeadModel(
    { vocabSize: 8192, hiddenSize: 512, numLayers: 8, numHeads: 8, maxPositionEmbeddings: 1024 },
    randomKey(0),
  );
  const generator = new Generator(model);
  const times = /** @type {number[]} */ ([]);
  let last = 0;
  for await (const _ of generator.generate([1, 2, 3], {
    temperature: 0,
    maxNewTokens: isSmallest ? 20 : 600,
    stopTokens: [],
  })) {
    const now = performance.now();
    if (last > 0) times.push(now - last);
    last = now;
  }
  const around = (/** @type {number} */ at) => median(times.slice(at - 8, at + 60));
  const late = isSmallest ? 12 : 500;
  console.log(
    `a token of a model of 30 M parameters: ${around(10).toFixed(2)} ms at position 10, ${around(late).toFixed(2)} ms at position ${late}`,
  );
  generator.dispose();
}

await compileTime();
await eventLoop();
await decoding();
await defaultDevice().close();
