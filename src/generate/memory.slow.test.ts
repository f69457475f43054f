/** Memory follows the text and not the longest context: measured in a process of its own, which runs the built package. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const dist = new URL("../../dist/", import.meta.url);

/** 30 M parameters with the cache of Llama 3.2 1B: 16 layers, 8 heads of 64, 131072 positions; 8 GiB for each of keys and values in f32. */
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
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program], { cwd: fileURLToPath(dist) });
    const { count, weights, peak } = JSON.parse(stdout) as { count: number; weights: number; peak: number };
    expect(count).toBe(20);
    expect(peak - weights).toBeLessThan(500e6);
  },
  300_000,
);
