/**
 * What the page test trains, in the page and in Node alike, each for a few steps: a small MLP, a small GPT, and a
 * convolution with the maximum of its windows and dropout of more numbers than WebGPU draws on the CPU.
 */
import {
  AdamW,
  add,
  Conv2d,
  compile,
  compileTrainStep,
  crossEntropy,
  dropout,
  GPT2LMHeadModel,
  grad,
  Linear,
  Module,
  maxPool,
  mean,
  type RunOptions,
  randomKey,
  relu,
  square,
  type Tensor,
  tensor,
} from "../../browser.ts";

class Mlp extends Module {
  readonly hidden: Linear;
  readonly output: Linear;
  constructor() {
    super();
    const [hidden, output] = randomKey(1).split(2);
    this.hidden = new Linear({ inFeatures: 8, outFeatures: 16 }, hidden);
    this.output = new Linear({ inFeatures: 16, outFeatures: 4 }, output);
  }
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    return this.output.forward(relu(this.hidden.forward(x)));
  }
}

const STEPS = 6;

async function trainMlp(): Promise<number[]> {
  const model = new Mlp();
  const optimizer = new AdamW(model.namedParameters(), { weightDecay: 0.01 });
  const parameters = [...optimizer.parameters.values()];
  const step = compile((x: Tensor<"f32">, labels: Tensor<"i32">, learningRate: Tensor<"f32">) => {
    const loss = crossEntropy(model.forward(x), labels);
    optimizer.update(grad(loss, parameters), { learningRate });
    return loss;
  });
  const x = tensor(
    Float32Array.from({ length: 32 * 8 }, (_, i) => Math.sin(i)),
    { shape: [32, 8] },
  );
  const labels = tensor(
    Int32Array.from({ length: 32 }, (_, i) => i % 4),
    { shape: [32] },
  );
  const losses: number[] = [];
  for (let i = 0; i < STEPS; i++) losses.push(await (await step(x, labels, 0.01)).item());
  return losses;
}

async function trainGpt(): Promise<number[]> {
  const config = { vocabSize: 11, hiddenSize: 16, numHeads: 2, numLayers: 2, maxPositionEmbeddings: 8 };
  const model = new GPT2LMHeadModel(config, randomKey(2));
  const objective = {
    loss: (batch: { inputIds: Tensor<"i32">; shiftLabels: Tensor<"i32"> }, run: RunOptions) => ({
      loss: model.loss({ ...batch, ...run }),
    }),
  };
  const step = compileTrainStep(objective, new AdamW(model.namedParameters(), {}), { clipNorm: 1, key: randomKey(3) });
  const ids = (start: number) =>
    tensor(
      Int32Array.from({ length: 32 }, (_, i) => (start + i * i) % 11),
      { shape: [4, 8] },
    );
  const losses: number[] = [];
  for (let i = 0; i < STEPS; i++) {
    const { loss } = await step({ inputIds: ids(i), shiftLabels: ids(i + 1) }, 0.01, tensor(i, { dtype: "i32" }));
    losses.push(await loss.item());
  }
  return losses;
}

/** Learns noise of a few images from their windows. */
async function trainConvolution(): Promise<number[]> {
  const model = new Conv2d({ inChannels: 3, outChannels: 16, kernelSize: 3 }, randomKey(4));
  const objective = {
    loss: ({ images }: { images: Tensor<"f32"> }, { key }: RunOptions) => {
      const dropped = dropout(model.forward(images), 0.2, key); // [4, 16, 24, 24], 36,864 numbers
      const pooled = maxPool(dropped, { kernelSize: 3, stride: 2, padding: 1 });
      return { loss: mean(square(add(pooled, -1))) };
    },
  };
  const step = compileTrainStep(objective, new AdamW(model.namedParameters(), {}), { clipNorm: 1, key: randomKey(5) });
  const images = tensor(
    Float32Array.from({ length: 4 * 3 * 26 * 26 }, (_, i) => Math.sin(i * i)),
    { shape: [4, 3, 26, 26] },
  );
  const losses: number[] = [];
  for (let i = 0; i < STEPS; i++)
    losses.push(await (await step({ images }, 0.01, tensor(i, { dtype: "i32" }))).loss.item());
  return losses;
}

export const trained = ["mlp", "gpt", "convolution"] as const;

export async function trainAll(): Promise<Record<(typeof trained)[number], number[]>> {
  return { mlp: await trainMlp(), gpt: await trainGpt(), convolution: await trainConvolution() };
}
