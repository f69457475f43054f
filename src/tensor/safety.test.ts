import { expect, test } from "vitest";
import { estimateMemory, optimize } from "../lower/index.ts";
import { Device } from "../runtime/index.ts";
import {
  add,
  checkpoint,
  compile,
  div,
  gather,
  grad,
  log,
  matmul,
  mul,
  normal,
  randomKey,
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
