/**
 * Memory follows the text and not the longest context: measured in a process of its own, which runs the built package.
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const dist = new URL("../../dist/", import.meta.url);

/**
 * 30 M parameters with the cache of Llama 3.2 1B: 16 layers, 8 heads of 64, 131072 positions; 8 GiB for each of keys
 * and values in f32.
 */
const program = `
  import { readFileSync } from "node:fs";
  const { Generator, randomKey } = await import("${new URL("index.js", dist).href}");
  const { llamaConfig, LlamaForCausalLM } = await import("${new URL("models/index.js", dist).href}");
  const config = llamaConfig({ vocabSize: 32000, hiddenSize: 256, intermediateSize: 1024, numLayers: 16, numHeads: 8, numKeyHeads: 8, headDim: 64,
    maxPositionEmbeddings: 131072, tieWordEmbeddings: true });
  const model = new LlamaForCausalLM(config, randomKey(1));
  let count = 0;
  for await (const _ of new Generator(model).generate([1, 2, 3], { maxNewTokens: 20, stopTokens: [] })) count++;
  const peak = Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
  console.log(JSON.stringify({ count, weights: 4 * model.parameterCount(), peak }));
  process.exit(0);
`;

test.runIf(process.platform === "linux")(
  "20 tokens of a model for 131072 take less than 500 MB above its weights",
  async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program], {
      cwd: fileURLToPath(dist),
    });
    const { count, weights, peak } = JSON.parse(stdout) as { count: number; weights: number; peak: number };
    expect(count).toBe(20);
    expect(peak - weights).toBeLessThan(500e6);
  },
  300_000,
);

/** The loss of 16 texts of 512 tokens needs 256 MiB for the logits, several times over. */
const largeRun = `
  import { readFileSync } from "node:fs";
  const { Generator, randomKey, tensor } = await import("${new URL("index.js", dist).href}");
  const { llamaConfig, LlamaForCausalLM } = await import("${new URL("models/index.js", dist).href}");
  const { compileEvaluation, languageModel } = await import("${new URL("train/index.js", dist).href}");
  const resident = () => Number(/VmRSS:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
  const rest = () => new Promise((resolve) => setTimeout(resolve, 2000));
  const config = llamaConfig({ vocabSize: 8192, hiddenSize: 128, intermediateSize: 512, numLayers: 2, numHeads: 4, maxPositionEmbeddings: 512 });
  const model = new LlamaForCausalLM(config, randomKey(1));
  const loss = compileEvaluation(languageModel(model));
  let peak = 0;
  const evaluate = async (batch) => {
    const ids = tensor(Int32Array.from({ length: batch * 512 }, (_, i) => (i * i) % 8192), { shape: [batch, 512] });
    const timer = setInterval(() => { peak = Math.max(peak, resident()); }, 5);
    await (await loss({ inputIds: ids, shiftLabels: ids })).loss.item();
    clearInterval(timer);
  };
  const generator = new Generator(model);
  const write = async () => {
    for await (const _ of generator.generate([1, 2, 3], { maxNewTokens: 20, temperature: 0, stopTokens: [] }));
  };
  await write();
  await evaluate(1);
  await rest();
  const before = resident();
  peak = 0;
  await evaluate(16);
  await rest();
  const after = resident();
  await evaluate(16);
  for (const until = performance.now() + 2500; performance.now() < until; ) await write(); // tokens without a pause
  console.log(JSON.stringify({ before, peak, after, beside: resident() }));
  process.exit(0);
`;

test.runIf(
  process.platform === "linux" && "glibcVersionRuntime" in (process.report.getReport() as { header: object }).header,
)(
  "the memory of a large batch goes back to the system, at rest and while short runs go on",
  async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", largeRun], {
      cwd: fileURLToPath(dist),
    });
    const { before, peak, after, beside } = JSON.parse(stdout) as Record<string, number>;
    expect(peak - before).toBeGreaterThan(200e6);
    expect(after - before).toBeLessThan(60e6);
    expect(beside - before).toBeLessThan(60e6);
  },
  300_000,
);
