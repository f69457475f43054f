import { afterAll, describe, expect, test } from "vitest";
import { Device } from "../runtime/index.ts";
import { add, compile, flip, mul, type Tensor, tensor } from "./index.ts";
import { Variable } from "./variable.ts";
import { copyBoxes, resizeVariables, VariableRows } from "./variable-rows.ts";

const device = new Device({ binding: "C API" });
afterAll(() => device.close());

const numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => i);
const whole = () => new Variable({ name: "w", dtype: "f32", shape: [4, 3], symbolicSizes: ["R", null] }, numbers(12));

describe("rows of a variable", () => {
  test("one function reads and writes now these rows, now those, in the variable's memory", async () => {
    const variable = whole();
    const rows = new VariableRows(variable, { count: "R", symbolicSizes: [null] });
    const double = compile(
      (x: Tensor<"f32">) => {
        rows.assign(mul(rows.value, x));
        return x;
      },
      { device },
    );
    rows.show(1, 2, device);
    await double.run(tensor(10));
    rows.show(3, 1, device);
    await double.run(tensor(100));
    expect([...(await variable.read())]).toEqual([0, 1, 2, 30, 40, 50, 60, 70, 80, 900, 1000, 1100]);
    double.dispose();
    variable.dispose();
  });

  test("what a graph cannot write in place is copied there", async () => {
    const variable = whole();
    const row = new VariableRows(variable, { count: 1, symbolicSizes: [null] });
    const turn = compile(
      (x: Tensor<"f32">) => {
        row.assign(flip(row.value, [1]));
        return add(x, row.value);
      },
      { device },
    );
    for (const place of [0, 2, 2]) {
      row.show(place, 1, device);
      await turn.run(tensor(0));
    }
    expect([...(await variable.read())]).toEqual([2, 1, 0, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    turn.dispose();
    variable.dispose();
  });
});

test("boxes are copied between variables, stretch by stretch", async () => {
  const from = new Variable({ dtype: "f32", shape: [2, 2, 4, 2] }, numbers(32));
  const to = new Variable({ dtype: "f32", shape: [3, 2, 3, 2] }, new Float32Array(36));
  const on = compile((x: Tensor<"f32">) => add(x, add(from.value, 0)), { device });
  await on.run(tensor(0)); // brings it to the device
  const places = { fromStart: [1, 0, 2, 0], toStart: [2, 0, 1, 0], size: [1, 2, 2, 2] };
  const put = compile((x: Tensor<"f32">) => add(x, add(to.value, 0)), { device });
  await put.run(tensor(0));
  await copyBoxes([{ from, to, ...places } as never], device);
  const expected = new Float32Array(36);
  expected.set([20, 21, 22, 23], 2 * 12 + 2);
  expected.set([28, 29, 30, 31], 2 * 12 + 6 + 2);
  expect([...(await to.read())]).toEqual([...expected]);
});

test("a variable becomes larger: what it has stays in its place", async () => {
  const variable = new Variable({ dtype: "f32", shape: [2, 2, 1], symbolicSizes: ["R", "S", null] }, numbers(4));
  const read = compile((x: Tensor<"f32">) => add(x, variable.value), { device });
  await read.run(tensor(0));
  await resizeVariables([variable as never], [3, 3, 1], { device });
  expect(variable.shape).toEqual([3, 3, 1]);
  expect([...(await variable.read())]).toEqual([0, 1, 0, 2, 3, 0, 0, 0, 0]);
  await resizeVariables([variable as never], [2, 2, 1], { device, kept: [{ start: [1, 0, 0], size: [1, 2, 1] }] });
  expect([...(await variable.read())]).toEqual([0, 0, 2, 3]);
});
