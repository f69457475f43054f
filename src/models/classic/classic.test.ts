import { expect, test } from "vitest";
import type { Module } from "../../nn/index.ts";
import { AdamW } from "../../optim/index.ts";
import { compile, crossEntropy, grad, randomKey, type Tensor, tensor } from "../../tensor/index.ts";
import { LeNet, Mlp, RecurrentLanguageModel, TransformerTranslator } from "./classic.ts";

/** Trains on one batch, and gives the loss at the end. */
async function trained(
  model: Module,
  loss: (...data: never[]) => Tensor<"f32">,
  data: readonly Tensor[],
  { steps, rate = 0.01 }: { steps: number; rate?: number },
): Promise<number> {
  const optimizer = new AdamW(model.namedParameters(), { weightDecay: 0 });
  const step = compile((...inputs: Tensor[]) => {
    const value = loss(...(inputs as never[]));
    optimizer.update(grad(value, [...optimizer.parameters.values()]), { learningRate: tensor(rate) });
    return value;
  });
  let last = Number.NaN;
  for (let i = 0; i < steps; i++) last = await (await step(...(data as never[]))).item();
  step.dispose();
  return last;
}
const ids = (rows: number[][]) => tensor(Int32Array.from(rows.flat()), { shape: [rows.length, rows[0].length] });

test("an MLP learns exclusive or", async () => {
  const model = new Mlp({ sizes: [2, 16, 2] }, randomKey(1));
  const x = tensor([
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ]);
  const y = tensor(Int32Array.of(0, 1, 1, 0));
  expect(await trained(model, (a, b) => crossEntropy(model.forward(a), b), [x, y], { steps: 200 })).toBeLessThan(0.05);
});

test("LeNet tells rows from columns", async () => {
  const model = new LeNet({ imageSize: 16, numClasses: 2 }, randomKey(1));
  const images = Float32Array.from({ length: 8 * 256 }, (_, n) => {
    const [i, y, x] = [Math.floor(n / 256), Math.floor(n / 16) % 16, n % 16];
    return (i % 2 === 0 ? y : x) === 3 + i ? 1 : 0;
  });
  const labels = tensor(Int32Array.from({ length: 8 }, (_, i) => i % 2));
  const data = [tensor(images, { shape: [8, 1, 16, 16] }), labels];
  expect(await trained(model, (a, b) => crossEntropy(model.forward(a), b), data, { steps: 60 })).toBeLessThan(0.1);
});

test.each(["rnn", "gru", "lstm"] as const)("a %s language model learns to count", async (kind) => {
  const model = new RecurrentLanguageModel({ kind, vocabSize: 6, hiddenSize: 16, numLayers: 2 }, randomKey(1));
  const rows = [0, 1, 2, 3].map((start) => Array.from({ length: 9 }, (_, t) => (start + t) % 6));
  const data = [ids(rows.map((row) => row.slice(0, -1))), ids(rows.map((row) => row.slice(1)))];
  expect(
    await trained(model, (inputIds, shiftLabels) => model.loss({ inputIds, shiftLabels }), data, { steps: 100 }),
  ).toBeLessThan(0.1);
});

test("the 2017 Transformer learns to reverse", async () => {
  const model = new TransformerTranslator(
    { vocabSize: 9, hiddenSize: 32, numHeads: 4, numEncoderLayers: 1, numDecoderLayers: 1, intermediateSize: 64 },
    randomKey(1),
  );
  const source = [
    [2, 3, 4, 5],
    [8, 6, 4, 2],
    [7, 7, 3, 5],
    [2, 8, 5, 6],
  ];
  const reversed = source.map((row) => [...row].reverse());
  const data = [ids(source), ids(reversed.map((row) => [1, ...row.slice(0, -1)])), ids(reversed)];
  const loss = (inputIds: Tensor<"i32">, decoderInputIds: Tensor<"i32">, labels: Tensor<"i32">) =>
    model.loss({ inputIds, decoderInputIds, labels });
  expect(await trained(model, loss, data, { steps: 120, rate: 0.003 })).toBeLessThan(0.1);
});
