import { describe, expect, expectTypeOf, test } from "vitest";
import { HalfArray } from "../base/index.ts";
import {
  compile,
  exp,
  full,
  gather,
  grad,
  matmul,
  mean,
  mul,
  ones,
  readTensors,
  square,
  stopGradient,
  sum,
  type Tensor,
  tanh,
  tensor,
  Variable,
  valueAndGrad,
  zeros,
} from "./index.ts";

describe("making and reading", () => {
  test("nested arrays, typed arrays, numbers", async () => {
    expect(
      await tensor([
        [1, 2],
        [3, 4],
      ]).toArray(),
    ).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(await tensor(5).item()).toBe(5);
    expect(await tensor(Int32Array.of(1, 2, 3, 4), { shape: [2, 2] }).toArray()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(await tensor([1.5, -2.5], { dtype: "f16" }).toArray()).toEqual([1.5, -2.5]);
    expect(await tensor([true, false], { dtype: "bool" }).toArray()).toEqual([1, 0]);
    expect(await zeros([2, 0]).toArray()).toEqual([[], []]);
    expect(await readTensors([ones([2]), full([1], 7)])).toEqual([Float32Array.of(1, 1), Float32Array.of(7)]);
  });

  test("dtypes are inferred", () => {
    expectTypeOf(tensor([1, 2])).toEqualTypeOf<Tensor<"f32">>();
    expectTypeOf(tensor(new Int32Array(1))).toEqualTypeOf<Tensor<"i32">>();
    expectTypeOf(tensor([1], { dtype: "i64" })).toEqualTypeOf<Tensor<"i64">>();
    expectTypeOf(tensor([1]).cast("f16")).toEqualTypeOf<Tensor<"f16">>();
  });

  test("what does not fit is refused", async () => {
    expect(() => tensor([[1], [2, 3]] as never)).toThrow(/equal lengths/);
    expect(() => tensor([1, 2, 3], { shape: [2, 2] })).toThrow(/4 numbers for shape \[2, 2\]; received 3/);
    await expect(tensor([1, 2]).item()).rejects.toThrow(/one element/);
    expect(() => tensor([1]).at(3)).toThrow(/inside axis 0/);
  });

  test("methods", async () => {
    const x = tensor([
      [1, 2],
      [3, 4],
    ]);
    expect(await x.add(1).matmul(x).toArray()).toEqual([
      [11, 16],
      [19, 28],
    ]);
    expect(await x.at(-1).toArray()).toEqual([3, 4]);
    expect(await x.transpose().slice({ axis: 1, start: 1 }).reshape([-1]).toArray()).toEqual([3, 4]);
    expect(await x.mean({ axes: 0 }).toArray()).toEqual([2, 3]);
    expect(String(x)).toBe("Tensor(f32[2, 2])");
  });
});

describe("gradients", () => {
  test("are graphs", async () => {
    const x = tensor([1, 2, 3]);
    const [dx] = grad(sum(mul(mul(x, x), x)), [x]);
    expect(await dx.toArray()).toEqual([3, 12, 27]);
    const [ddx] = grad(sum(dx), [x]);
    expect(await ddx.toArray()).toEqual([6, 12, 18]);
  });

  test("of repeated indices add up", async () => {
    const table = tensor([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    const [d] = grad(sum(mul(gather(table, tensor([2, 0, 2], { dtype: "i32" })), 2)), [table]);
    expect(await d.toArray()).toEqual([
      [2, 2],
      [0, 0],
      [4, 4],
    ]);
  });

  test("valueAndGrad gives both", async () => {
    const { value, gradients } = valueAndGrad((x: Tensor<"f32">, y: Tensor<"f32">) => sum(mul(x, y)))(
      tensor([1, 2]),
      tensor([3, 4]),
    );
    expect(await value.item()).toBe(11);
    expect(await Promise.all(gradients.map((g) => g.toArray()))).toEqual([
      [3, 4],
      [1, 2],
    ]);
  });

  test("of what does not influence the loss are errors that say so", () => {
    const [x, y] = [tensor([1, 2]), tensor([3, 4])];
    expect(() => grad(sum(x), [y])).toThrow(/a tensor that influences the loss.*which does not/);
    expect(() => grad(sum(stopGradient(x)), [x])).toThrow(/does not/);
    expect(() => grad(x, [x])).toThrow(/a float scalar/);
    expect(() => grad(sum(x.cast("i32").cast("f32")), [x])).toThrow(/does not/);
  });
});

describe("compile", () => {
  test("updates variables", async () => {
    const w = new Variable({ name: "w", dtype: "f32", shape: [2] }, Float32Array.of(1, 2));
    const step = compile((rate: Tensor<"f32">) => {
      const loss = sum(mul(w.value, w.value));
      const [dw] = grad(loss, [w]);
      w.assign(w.value.sub(dw.mul(rate)));
      return { loss, after: sum(w.value) };
    });
    const { loss, after } = await step(0.25);
    expect(await loss.item()).toBe(5);
    expect(await after.item()).toBe(1.5);
    expect(Array.from(await w.read())).toEqual([0.5, 1]);
    await step(0.5);
    expect(Array.from(await w.read())).toEqual([0, 0]);
    step.dispose();
  });

  test("variables whose numbers are still in 16 bits", async () => {
    const numbers = [1.5, -0.25, 65504, 2 ** -24, Number.POSITIVE_INFINITY, 0];
    for (const [dtype, bits] of [
      ["f16", Uint16Array.of(0x3e00, 0xb400, 0x7bff, 1, 0x7c00, 0x8000)],
      ["bf16", Uint16Array.of(0x3fc0, 0xbe80, 0x4780, 0x3380, 0x7f80, 0x8000)],
    ] as const) {
      const variable = new Variable({ dtype: "f32", shape: [6] }, new HalfArray(dtype, bits));
      const expected = dtype === "bf16" ? numbers.with(2, 65536) : numbers;
      expect(Array.from(await variable.read())).toEqual(expected.with(5, -0));
      const double = compile(() => mul(variable.value, 2));
      expect(Array.from(await (await double()).read())).toEqual(expected.map((value) => 2 * value).with(5, -0));
      expect(Array.from(await variable.read())).toEqual(expected.with(5, -0)); // from the device
      double.dispose();
      variable.dispose();
    }
    expect(() => new Variable({ dtype: "f32", shape: [5] }, new HalfArray("f16", new Uint16Array(4)))).toThrow(
      /4 numbers/,
    );
  });

  test("swaps variables, and rolls back", async () => {
    const [a, b] = [1, 2].map((x) => new Variable({ dtype: "f32", shape: [1] }, Float32Array.of(x)));
    const swap = compile(
      () => {
        const [x, y] = [a.value, b.value];
        a.assign(y);
        b.assign(x);
      },
      { keepPreviousState: true },
    );
    const state = async () => [...(await a.read()), ...(await b.read())];
    await swap();
    expect(await state()).toEqual([2, 1]);
    await swap();
    await swap();
    swap.rollback();
    expect(await state()).toEqual([1, 2]);
    await swap();
    expect(await state()).toEqual([2, 1]);
    expect(() => compile(() => {}).rollback()).toThrow(/keepPreviousState/);
  });

  test("runs once per signature, and again for other shapes", async () => {
    let traces = 0;
    const f = compile((x: Tensor<"f32">, mode: string) => {
      traces++;
      return mode === "sum" ? sum(x) : mean(x);
    });
    await f(tensor([1, 2]), "sum");
    await f(tensor([5, 6]), "sum");
    expect(traces).toBe(1);
    await f(tensor([1, 2, 3]), "sum");
    expect(await (await f(tensor([1, 2]), "mean")).item()).toBe(1.5);
    expect(traces).toBe(3);
  });

  test("symbolic sizes: one graph for all lengths", async () => {
    let traces = 0;
    const f = compile(
      (x: Tensor<"f32">) => {
        traces++;
        return x.reshape([-1, 2]).mul(2);
      },
      { symbolicSizes: [["T", null]] },
    );
    expect(await (await f(tensor([[1, 2, 3, 4]]))).toArray()).toEqual([
      [2, 4],
      [6, 8],
    ]);
    expect(
      await (
        await f(
          tensor([
            [1, 2, 3, 4],
            [5, 6, 7, 8],
          ]),
        )
      ).read(),
    ).toHaveLength(8);
    expect(traces).toBe(1);
  });

  test("large results stay on the device and feed the next call", async () => {
    const big = compile((x: Tensor<"f32">) => tanh(matmul(x, x)));
    const x = full([128, 128], 0.01);
    const y = await big(await big(x));
    expect((await y.read())[0]).toBeCloseTo(Math.tanh(128 * Math.tanh(0.0128) ** 2), 5);
    y.dispose();
  });

  test("mistakes are named", async () => {
    const outside = new Variable({ name: "w", dtype: "f32", shape: [1] }, new Float32Array(1));
    expect(() => outside.assign(tensor([1]))).toThrow(/assign to w.*inside a function passed to compile/);
    expect(() => new Variable({ name: "w", dtype: "f32", shape: [2] }, new Float32Array(1))).toThrow(
      /variable w: expected f32\[2\]; received 1 numbers/,
    );
    await expect(compile(async () => tensor(1)).run()).rejects.toThrow(/a synchronous function/);
    let leaked: Tensor<"f32"> | undefined;
    await compile((x: Tensor<"f32">) => {
      leaked = exp(square(x));
      return leaked;
    })(1);
    await expect(leaked?.read()).rejects.toThrow(/do not read a tensor inside|placeholder/);
  });
});
