import { expect, test } from "vitest";
import { GPT2LMHeadModel } from "../models/index.ts";
import { AdamW } from "../optim/index.ts";
import { randomKey, tensor } from "../tensor/index.ts";
import { compileTrainStep, languageModel } from "./index.ts";

const config = { vocabSize: 70, hiddenSize: 64, numHeads: 2, numLayers: 2, maxPositionEmbeddings: 32 };
const STEPS = 40;

async function trained(stateBits: 8 | 32): Promise<{ losses: number[]; bytes: number }> {
  const model = new GPT2LMHeadModel(config, randomKey(0));
  const optimizer = new AdamW(model.namedParameters(), { betas: [0.9, 0.95], stateBits });
  const step = compileTrainStep(languageModel(model), optimizer, { clipNorm: 1 });
  const losses: number[] = [];
  for (let i = 0; i < STEPS; i++) {
    const rows = (shift: number) =>
      tensor(
        Int32Array.from({ length: 4 * 16 }, (_, j) => 5 * ((i + (j >> 4) * 3 + (j & 15) + shift) ** 2 % 13)),
        { shape: [4, 16] },
      );
    const { loss } = await step({ inputIds: rows(0), shiftLabels: rows(1) }, 3e-3, tensor(i, { dtype: "i32" }));
    losses.push(await loss.item());
  }
  const bytes = [...optimizer.state.values()].reduce(
    (total, { shape, dtype }) => total + shape.reduce((a, b) => a * b, 1) * (dtype === "u8" ? 1 : 4),
    0,
  );
  step.dispose();
  for (const variable of [...model.parameters(), ...optimizer.state.values()]) variable.dispose();
  return { losses, bytes };
}

test("a GPT learns with moments in 8 bits as with those in f32, in 0.28 of their memory", async () => {
  const [eight, full] = [await trained(8), await trained(32)];
  const lastOf = (losses: readonly number[]) => losses.slice(-20).reduce((a, b) => a + b, 0) / 20;
  expect(full.losses[0]).toBeGreaterThan(4);
  expect(lastOf(full.losses)).toBeLessThan(0.5);
  expect(Math.abs(lastOf(eight.losses) / lastOf(full.losses) - 1)).toBeLessThan(0.01); // 0.002 when it was written
  expect(eight.losses).not.toEqual(full.losses);
  expect(eight.bytes / full.bytes).toBeLessThan(0.3);
});
