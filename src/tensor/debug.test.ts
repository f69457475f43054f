import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  add,
  autocast,
  checkpoint,
  compile,
  cond,
  customGradient,
  type DebugReport,
  debug,
  div,
  grad,
  greater,
  mul,
  scan,
  sub,
  sum,
  type Tensor,
  tensor,
  Variable,
  vmap,
  whileLoop,
  withScope,
} from "./index.ts";

type F = Tensor<"f32">;

let lines: string[] = [];
beforeEach(() => {
  lines = [];
  vi.spyOn(console, "error").mockImplementation((...args: unknown[]) => {
    lines.push(args.join(" "));
  });
});
afterEach(() => vi.restoreAllMocks());

test("prints name, shape, range and first numbers in each run, also of what is used for nothing", async () => {
  const f = compile((x: F) => {
    debug("unused", add(x, 1));
    return sum(debug("squares", mul(x, x)));
  });
  expect(await f(tensor([1, 2, 3])).item()).toBe(14);
  await f.run(tensor([0, 0, 1]));
  expect(lines).toEqual([
    "unused f32[3]: min 2, max 4, mean 3; 2, 3, 4",
    "squares f32[3]: min 1, max 9, mean 4.66667; 1, 4, 9",
    "unused f32[3]: min 1, max 2, mean 1.33333; 1, 1, 2",
    "squares f32[3]: min 0, max 1, mean 0.333333; 0, 0, 1",
  ]);
});

test("is named by what computes it; counts NaN; shows eight numbers; takes every dtype", async () => {
  const f = compile((x: F) => {
    debug(withScope("decoder", () => div(x, x)));
    debug(x);
    debug("is", greater(x, 4));
  });
  await f.run(tensor([0, 1, 2, 3, 4, 5, 6, 7, 8]));
  expect(lines).toEqual([
    "div in decoder f32[9]: min 1, max 1, mean 1, 1 NaN; NaN, 1, 1, 1, 1, 1, 1, 1, ...",
    expect.stringMatching(/^.* f32\[9\]: min 0, max 8, mean 4; 0, 1, 2, 3, 4, 5, 6, 7, \.\.\.$/),
    "is bool[9]: min 0, max 1, mean 0.444444; 0, 0, 0, 0, 0, 1, 1, 1, ...",
  ]);
});

test("gives all numbers to a callback, whose errors are no errors of the run", async () => {
  const reports: DebugReport[] = [];
  const state = new Variable({ dtype: "f32", shape: [2] }, Float32Array.of(1, 2));
  const step = compile(
    (x: F) => {
      const next = debug("next", add(state, x), { report: (report) => reports.push(report) });
      state.assign(next);
      debug("bad", x, {
        report: () => {
          throw new Error("mine");
        },
      });
      return next;
    },
    { symbolicSizes: [null] },
  );
  expect(await step(tensor([1, 1])).toArray()).toEqual([2, 3]);
  expect(await state.toArray()).toEqual([2, 3]);
  expect(reports).toMatchObject([{ name: "next", dtype: "f32", shape: [2], min: 2, max: 3, mean: 2.5, nanCount: 0 }]);
  expect(reports[0].data).toEqual(Float32Array.of(2, 3));
  expect(lines).toEqual(["debug bad: Error: mine"]);
});

test("works under symbolic sizes, debugNans and grad", async () => {
  const f = compile(
    (x: F) => {
      const [dx] = grad(sum(mul(debug("h", mul(x, x)), 2)), [x]);
      return debug("dx", dx);
    },
    { symbolicSizes: [["N"]], debugNans: true },
  );
  expect(await f(tensor([1, 2])).toArray()).toEqual([4, 8]);
  expect(await f(tensor([3])).toArray()).toEqual([12]);
  expect(lines).toEqual([
    "h f32[2]: min 1, max 4, mean 2.5; 1, 4",
    "dx f32[2]: min 4, max 8, mean 6; 4, 8",
    "h f32[1]: min 9, max 9, mean 9; 9",
    "dx f32[1]: min 12, max 12, mean 12; 12",
  ]);
});

test("in vmap, scan, checkpoint and customGradient shows all examples and steps, also with gradients", async () => {
  const square = (name: string) => (x: F) => debug(name, mul(x, x));
  const f = compile((xs: F) => {
    const batched = vmap((x: F) => sum(square("example")(x)))(xs);
    const { carry } = scan((total: F, x: F) => ({ carry: add(total, sum(square("step")(x))) }), {
      init: tensor(0),
      xs,
    });
    const kept = sum(checkpoint(square("checkpointed"))(xs));
    const custom = sum(customGradient(square("custom"), (dy: F) => [dy])(xs));
    const loss = add(add(sum(batched), carry), add(kept, custom));
    return { loss, dx: grad(loss, [xs])[0] };
  });
  const { loss, dx } = f(
    tensor([
      [1, 2],
      [3, 4],
    ]),
  );
  expect(await loss.item()).toBe(120);
  expect(await dx.toArray()).toEqual([
    [7, 13],
    [19, 25],
  ]);
  expect(lines).toEqual(
    ["example", "step", "checkpointed", "custom"].map(
      (name) => `${name} f32[2, 2]: min 1, max 16, mean 7.5; 1, 4, 9, 16`,
    ),
  );
});

test("in nested loops shows a tensor with an axis for each", async () => {
  const f = compile((xs: F) =>
    vmap((row: F) => scan((c: F, x: F) => ({ carry: debug("c", add(c, x)) }), { init: tensor(0), xs: row }).carry)(xs),
  );
  expect(
    await f(
      tensor([
        [1, 2, 3],
        [4, 5, 6],
      ]),
    ).toArray(),
  ).toEqual([6, 15]);
  expect(lines).toEqual(["c f32[2, 3]: min 1, max 15, mean 6.33333; 1, 3, 6, 4, 9, 15"]);
});

test("says that numbers in branches and while loops cannot be seen; shows what is before autocast", async () => {
  const x = tensor([2]);
  expect(
    await cond(
      greater(sum(x), 0),
      x,
      (x) => debug("then", mul(x, 2)),
      (x) => x,
    ).item(),
  ).toBe(4);
  expect(
    await whileLoop(
      (x: F) => greater(sum(x), 0),
      (x) => debug("body", sub(x, 1)),
      x,
    ).item(),
  ).toBe(0);
  expect(lines).toEqual([
    "then cannot be shown: it is computed inside cond",
    "body cannot be shown: it is computed inside whileLoop",
  ]);
  lines = [];
  await compile((x: F) => autocast(sum(debug("x2", mul(x, 2))), "bf16")).run(x);
  expect(lines).toEqual(["x2 f32[1]: min 4, max 4, mean 4; 4"]);
});

test("outside of compiled functions computes the tensor, and says when it cannot", async () => {
  const x = mul(tensor([1, 2]), 2);
  expect(debug("now", x)).toBe(x);
  vmap((x: F) => debug("batched", mul(x, x)))(tensor([1, 2]));
  const leaked: F[] = [];
  compile((x: F) => {
    leaked.push(add(x, 1));
    return x;
  }).graph(x);
  debug("leaked", leaked[0]);
  await expect.poll(() => lines.length).toBe(3);
  expect(lines.toSorted()).toEqual([
    "batched f32[2]: min 1, max 4, mean 2.5; 1, 4",
    expect.stringMatching(/^leaked cannot be shown:.*do not read a tensor inside/),
    "now f32[2]: min 2, max 4, mean 3; 2, 4",
  ]);
});
