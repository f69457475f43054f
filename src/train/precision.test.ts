import { expect, test } from "vitest";
import type { FloatDType } from "../base/index.ts";
import { GPT2LMHeadModel } from "../models/index.ts";
import { AdamW } from "../optim/index.ts";
import {
  autocast,
  compile,
  grad,
  LossScaler,
  type LossScalerOptions,
  matmul,
  mul,
  normal,
  randomKey,
  sub,
  sum,
  type Tensor,
  tensor,
  Variable,
} from "../tensor/index.ts";
import { languageModel } from "./objectives/language-model.ts";
import { compileTrainStep } from "./step.ts";

const config = { vocabSize: 13, hiddenSize: 16, numHeads: 2, numLayers: 2, maxPositionEmbeddings: 8 };

async function losses(precision: FloatDType): Promise<number[]> {
  const model = new GPT2LMHeadModel(config, randomKey(0));
  const step = compileTrainStep(languageModel(model), new AdamW(model.namedParameters()), { clipNorm: 1, precision });
  const ids = tensor(
    Int32Array.from({ length: 32 }, (_, i) => (i * i) % 13),
    { shape: [4, 8] },
  );
  const result: number[] = [];
  for (let i = 0; i < 15; i++)
    result.push(await (await step({ inputIds: ids, shiftLabels: ids }, 0.01, tensor(i, { dtype: "i32" }))).loss.item());
  return result;
}

test.each([
  ["bf16", 0.03],
  ["f16", 0.01],
] as const)("a GPT trains in mixed precision with %s as in f32", async (precision, tolerance) => {
  const [exact, mixed] = [await losses("f32"), await losses(precision)];
  expect(exact[14]).toBeLessThan(0.5 * exact[0]);
  for (const [i, loss] of mixed.entries())
    expect(Math.abs(loss - exact[i])).toBeLessThan(tolerance * Math.max(1, exact[i]));
  expect(mixed).not.toEqual(exact);
});

test("products are computed in the short dtype, sums in f32, and weights keep their own", () => {
  const weight = new Variable({ dtype: "f32", shape: [4, 4] }, new Float32Array(16));
  const x = normal(randomKey(1), [2, 4]);
  const step = compile((x: Tensor<"f32">) => {
    const loss = autocast(sum(matmul(x, weight.value)), "f16");
    return grad(loss, [weight])[0];
  });
  const nodes = step.graph(x).nodes;
  expect(nodes.filter(({ op }) => op.name === "matmul").map(({ outputs }) => outputs[0].dtype)).toEqual(["f16"]);
  expect(step.graph(x).outputs[0].dtype).toBe("f32");
});

test("a step whose gradients overflow changes only the scale", async () => {
  const weight = new Variable({ dtype: "f32", shape: [1, 1] }, Float32Array.of(3));
  const scaler = new LossScaler({ initialScale: 2 ** 126, growthInterval: 2 });
  const step = compile((x: Tensor<"f32">) => {
    const loss = autocast(sum(matmul(x, weight.value)), "f16");
    const { gradients, areFinite } = scaler.gradients(loss, [weight]);
    scaler.step(areFinite, () => weight.assign(sub(weight.value, mul(gradients[0], 0.5))));
    return areFinite;
  });
  const seen: [number, number, number][] = [];
  for (let i = 0; i < 5; i++) {
    const finite = await (await step(tensor([[8]]))).item();
    seen.push([finite, (await weight.read())[0], (await scaler.scale.read())[0]]);
  }
  // the gradient is 8: times 2^126 or 2^125 it is beyond f32
  expect(seen).toEqual([
    [0, 3, 2 ** 125],
    [0, 3, 2 ** 124],
    [1, -1, 2 ** 124],
    [1, -5, 2 ** 125],
    [0, -5, 2 ** 124],
  ]);
});

test("factors that move no scale are refused", () => {
  const refused: [LossScalerOptions, string][] = [
    [{ initialScale: Number.NaN }, "LossScaler: expected initialScale above 0; received NaN"],
    [{ growthFactor: 1 }, "LossScaler: expected growthFactor above 1; received 1"],
    [{ backoffFactor: 1 }, "LossScaler: expected backoffFactor above 0 and below 1; received 1"],
    [{ growthInterval: 0 }, "LossScaler: expected growthInterval to be a positive integer"],
  ];
  for (const [options, message] of refused) expect(() => new LossScaler(options)).toThrow(message);
});
