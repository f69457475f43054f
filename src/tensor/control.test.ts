import { expect, test } from "vitest";
import { optimize } from "../lower/index.ts";
import {
  add,
  broadcastTo,
  checkpoint,
  compile,
  concat,
  cond,
  conv,
  crossEntropy,
  customGradient,
  flip,
  full,
  gather,
  grad,
  greater,
  jvp,
  less,
  linear,
  matmul,
  max,
  minimum,
  mul,
  normal,
  randomKey,
  readTensors,
  reshape,
  scan,
  sin,
  slice,
  softmax,
  sort,
  sub,
  sum,
  type Tensor,
  tanh,
  tensor,
  transpose,
  Variable,
  valueAndGrad,
  vmap,
  whileLoop,
  zeros,
} from "./index.ts";

type F = Tensor<"f32">;
const close = (actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-4) => {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++)
    expect(Math.abs(actual[i] - expected[i])).toBeLessThan(tolerance * Math.max(1, Math.abs(expected[i])));
};
const T = 5;
const cell = (h: F, x: F, w: F, u: F, b: F) => tanh(add(add(matmul(h, w), matmul(x, u)), b));
const rnnParts = () => {
  const [w, u, b, xs] = [[4, 4], [3, 4], [4], [T, 2, 3]].map((shape, i) => normal(randomKey(i), shape));
  return { w, u, b, xs };
};
const scanned = ({ w, u, b, xs }: ReturnType<typeof rnnParts>, reverse = false) => {
  const { carry, ys } = scan(
    (h: F, x: F) => {
      const next = cell(h, x, w, u, b);
      return { carry: next, y: mul(next, next) };
    },
    { init: zeros([2, 4]), xs, reverse },
  );
  return add(sum(mul(carry, 0.5)), sum(ys));
};
const unrolled = ({ w, u, b, xs }: ReturnType<typeof rnnParts>, reverse = false) => {
  let h: F = zeros([2, 4]);
  let total: F = tensor(0);
  for (let step = 0; step < T; step++) {
    const t = reverse ? T - 1 - step : step;
    h = cell(h, reshape(slice(xs, { axis: 0, start: t, end: t + 1 }), [2, 3]), w, u, b);
    total = add(total, sum(mul(h, h)));
  }
  return add(total, sum(mul(h, 0.5)));
};

test.each([false, true])(
  "a scanned RNN equals the unrolled one, in value, gradient and gradient of the gradient (reverse: %s)",
  async (reverse) => {
    const parts = rnnParts();
    const targets = [parts.w, parts.u, parts.b, parts.xs] as const;
    const numbers = async (loss: F) => {
      const first = grad(loss, targets);
      const second = grad(
        first.map((g) => sum(mul(sin(g), g))).reduce((a, b) => add(a, b)),
        targets,
      );
      return readTensors([loss, ...first, ...second]);
    };
    const [a, b] = [await numbers(scanned(parts, reverse)), await numbers(unrolled(parts, reverse))];
    for (const [i, array] of a.entries()) close(array, b[i], 1e-3);
  },
);

test("the gradient's forward scan replaces the one for the value: two scans in all", () => {
  const parts = rnnParts();
  const step = compile((w: F) => {
    const loss = scanned({ ...parts, w });
    return { loss, dw: grad(loss, [w])[0] };
  });
  const scans = optimize(step.graph(parts.w)).nodes.filter(({ op }) => op.name === "scan");
  expect(scans.length).toBe(2);
});

test("scan without sequences, with several carries and integers", async () => {
  const { carry } = scan(([a, b]: readonly [Tensor<"i32">, Tensor<"i32">]) => ({ carry: [b, add(a, b)] as const }), {
    init: [tensor(0, { dtype: "i32" }), tensor(1, { dtype: "i32" })] as const,
    length: 10,
  });
  expect(await carry[0].item()).toBe(55);
});

test("a carry that changes its shape is an error that says so", () => {
  expect(() => scan((h: F) => ({ carry: reshape(h, [4, 1]) }), { init: zeros([2, 2]), length: 3 })).toThrow(
    /carry 0 to keep its type, f32\[2, 2\]; received f32\[4, 1\]/,
  );
});

test("cond runs and differentiates the chosen branch", async () => {
  const w = tensor(3);
  const f = valueAndGrad((x: F) =>
    cond(
      greater(x, 0),
      x,
      (x) => mul(mul(x, x), w),
      (x) => mul(x, -1),
    ),
  );
  for (const [x, value, slope] of [
    [2, 12, 12],
    [-2, 2, -1],
  ]) {
    const result = f(tensor(x));
    expect(await result.value.item()).toBe(value);
    expect(await result.gradients[0].item()).toBe(slope);
    const compiled = compile((x: F) => f(x).gradients[0]);
    expect(await (await compiled(tensor(x))).item()).toBe(slope);
  }
});

test("whileLoop repeats until its condition is false, and has no gradient", async () => {
  const limit = tensor(1000);
  const [x, steps] = whileLoop(
    ([x]) => less(x, limit),
    ([x, n]) => [mul(x, 3), add(n, 1)] as const,
    [tensor(1), tensor(0)] as const,
  );
  expect(await readTensors([x, steps])).toEqual([Float32Array.of(2187), Float32Array.of(7)]);
  expect(
    await whileLoop(
      (x) => less(x, 0),
      (x) => mul(x, 3),
      tensor(5),
    ).item(),
  ).toBe(5);
  const start = tensor(1);
  expect(() =>
    grad(
      whileLoop(
        (x) => less(x, 9),
        (x) => mul(x, 2),
        start,
      ),
      [start],
    ),
  ).toThrow(/use scan to train/);
});

test("checkpoint gives the same values and gradients, of both orders, also with a scan inside", async () => {
  const parts = rnnParts();
  const numbers = async (isCheckpointed: boolean) => {
    const body = (w: F, xs: F) => scanned({ ...parts, w, xs });
    const loss = (isCheckpointed ? checkpoint(body) : body)(parts.w, parts.xs);
    const first = grad(loss, [parts.w, parts.u]);
    return readTensors([loss, ...first, ...grad(sum(mul(first[0], first[0])), [parts.w])]);
  };
  const [a, b] = [await numbers(true), await numbers(false)];
  for (const [i, array] of a.entries()) close(array, b[i]);
});

test("customGradient uses the given gradient", async () => {
  const clamped = customGradient(
    (x: F, limit: F) => minimum(x, limit),
    (dy, [x], y) => [mul(dy, sub(x, y)), undefined],
  );
  const x = tensor([0, 5]);
  expect(await grad(sum(clamped(x, tensor(1))), [x])[0].toArray()).toEqual([0, 4]);
});

test("jvp is the Jacobian times a vector, and gives Hessian-vector products", async () => {
  const x = normal(randomKey(1), [4]);
  const v = normal(randomKey(2), [4]);
  const f = (x: F) => sum(mul(sin(x), mul(x, x)));
  const { tangent } = jvp(f, [x], [v]);
  const [dx] = grad(f(x), [x]);
  close(await tangent.read(), await sum(mul(dx, v)).read());
  const gradient = (x: F): F => {
    const [dx] = grad(f(x), [x]);
    return dx;
  };
  const hvp = jvp(gradient, [x], [v]).tangent;
  const viaReverse = grad(sum(mul(dx, v)), [x])[0];
  close(await hvp.read(), await viaReverse.read());
  const parts = rnnParts();
  const through = jvp((w: F) => scanned({ ...parts, w }), [parts.w], [full([4, 4], 0.1, "f32")]).tangent;
  const [dw] = grad(unrolled(parts), [parts.w]);
  close(await through.read(), await sum(mul(dw, 0.1)).read(), 1e-3);
});

test("meta-learning: the gradient through several inner steps of gradient descent", async () => {
  const [start, target] = [tensor(2), tensor(1)];
  const rate = tensor(0.1);
  const loss = (w: F) => {
    const d = sub(w, target);
    return mul(d, d);
  };
  let w: F = start;
  for (let i = 0; i < 3; i++) w = sub(w, mul(rate, grad(loss(w), [w])[0]));
  const [dStart, dRate] = grad(loss(w), [start, rate]);
  // w - 1 = (1 - 2 rate)^3, so the loss is (1 - 2 rate)^6 (start - 1)^2
  expect(await dStart.item()).toBeCloseTo(2 * 0.8 ** 6, 5);
  expect(await dRate.item()).toBeCloseTo(-12 * 0.8 ** 5, 4);
});

test("a scan inside a compiled step updates variables", async () => {
  const w = new Variable({ dtype: "f32", shape: [] }, Float32Array.of(0.5));
  const step = compile((xs: F) => {
    const { carry } = scan((h: F, x: F) => ({ carry: mul(w.value, add(h, x)) }), { init: tensor(0), xs });
    w.assign(sub(w.value, mul(grad(carry, [w])[0], 0.1)));
    return carry;
  });
  expect(await (await step(tensor([1, 2]))).item()).toBe(1.25); // 0.5 (0.5 + 2)
  expect((await w.read())[0]).toBeCloseTo(0.5 - 0.1 * (2 * 0.5 + 2), 5); // w^2 + 2 w
});

const vmapCases: Record<string, (x: F, y: F) => F> = {
  elementwise: (x, y) => mul(sin(x), add(reshape(y, [3, 2]), 1)),
  "different ranks": (x, y) => add(x, sum(y)),
  reductions: (x, y) => sub(sum(x, { axes: 0 }), max(y)),
  softmax: (x) => softmax(x, 0),
  products: (x, y) => matmul(x, matmul(y, x)),
  "linear layer": (x) => linear(x, normal(randomKey(5), [2, 4]), normal(randomKey(6), [4])),
  shapes: (x, y) => concat([transpose(x), flip(y, 1), slice(y, { axis: 1, start: 1, end: 2 })], 1),
  broadcast: (x) => broadcastTo(sum(x, { axes: 0 }), [5, 2]),
  gather: (x) => gather(x, tensor([2, 0], { dtype: "i32" })),
  sorting: (x) => sort(x, { axis: 0 }).values,
  "scan inside": (x) => scan((h: F, row: F) => ({ carry: tanh(add(h, row)), y: h }), { init: zeros([2]), xs: x }).ys,
  convolution: (x) => conv(reshape(x, [1, 1, 6]), normal(randomKey(7), [2, 1, 3])),
  "cross-entropy, which has no rule": (x) => crossEntropy(x, tensor([0, 1, 1], { dtype: "i32" })),
  "gradient inside": (x, y) => grad(sum(mul(tanh(matmul(x, y)), 2)), [x])[0],
};
test.each(Object.entries(vmapCases))("vmap equals example after example: %s", async (_, fn) => {
  const [xs, ys] = [normal(randomKey(1), [4, 3, 2]), normal(randomKey(2), [4, 2, 3])];
  const together = vmap(fn)(xs, ys);
  const single = await readTensors([0, 1, 2, 3].map((i) => fn(xs.at(i), ys.at(i))));
  close(
    await together.read(),
    single.flatMap((array) => [...array]),
  );
  const shared = vmap(fn, { inAxes: [1, null] })(transpose(xs, [1, 0, 2]), ys.at(0));
  const sharedSingle = await readTensors([0, 1, 2, 3].map((i) => fn(xs.at(i), ys.at(0))));
  close(
    await shared.read(),
    sharedSingle.flatMap((array) => [...array]),
  );
});
