/** Training on WebGPU in Node, where there is an adapter: the losses of the CPU, and state that stays on the GPU. */
import { afterAll, expect, test } from "vitest";
import { Device } from "./runtime/index.ts";
import {
  add,
  cast,
  compile,
  conv,
  crossEntropy,
  gelu,
  grad,
  greater,
  logicalAnd,
  logicalOr,
  logicalXor,
  matmul,
  maxPool,
  ones,
  reshape,
  rmsNorm,
  scaledDotProductAttention,
  scan,
  setDefaultDevice,
  sum,
  type Tensor,
  tanh,
  tensor,
} from "./tensor/index.ts";
import { trainBoth } from "./testing/page/program.ts";

const [cpu, gpu] = [new Device({ threads: 1 }), new Device({ type: "webgpu" })];
const isPresent = await gpu.picked.then(
  () => true,
  () => false,
);
afterAll(async () => {
  setDefaultDevice(undefined);
  await Promise.all([cpu.close(), gpu.close()]);
});

test.skipIf(!isPresent)("an MLP and a GPT train with the losses of the CPU", { timeout: 240_000 }, async () => {
  setDefaultDevice(cpu);
  const expected = await trainBoth();
  setDefaultDevice(gpu);
  const losses = await trainBoth();
  for (const name of ["mlp", "gpt"] as const) {
    for (const [i, loss] of expected[name].entries())
      expect(Math.abs(losses[name][i] - loss)).toBeLessThan(2e-4 * loss);
  }
});

const waves = (shape: number[]) =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i)),
    { shape },
  );

/**
 * A product with a weight, normalised, attention, the loss, GELU's gradient at a size that the CPU computes slice by
 * slice, and a loop.
 */
function lossOf(x: Tensor<"f32">): Tensor<"f32"> {
  const projected = matmul(reshape(x, [2, 256, 16]), waves([16, 16]), { transposeB: true });
  const heads = reshape(rmsNorm(projected, ones([16])), [1, 2, 512, 8]);
  const attended = reshape(scaledDotProductAttention(heads, heads, heads, { isCausal: true }), [512, 16]);
  const wide = gelu(matmul(attended, waves([16, 256])), "tanh"); // [512, 256]
  const targets = tensor(Int32Array.from({ length: 512 }, (_, i) => i % 256));
  const { carry } = scan(
    ([state], step: Tensor<"f32">) => {
      const next = tanh(add(state, step)) as Tensor<"f32">;
      return { carry: [next], y: next };
    },
    { init: [sum(reshape(x, [16, 512]), { axes: 0 })], xs: reshape(x, [16, 512]), reverse: true },
  );
  return add(crossEntropy(wide, targets), sum(carry[0] as Tensor<"f32">)) as Tensor<"f32">;
}

test.skipIf(!isPresent)("nothing of a convolution and the maximum of its windows is left to the CPU", async () => {
  const images = waves([2, 3, 8, 8]);
  const results = [];
  for (const device of [cpu, gpu]) {
    const pooled = compile(
      (input: Tensor<"f32">) => maxPool(conv(input, waves([4, 3, 3, 3])), { kernelSize: 3, stride: 2, padding: 1 }),
      { device, profile: device === gpu },
    );
    results.push(await pooled(images).read());
    if (device === gpu) expect((await pooled.profile()).fallbacks()).toEqual([]);
  }
  const [expected, actual] = results;
  for (const [i, value] of expected.entries()) expect(Math.abs(actual[i] - value)).toBeLessThan(1e-5);
});

test.skipIf(!isPresent)("a label that is no class makes the loss NaN", async () => {
  const logits = tensor([
    [1, 2, 3],
    [0, 0, 5],
  ]);
  const first = Math.log(Math.exp(1) + Math.exp(2) + Math.exp(3)) - 1;
  for (const options of [{}, { weight: ones([3]) }]) {
    const lossOf = (x: Tensor<"f32">, labels: Tensor<"i32">) => crossEntropy(x, labels, options);
    const loss = compile(lossOf, { device: gpu });
    for (const label of [-1, 3]) expect(await loss(logits, tensor([0, label], { dtype: "i32" })).item()).toBeNaN();
    expect(await loss(logits, tensor([0, -100], { dtype: "i32" })).item()).toBeCloseTo(first, 5);
  }
});

test.skipIf(!isPresent)("nothing of bools and what is made of them is left to the CPU", async () => {
  const [x, y] = [tensor([1, -1, 1, -1]), tensor([1, 1, -1, -1])];
  const functions = { and: logicalAnd, or: logicalOr, xor: logicalXor };
  const expected = { and: [1, 0, 0, 0], or: [1, 1, 1, 0], xor: [0, 1, 1, 0] };
  for (const [name, join] of Object.entries(functions) as [keyof typeof functions, typeof logicalAnd][]) {
    const joined = compile((a: Tensor<"f32">, b: Tensor<"f32">) => cast(join(greater(a, 0), greater(b, 0)), "f32"), {
      device: gpu,
      profile: true,
    });
    expect([name, Array.from(await joined(x, y).read())]).toEqual([name, expected[name]]);
    expect([name, (await joined.profile()).fallbacks()]).toEqual([name, []]);
  }
});

test.skipIf(!isPresent)(
  "nothing of products, norms, attention, losses, GELU and loops is left to the CPU",
  { timeout: 120_000 },
  async () => {
    const results = [];
    for (const device of [cpu, gpu]) {
      const step = compile((input: Tensor<"f32">) => grad(lossOf(input), [input])[0], {
        device,
        profile: device === gpu,
      });
      results.push(await (await step(waves([512, 16]))).read());
      if (device === gpu) expect((await step.profile()).fallbacks()).toEqual([]);
    }
    const [expected, actual] = results as [Float32Array, Float32Array];
    for (const [i, value] of expected.entries()) expect(Math.abs(actual[i] - value)).toBeLessThan(1e-3);
  },
);
