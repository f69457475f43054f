/** Layers whose activations are computed again: the same training, in less memory. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { estimateMemory, optimize } from "../lower/index.ts";
import { GPT2LMHeadModel } from "../models/index.ts";
import { AdamW } from "../optim/index.ts";
import { randomKey, tensor } from "../tensor/index.ts";
import { expectTrace, trainedAndResumed } from "../testing/train-trace.ts";
import { compileTrainStep, languageModel } from "./index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

test.each([
  "decoders/llama",
  "decoders/qwen3-moe",
  "models/bert-masked-lm",
  "models/t5",
  "models/whisper",
  "models/resnet-basic", // batch norms, whose statistics move
  "models/swin-image-classification",
  "models/clip",
])("%s", async (name) => {
  const options = { folder: join(folder, name), dropout: 0, checkpointActivations: true };
  expectTrace(name, "adamw", await trainedAndResumed(name, options));
});

test("what is dropped is dropped again", async () => {
  const [plain, again] = await Promise.all(
    [false, true].map((checkpointActivations) =>
      trainedAndResumed("decoders/llama", {
        ...{ folder: join(folder, `dropout-${checkpointActivations}`), dropout: 0.2, checkpointActivations },
      }),
    ),
  );
  again.forEach((loss, i) => {
    expect(loss).toBeCloseTo(plain[i], 5);
  });
});

test.each(["f32", "bf16"] as const)("memory is that of a layer, not of all (%s)", (precision) => {
  const sizes = { vocabSize: 64, hiddenSize: 64, numLayers: 8, numHeads: 4, maxPositionEmbeddings: 128 };
  const model = new GPT2LMHeadModel(sizes, randomKey(0));
  const ids = tensor(new Int32Array(16 * 128), { shape: [16, 128] });
  const peak = (checkpointActivations: boolean) => {
    const optimizer = new AdamW(model.namedParameters());
    const step = compileTrainStep(languageModel(model), optimizer, { clipNorm: 1, checkpointActivations, precision });
    const graph = step.graph({ inputIds: ids, shiftLabels: ids }, 1e-3, tensor(0, { dtype: "i32" }));
    return estimateMemory(optimize(graph)).peakBytes;
  };
  expect(peak(true)).toBeLessThan(0.35 * peak(false));
});
