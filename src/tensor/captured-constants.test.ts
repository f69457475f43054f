/** Gradients of small tensors, which are constants of the graph, that loops, branches and calls use inside. */
import { expect, test } from "vitest";
import {
  add,
  checkpoint,
  cond,
  customGradient,
  grad,
  greater,
  mul,
  scan,
  sum,
  type Tensor,
  tensor,
  whileLoop,
} from "./index.ts";

type F = Tensor<"f32">;
const numbers = [1, 2, 3];
/** Three steps, each of which adds x: 3 x. */
const scanned = (x: F) => scan((h: F) => ({ carry: add(h, x) }), { init: mul(x, 0), length: 3 }).carry;
const chosen = (x: F, most: number) =>
  cond(
    greater(most, sum(x)),
    tensor(2),
    (two: F) => mul(x, two),
    (two: F) => mul(x, mul(x, two)),
  );
const called = (x: F) => checkpoint((two: F) => mul(mul(x, two), x))(tensor(2));
const nested = (x: F) => checkpoint((two: F) => mul(scanned(x), two))(tensor(2));
const inLoop = (x: F) => scan((h: F) => ({ carry: add(h, called(x)) }), { init: mul(x, 0), length: 2 }).carry;

test.each<[string, (x: F) => F, number[]]>([
  ["a scan", scanned, [3, 3, 3]],
  ["the first branch", (x) => chosen(x, 10), [2, 2, 2]],
  ["the second branch", (x) => chosen(x, 1), [4, 8, 12]],
  ["a checkpoint", called, [4, 8, 12]],
  ["a scan in a checkpoint", nested, [6, 6, 6]],
  ["a checkpoint in a scan", inLoop, [8, 16, 24]],
])("%s", async (_, of, expected) => {
  const x = tensor(numbers);
  expect(await grad(sum(of(x)), [x])[0].toArray()).toEqual(expected);
  // beside it, a use that is not inside
  const y = tensor(numbers);
  const [dy] = grad(add(sum(of(y)), sum(y)), [y]);
  expect(await dy.toArray()).toEqual(expected.map((value) => value + 1));
});

test("a gradient of a gradient", async () => {
  const x = tensor(numbers);
  const [dx] = grad(sum(inLoop(x)), [x]); // 8 x
  expect(await grad(sum(mul(dx, dx)), [x])[0].toArray()).toEqual(numbers.map((value) => 128 * value));
});

test("what is between a constant and the loss has its gradient too", async () => {
  const x = tensor(numbers);
  const middle = scanned(x);
  const [dMiddle, dx] = grad(sum(mul(middle, middle)), [middle, x]);
  expect(await dMiddle.toArray()).toEqual([6, 12, 18]);
  expect(await dx.toArray()).toEqual([18, 36, 54]);
});

test("a scalar counts as well", async () => {
  const rate = tensor(0.5);
  const { carry } = scan((h: F) => ({ carry: mul(h, rate) }), { init: tensor(8), length: 2 });
  expect(await grad(carry, [rate])[0].item()).toBe(8);
});

test("what has no gradient says so", () => {
  const x = tensor(numbers);
  const looped = whileLoop(
    (h: F) => greater(10, sum(h)),
    (h: F) => add(h, x),
    tensor([0, 0, 0]),
  );
  expect(() => grad(sum(looped), [x])).toThrow(/whileLoop, for inference only/);
  const doubled = customGradient(
    (two: F) => mul(x, two),
    (dy) => [sum(dy)],
  );
  expect(() => grad(sum(doubled(tensor(2))), [x])).toThrow(/which does not/);
});
