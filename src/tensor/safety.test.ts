import { expect, test } from "vitest";
import { estimateMemory, optimize } from "../lower/index.ts";
import { Device } from "../runtime/index.ts";
import {
  add,
  checkpoint,
  compile,
  crossEntropy,
  div,
  gather,
  grad,
  log,
  matmul,
  mul,
  normal,
  ones,
  randomKey,
  reshape,
  sub,
  sum,
  type Tensor,
  tanh,
  tensor,
  uniform,
  Variable,
  withScope,
  zeros,
} from "./index.ts";

type F = Tensor<"f32">;

test("debugNans names the first op and module, and leaves the state as it was", async () => {
  const weight = new Variable({ dtype: "f32", shape: [2] }, Float32Array.of(1, 2));
  const step = compile(
    (x: F) => {
      const hidden = withScope("encoder", () => mul(x, weight.value));
      const logged = withScope("decoder", () => log(hidden));
      const loss = sum(add(logged, 1));
      weight.assign(sub(weight.value, mul(grad(loss, [weight])[0], 0.1)));
      return loss;
    },
    { debugNans: true },
  );
  expect(await step(tensor([1, 1])).item()).toBeCloseTo(2 + Math.log(2), 5);
  const before = await weight.read();
  await expect(step.run(tensor([1, -1]))).rejects.toThrow(
    /^log in decoder: expected numbers; received NaN from log\(f32\[2\]\)/,
  );
  expect(await weight.read()).toEqual(before);
});

test("indices out of range are errors that say where, when traced or when run", async () => {
  const table = normal(randomKey(0), [4, 3]);
  expect(() => gather(table, tensor([0, 4], { dtype: "i32" }))).toThrow(
    /indices from -4 to 3; received 4 at position 1/,
  );
  const look = compile((indices: Tensor<"i32">) => withScope("embedding", () => gather(table, indices)));
  await expect(look.run(tensor([7], { dtype: "i32" }))).rejects.toThrow(/^gather in embedding: .*check the indices/s);
  expect(await look(tensor([-1], { dtype: "i32" })).read()).toHaveLength(3); // the device goes on
});

const ints = (numbers: readonly number[]) => tensor(numbers, { dtype: "i32" });

test.each([
  ["plain", {}],
  ["smoothed", { labelSmoothing: 0.1 }],
  ["weighted", { weight: ones([3]) }],
])(
  "a %s cross-entropy of labels that are no class is an error, eager, folded, compiled and with a gradient",
  async (_, options) => {
    const logits = tensor([
      [1, 2, 3],
      [0, 0, 5],
    ]);
    const lossOf = compile((x: F, labels: Tensor<"i32">) => crossEntropy(x, labels, options));
    const lossOf64 = compile((x: F, labels: Tensor<"i64">) => crossEntropy(x, labels, options));
    const slope = compile((x: F, labels: Tensor<"i32">) => grad(crossEntropy(x, labels, options), [x])[0]);
    for (const label of [-1, -3, -99, 3]) {
      const labels = [0, label];
      expect(() => crossEntropy(logits, ints(labels), options)).toThrow(
        `expected targets from 0 to 2, or -100, which does not count; received ${label} at position 1`,
      );
      expect(() => crossEntropy(logits, reshape(ints(labels), [2]), options)).toThrow(
        `received ${label} at position 1`,
      );
      const folded = async () => crossEntropy(logits, sub(add(ints(labels), 1), 1), options).item();
      await expect(folded()).rejects.toThrow(/expected (targets|indices) from/);
      await expect(lossOf.run(logits, ints(labels))).rejects.toThrow(
        /^(crossEntropy|takeAlong|gather): .*check the indices: .* labels must be at least 0/s,
      );
      await expect(lossOf64.run(logits, tensor(labels, { dtype: "i64" }))).rejects.toThrow(/labels must be at least 0/);
      await expect(slope.run(logits, ints(labels))).rejects.toThrow(/labels must be at least 0/);
    }
    // -100 does not count: the first row's loss alone, which smoothing moves towards the mean of the classes
    const first = Math.log(Math.exp(1) + Math.exp(2) + Math.exp(3)) - 1;
    const expected = "labelSmoothing" in options ? 0.9 * first + 0.1 * (first - 1) : first;
    for (const value of [lossOf(logits, ints([0, -100])), crossEntropy(logits, ints([0, -100]), options)])
      expect(await (await value).item()).toBeCloseTo(expected, 5);
  },
);

test("a label of -1 may be the one that does not count, and options out of range are refused", async () => {
  const logits = zeros([2, 4]);
  expect(await crossEntropy(logits, ints([0, -1]), { ignoreIndex: -1 }).item()).toBeCloseTo(Math.log(4), 6);
  for (const labelSmoothing of [Number.NaN, -0.1, 1.1])
    expect(() => crossEntropy(logits, ints([0, 1]), { labelSmoothing })).toThrow(
      `crossEntropy: expected labelSmoothing from 0 to 1; received ${labelSmoothing}`,
    );
  expect(() => crossEntropy(logits, ints([0, 1]), { ignoreIndex: 0.5 })).toThrow(/ignoreIndex to be an integer/);
});

test("a graph that cannot fit is refused before anything is allocated", async () => {
  const big = compile((x: F) => sum(matmul(add(x, 1), x, { transposeB: true })));
  const wide = uniform(randomKey(0), [300_000, 2]);
  await expect(big.run(wide)).rejects.toThrow(
    /^memory: expected a graph that needs at most [\d.]+ GiB, what is free; received one that needs about 335/,
  );
  const device = new Device({ memoryLimit: 2 ** 28 });
  const small = compile((x: F) => sum(mul(add(x, 1), x)), { device });
  await expect(small.run(zeros([2 ** 13, 2 ** 13]))).rejects.toThrow(/at most 0.3 GiB/);
  await device.close();
});

/** A deep stack of wide layers, each checkpointed or not. */
function deepLoss(x: F, isCheckpointed: boolean): F {
  const block = (h: F): F => tanh(mul(tanh(mul(tanh(mul(tanh(mul(h, 1.1)), 0.9)), 1.2)), 0.8));
  let h = x;
  for (let i = 0; i < 12; i++) h = (isCheckpointed ? checkpoint(block) : block)(h);
  return sum(div(mul(h, h), 2));
}

test("checkpointing needs less than half of the memory, by the estimate", () => {
  const peak = (isCheckpointed: boolean) => {
    const step = compile((x: F) => grad(deepLoss(x, isCheckpointed), [x])[0]);
    return estimateMemory(optimize(step.graph(normal(randomKey(0), [256, 256])))).peakBytes;
  };
  expect(peak(true)).toBeLessThan(0.5 * peak(false));
});
