/** Training on WebGPU in Node, where there is an adapter: the losses of the CPU, and state that stays on the GPU. */
import { afterAll, expect, test } from "vitest";
import { dropout } from "./nn/index.ts";
import { Device } from "./runtime/index.ts";
import {
  abs,
  add,
  argmax,
  argmin,
  atan2,
  cast,
  compile,
  conv,
  crossEntropy,
  div,
  fakeQuantize,
  gelu,
  grad,
  greater,
  isInfinite,
  isNan,
  logicalAnd,
  logicalOr,
  logicalXor,
  logSumExp,
  matmul,
  max,
  maxPool,
  min,
  mul,
  ones,
  pow,
  randomKey,
  remainder,
  reshape,
  rmsNorm,
  round,
  scaledDotProductAttention,
  scan,
  setDefaultDevice,
  sign,
  sort,
  sum,
  type Tensor,
  tanh,
  tensor,
  topk,
  uniform,
} from "./tensor/index.ts";
import { trainAll, trained } from "./testing/page/program.ts";

const [cpu, gpu] = [new Device({ threads: 1 }), new Device({ type: "webgpu" })];
const isPresent = await gpu.picked.then(
  () => true,
  () => false,
);
afterAll(async () => {
  setDefaultDevice(undefined);
  await Promise.all([cpu.close(), gpu.close()]);
});

test.skipIf(!isPresent)(
  "an MLP, a GPT and a convolution train with the losses of the CPU",
  { timeout: 240_000 },
  async () => {
    setDefaultDevice(cpu);
    const expected = await trainAll();
    setDefaultDevice(gpu);
    const losses = await trainAll();
    for (const name of trained) {
      for (const [i, loss] of expected[name].entries())
        expect(Math.abs(losses[name][i] - loss)).toBeLessThan(2e-4 * loss);
    }
  },
);

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

/** Numbers of a function on the CPU and on the GPU, and what was left to the CPU there, also where that was all. */
async function onBoth(f: (...inputs: never[]) => Tensor, inputs: readonly Tensor[]) {
  const [expected, actual] = [compile(f, { device: cpu }), compile(f, { device: gpu, profile: true })];
  const numbers = await Promise.all(
    [expected, actual].map(async (run) => Array.from(await run(...(inputs as never[])).read(), Number)),
  );
  const fallbacks = (await actual.profile()).events.filter(({ provider }) => provider === "cpu");
  for (const run of [expected, actual]) run.dispose();
  return { expected: numbers[0], actual: numbers[1], fallbacks };
}

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;
const specials = tensor([1.5, -2.5, nan, 0, infinity, -infinity, 0.5, -0.5, -1.5, 2.5, 1e20]);
const withNan = tensor([
  [3, nan, 1, 5],
  [-1, -7, 2, 2],
]);
const [bases, exponents] = [
  tensor([0, 0, 0, 1, 1, -1, 2, -2, -2, -2, nan, 0.5, infinity, -infinity, 3]),
  tensor([0, 2, -1, infinity, nan, 3, -infinity, 3, 2, 0.5, 0, infinity, -1, 3, 0.25]),
];
const [dividends, divisors] = [
  tensor([3, -2, 0, 7, -7, 7, -7, 5], { dtype: "i32" }),
  tensor([2, 3, 0, -4, 4, -1, -1, 5], { dtype: "i32" }),
];
type Float = Tensor<"f32">;
const slope = (f: (x: Float) => Tensor) => (x: Float) => grad(sum(f(x)) as Float, [x])[0];
const whole = (f: (x: Float) => Tensor) => (x: Float) => cast(f(x) as Tensor<"bool">, "f32");
const ops: Record<string, readonly [(...inputs: never[]) => Tensor, ...Tensor[]]> = {
  isNan: [whole(isNan), specials],
  isInfinite: [whole(isInfinite), specials],
  max: [(x: Float) => max(x, { axes: 1 }), withNan],
  min: [(x: Float) => min(x, { axes: 0 }), withNan],
  argmax: [(x: Float) => argmax(x), withNan],
  argmin: [(x: Float) => argmin(x), withNan],
  sort: [(x: Float) => sort(x).values, withNan],
  topk: [(x: Float) => topk(x, 2).values, withNan],
  logSumExp: [slope((x) => logSumExp(x, { axes: 1 })), waves([3, 5])],
  sign: [sign, specials],
  "sign of integers": [sign, dividends],
  "gradient of abs": [slope(abs), specials],
  round: [round, specials],
  fakeQuantize: [(x: Float) => add(fakeQuantize(x, { scale: 0.1 }), round(x)), waves([20])],
  pow: [pow, bases, exponents],
  "pow along an axis": [pow, abs(waves([2, 3, 4])), tensor([1, -2, 3, 0.5])],
  "pow of a number": [(x: Float) => add(pow(x, 3), pow(add(abs(x), 1), -1.5)), waves([12])],
  "gradient of pow": [slope((x) => pow(x, waves([2, 4]))), abs(waves([2, 4]))],
  atan2: [atan2, specials, tensor([1, -1, 0, -2, infinity, -infinity, 0.1, -3, nan, 0, 1])],
  "remainder of integers": [remainder, dividends, divisors],
  "quotient of integers": [div, dividends, divisors],
  "gradient of maxPool": [
    slope((x) => mul(maxPool(x, { kernelSize: 3, stride: 2, padding: 1 }), waves([2, 3, 4, 4]))),
    round(mul(waves([2, 3, 8, 8]), 2)), // with ties
  ],
  "gradient of maxPool with gaps": [
    slope((x) => mul(maxPool(x, { kernelSize: 2, stride: 1, dilation: 2, ceilMode: true }), waves([1, 2, 5]))),
    waves([1, 2, 7]),
  ],
};

test.skipIf(!isPresent)("ops whose operators WebGPU lacks give the CPU's numbers on the card", async () => {
  for (const [name, [f, ...inputs]] of Object.entries(ops)) {
    const { expected, actual, fallbacks } = await onBoth(f, inputs);
    expect([name, fallbacks.map(({ operator }) => operator)]).toEqual([name, []]);
    for (const [i, value] of expected.entries()) {
      const isClose =
        Object.is(actual[i] + 0, value + 0) || Math.abs(actual[i] - value) < 1e-5 * Math.max(1, Math.abs(value));
      expect([name, i, isClose ? value : actual[i]]).toEqual([name, i, value]);
    }
  }
});

test.skipIf(!isPresent)("random numbers are those of the CPU, and of many only keys are folded there", async () => {
  const key = randomKey(7);
  for (const shape of [[], [0, 3], [5], [11, 4099]]) {
    const { expected, actual, fallbacks } = await onBoth(
      (step: Tensor<"i32">) => uniform(key.fold(step), shape),
      [tensor(3, { dtype: "i32" })],
    );
    expect([shape, actual]).toEqual([shape, expected]);
    // tables of 512 integers of 64 bits, whatever the shape
    const isLong = ({ outputBytes }: { outputBytes: number }) => outputBytes > 8 * 512;
    expect([shape, fallbacks.filter(isLong)]).toEqual([shape, []]);
  }
  const counts = [cpu, gpu].map((device) =>
    compile((x: Float, step: Tensor<"i32">) => uniform(key.fold(step), x.shape), {
      device,
      symbolicSizes: [["N", "M"]],
    }),
  );
  const [expected, actual] = await Promise.all(
    counts.map(async (draw) => Array.from(await draw(waves([123, 4]), tensor(1, { dtype: "i32" })).read())),
  );
  expect(actual).toEqual(expected);
  const dropped = await onBoth(
    (x: Float, step: Tensor<"i32">) => slope((y) => dropout(y, 0.3, key.fold(step)))(x),
    [waves([64, 80]), tensor(11, { dtype: "i32" })],
  );
  expect(dropped.actual).toEqual(dropped.expected);
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
