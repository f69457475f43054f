import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { HalfArray, hostArrayFrom, OptionError, widenToF32 } from "../base/index.ts";
import { Parameter } from "../nn/index.ts";
import { AdamW, Sgd } from "../optim/index.ts";
import { Device } from "../runtime/index.ts";
import { expectClose } from "../testing/close.ts";
import {
  cast,
  compile,
  embedding,
  grad,
  matmul,
  mul,
  normal,
  randomKey,
  sum,
  type Tensor,
  tensor,
  Variable,
} from "./index.ts";

const golden = JSON.parse(readFileSync(new URL("../../golden/train/stored.json", import.meta.url), "utf8"));
const stores = ["bf16", "f16"] as const;
const roundedTo = (stored: "bf16" | "f16", numbers: Float32Array) => widenToF32(stored, hostArrayFrom(stored, numbers));
const NUMBERS = Float32Array.of(1 / 3, -2.7, 65000, 1e-7, 0);

describe.each(stores)("a variable of f32 that is stored in %s", (stored) => {
  test("reads f32 numbers; set, an initial tensor and assign round them", async () => {
    const expected = roundedTo(stored, NUMBERS);
    const variable = new Variable({ dtype: "f32", stored, shape: [5] }, NUMBERS);
    expect(variable.value.dtype).toBe("f32");
    expect(await variable.read()).toEqual(expected);
    expect(await mul(variable.value, 2).read()).toEqual(expected.map((x) => 2 * x));
    expect(variable.buffer.dtype).toBe(stored);
    expect(await variable.read()).toEqual(expected);
    variable.set(new HalfArray(stored, hostArrayFrom(stored, NUMBERS)));
    expect(await variable.read()).toEqual(expected);
    variable.set(tensor(NUMBERS));
    expect(await variable.read()).toEqual(expected);

    const assign = compile(() => {
      variable.assign(mul(variable.value, 1 / 3));
      return mul(variable.value, 1);
    });
    const next = roundedTo(
      stored,
      expected.map((x) => Math.fround(x * Math.fround(1 / 3))),
    );
    expect(await (await assign()).read()).toEqual(next); // after `assign` the value is the rounded one
    expect(await variable.read()).toEqual(next);
  });

  test("gradients are in f32, and those of what is stored as numbers widened before", async () => {
    const [weight, table] = [normal(randomKey(1), [6, 4]), normal(randomKey(2), [5, 4])];
    const [kept, rows] = [weight, table].map((x) => new Parameter<"f32">(x.shape as number[], x, { stored }));
    const wide = await Promise.all([kept, rows].map(async (p) => tensor(await p.read(), { shape: p.shape })));
    const x = normal(randomKey(3), [3, 4]);
    const ids = tensor([1, 4, 1], { dtype: "i32" });
    const loss = (w: typeof x, t: typeof x) => {
      const y = matmul(mul(x, embedding(t, ids)), w, { transposeB: true });
      return sum(mul(y, y));
    };
    const gradients = grad(loss(kept.value, rows.value), [kept, rows]);
    const expected = grad(loss(wide[0], wide[1]), [wide[0], wide[1]]);
    for (const [i, gradient] of gradients.entries()) {
      expect(gradient.dtype).toBe("f32");
      expectClose(`gradient ${i}`, await gradient.read(), await expected[i].read(), 1e-6);
    }
  });

  test("steps of Sgd are PyTorch's", async () => {
    const { start, gradient, values } = golden[stored];
    const parameter = new Parameter<"f32">([start.length], Float32Array.from(start), { stored });
    const optimizer = new Sgd(new Map([["w", parameter]]));
    const step = compile(() => {
      const loss = sum(mul(parameter.value, tensor(gradient)));
      optimizer.update(grad(loss, [parameter]), { learningRate: golden.learningRate });
    });
    for (const expected of values) {
      await step();
      expect(await parameter.read()).toEqual(Float32Array.from(expected));
    }
  });

  test("AdamW keeps its moments in f32, and rounds the parameter at each step", async () => {
    const start = Float32Array.of(1, -3);
    const parameter = new Parameter<"f32">([2], start, { stored });
    const optimizer = new AdamW(new Map([["w", parameter]]), { weightDecay: 0 });
    const step = compile(() => {
      optimizer.update(grad(sum(mul(parameter.value, parameter.value)), [parameter]), { learningRate: 0.01 });
    });
    await step();
    expect(await parameter.read()).toEqual(
      roundedTo(
        stored,
        start.map((x) => x - 0.01 * Math.sign(x)),
      ),
    );
    expect([...optimizer.state.values()].map(({ stored }) => stored)).toEqual(["f32", "f32", "f32"]);
    expectClose("mean", (await optimizer.state.get("w.mean")?.read()) ?? [], [0.2, -0.6], 1e-6);
  });

  test("a large weight is widened tile by tile: the numbers are those of the plain product", async () => {
    const shape = [2048, 1030] as const; // 4 tiles, and a width that is no multiple of a register's
    const weight = new Variable({ dtype: "f32", stored, shape }, normal(randomKey(4), shape));
    const plain = tensor(await weight.read(), { shape });
    for (const rows of [[1], [3], [1, 1], [2, 3]]) {
      const x = normal(randomKey(5), [...rows, 1030]);
      const product = compile((input: typeof x) => matmul(input, weight.value, { transposeB: true }));
      const y = await product(x);
      expect(y.shape).toEqual([...rows, 2048]);
      expectClose("product", await y.read(), await matmul(x, plain, { transposeB: true }).read(), 2e-4);
      product.dispose();
      const dy = normal(randomKey(6), [...rows, 2048]);
      const gradient = compile((input: typeof dy) => matmul(input, weight.value));
      expectClose("gradient", await gradient(dy).read(), await matmul(dy, plain).read(), 2e-4);
      gradient.dispose();
    }
  });
});

test("the sizes of what a widened weight is multiplied with may be known only when it runs", async () => {
  const shape = [2048, 1024] as const;
  const weight = new Variable({ dtype: "f32", stored: "bf16", shape }, normal(randomKey(4), shape));
  const plain = tensor(await weight.read(), { shape });
  const product = compile((x: Tensor<"f32">) => matmul(x, weight.value, { transposeB: true }), {
    symbolicSizes: [["B", "T", null]],
  });
  for (const rows of [
    [1, 1],
    [2, 3],
  ]) {
    const x = normal(randomKey(6), [...rows, 1024]);
    expectClose("product", await (await product(x)).read(), await matmul(x, plain, { transposeB: true }).read(), 2e-4);
  }
});

test("bf16 takes 16 bits where ONNX Runtime is called by its C API, and gives the same numbers where it is not", async () => {
  const x = hostArrayFrom("bf16", NUMBERS);
  for (const binding of ["C API", "onnxruntime-node"] as const) {
    const device = new Device({ binding });
    try {
      const double = compile((input: Tensor<"bf16">) => cast(mul(cast(input, "f32"), 2), "bf16"), {
        device,
      });
      const variable = new Variable({ dtype: "f32", stored: "bf16", shape: [5] }, NUMBERS);
      const same = compile(() => mul(variable.value, 1), { device });
      expect(await (await double(tensor(Array.from(NUMBERS), { dtype: "bf16" }))).read()).toEqual(
        hostArrayFrom(
          "bf16",
          widenToF32("bf16", x).map((v) => 2 * v),
        ),
      );
      expect(await (await same()).read()).toEqual(widenToF32("bf16", x));
      expect(await variable.read()).toEqual(widenToF32("bf16", x));
    } finally {
      await device.close();
    }
  }
});

test("numbers in 16 bits that are widened once are so in slices", async () => {
  const length = 2 ** 22 + 3;
  const bits = Uint16Array.from({ length }, (_, i) => 0x3f80 + (i % 4001)); // bf16 from 1 upwards
  const variable = new Variable({ dtype: "f32", shape: [length] }, new HalfArray("bf16", bits));
  const [read, wide] = [await mul(variable.value, 1).read(), widenToF32("bf16", bits)];
  expect(read.length).toBe(length);
  expect(read.findIndex((number, i) => number !== wide[i])).toBe(-1); // toEqual takes half a minute for so many
});

test("only f32 may be stored as something else", () => {
  expect(() => new Variable({ dtype: "i32", stored: "f16" as "i32", shape: [1] }, Int32Array.of(1))).toThrow(
    OptionError,
  );
});
