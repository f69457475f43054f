/** Results that are had without a copy, in memory that is used again. */
import { expect, test } from "vitest";
import { compile, mul, type Tensor, tensor } from "./index.ts";

const numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => i);

test("numbers that are taken are those of the result", async () => {
  const double = compile((x: Tensor<"f32">) => mul(x, 2));
  expect([...(await double(tensor([1, 2, 3])).take())]).toEqual([2, 4, 6]);
});

test("taking what is data, or not computed yet, copies", async () => {
  const data = numbers(3);
  const x = tensor(data);
  expect([...(await mul(x, 3).take())]).toEqual([0, 3, 6]);
  expect([...(await x.read())]).toEqual([0, 1, 2]);
});

test("runs write their results into the memory of the one before, of every size", async () => {
  const double = compile((x: Tensor<"f32">) => mul(x, 2), { reusesResults: true, symbolicSizes: [["N"]] });
  for (const count of [3, 100_000]) {
    const first = await double(tensor(numbers(count))).take();
    expect(first[count - 1]).toBe(2 * (count - 1));
    const second = await double(tensor(numbers(count).map((value) => -value))).take();
    expect(second).toBe(first);
    expect(second[count - 1]).toBe(-2 * (count - 1));
  }
  const longest = await double(tensor(numbers(100_000))).take();
  const shorter = await double(tensor(numbers(5))).take();
  expect([...shorter]).toEqual([0, 2, 4, 6, 8]);
  expect(shorter.buffer).toBe(longest.buffer);
  expect((await double(tensor(numbers(50_000))).take()).buffer).toBe(longest.buffer);
  const longer = await double(tensor(numbers(200_000))).take();
  expect([longer.length, longer[199_999]]).toEqual([200_000, 399_998]);
});
