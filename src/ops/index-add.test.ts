import { afterAll, expect, test } from "vitest";
import { Device } from "../runtime/index.ts";
import * as k from "../tensor/index.ts";
import { compile, fromHost, grad, indexAdd, mul, sum, type Tensor, tensor } from "../tensor/index.ts";

const device = new Device({ threads: 4 });
afterAll(() => device.close());

const [ROWS, COUNT, WIDTH] = [5, 2048, 256];
const indices = Int32Array.from({ length: COUNT }, (_, i) => (i * i) % ROWS);
const numbers = Float32Array.from({ length: COUNT * WIDTH }, (_, i) => Math.sin(i));

/** What all rows with an index add up to, in double precision. */
const totals = new Float64Array(ROWS * WIDTH);
for (const [i, index] of indices.entries())
  for (let j = 0; j < WIDTH; j++) totals[index * WIDTH + j] += numbers[i * WIDTH + j];

const largestError = (actual: ArrayLike<number>) =>
  totals.reduce((most, total, i) => Math.max(most, Math.abs(total - actual[i])), 0);

// threads that add to one row at once would lose some of what they add
test("many numbers that are added to few rows are all there, and the same each time", async () => {
  const add = compile((base: Tensor<"f32">, at: Tensor<"i32">, updates: Tensor<"f32">) => indexAdd(base, at, updates), {
    device,
  });
  const run = async () =>
    (await add(k.zeros([ROWS, WIDTH]), tensor(indices), fromHost("f32", [COUNT, WIDTH], numbers))).read();
  const first = await run();
  expect(largestError(first)).toBeLessThan(1e-3);
  for (let i = 0; i < 10; i++) expect(await run()).toEqual(first);
});

test("so are gradients of a table's rows that are looked up often", async () => {
  const lookUp = compile(
    (table: Tensor<"f32">, at: Tensor<"i32">, factors: Tensor<"f32">) =>
      grad(sum(mul(k.gather(table, at, 0), factors)), [table])[0],
    {
      device,
    },
  );
  for (let i = 0; i < 5; i++) {
    const gradient = await lookUp(k.ones([ROWS, WIDTH]), tensor(indices), fromHost("f32", [COUNT, WIDTH], numbers));
    expect(largestError(await gradient.read())).toBeLessThan(1e-3);
  }
});
