/** First numbers of parameters: what is true of them by definition. */
import { describe, expect, test } from "vitest";
import { add, erf, gelu, matmul, normal, randomKey, type Tensor, tanh, tensor, variance } from "../tensor/index.ts";
import { expectClose, tolerances } from "../testing/close.ts";
import { erfInverse } from "./erf-inverse.ts";
import {
  Conv2d,
  constantInit,
  dropPath,
  initialize,
  Linear,
  lsuv,
  Module,
  matchesKey,
  orthogonalInit,
  Parameter,
  truncatedNormalInit,
} from "./index.ts";

const f32 = tolerances.f32 as number;

describe("orthogonal", () => {
  test.each([
    [[5, 3], true],
    [[3, 5], false],
    [[4, 4], true],
    [[6, 2, 3, 1], true],
    [[2, 3, 2, 2], false],
  ] as const)("%j", async (shape, hasColumns) => {
    const weight = orthogonalInit(2)(randomKey(1), shape).reshape([shape[0], -1]);
    const product = hasColumns
      ? matmul(weight, weight, { transposeA: true })
      : matmul(weight, weight, { transposeB: true });
    const size = product.shape[0] as number;
    const identity = Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 4 : 0));
    expectClose("product", await product.read(), identity, f32);
  });

  test("has both determinants, and refuses vectors", async () => {
    const signs = await Promise.all(
      Array.from({ length: 12 }, async (_, i) => {
        const [[a, b], [c, d]] = await orthogonalInit()(randomKey(i), [2, 2]).toArray<number[][]>();
        return Math.round(a * d - b * c);
      }),
    );
    expect(new Set(signs)).toEqual(new Set([-1, 1]));
    expect(() => orthogonalInit()(randomKey(0), [4])).toThrow("expected a shape of 2 axes or more; received [4]");
    expect(() => orthogonalInit(0)).toThrow("orthogonalInit: expected gain above 0; received 0");
  });
});

describe("truncated normal", () => {
  test("the inverse error function is that of PyTorch's error function", async () => {
    const x = Float32Array.from({ length: 401 }, (_, i) => (i - 200) / 200.02);
    expectClose("erf(erfInverse(x))", await erf(erfInverse(tensor(x))).read(), x, 1e-6);
    expectClose("erfInverse(erf(x))", await erfInverse(erf(tensor(x))).read(), x, 2e-6);
  });

  test("stays in its bounds and has their mean and variance", async () => {
    const values = await truncatedNormalInit({ mean: 1, standardDeviation: 2, low: -1, high: 4 })(
      randomKey(3),
      [200, 200],
    ).read();
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const spread = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
    // scipy.stats.truncnorm(-1, 1.5, loc=1, scale=2).stats()
    expect(Math.abs(mean - 1.290375)).toBeLessThan(4 * Math.sqrt(1.66274 / values.length));
    expect(Math.abs(spread - 1.66274)).toBeLessThan(0.04);
    expect(values.every((value) => value >= -1 && value <= 4)).toBe(true);
    expect(() => truncatedNormalInit({ low: 2 })).toThrow("expected low below high (2); received 2");
  });

  test("bounds that cut nothing leave the plain distribution, without infinities", async () => {
    const values = await truncatedNormalInit({ standardDeviation: 0.02 })(randomKey(3), [300, 300]).read();
    expect(values.every(Number.isFinite)).toBe(true);
    const spread = Math.sqrt(values.reduce((a, b) => a + b * b, 0) / values.length);
    expect(Math.abs(spread / 0.02 - 1)).toBeLessThan(0.01);
  });
});

class Pair extends Module {
  readonly conv = new Conv2d({ inChannels: 2, outChannels: 6, kernelSize: 3, padding: 1 }, randomKey(1));
  readonly first = new Linear({ inFeatures: 6 * 16, outFeatures: 24 }, randomKey(2));
  readonly second = new Linear({ inFeatures: 24, outFeatures: 24 }, randomKey(3));
  readonly unused = new Linear({ inFeatures: 4, outFeatures: 4 }, randomKey(4));

  forward(x: Tensor<"f32">): Tensor<"f32"> {
    const hidden = gelu(this.conv.forward(x)).reshape([x.shape[0], -1]);
    return this.second.forward(tanh(this.first.forward(hidden)));
  }
}

describe("lsuv", () => {
  const batch = normal(randomKey(9), [16, 2, 4, 4], { standardDeviation: 30 });

  test("every layer's output has variance 1, and other layers stay", async () => {
    const model = new Pair();
    const before = await model.unused.weight.read();
    const results = await lsuv(model, () => model.forward(batch), randomKey(5), { tolerance: 0.01 });
    expect(results.map(({ path }) => path)).toEqual(["conv", "first", "second"]);
    for (const result of results) expect(Math.abs(result.variance - 1)).toBeLessThan(0.01);
    expect(Math.abs((await variance(model.forward(batch)).item()) - 1)).toBeLessThan(0.011);
    expect(await model.unused.weight.read()).toEqual(before);
    expect(Object.keys(model.first)).not.toContain("forward");
    const again = await lsuv(model, () => model.forward(batch), randomKey(5), { tolerance: 0.02, orthogonal: false });
    expect(again.map(({ iterations }) => iterations)).toEqual([0, 0, 0]);
  });

  test("says what it cannot scale", async () => {
    const model = new Pair();
    await expect(lsuv(model, () => 0, randomKey(5))).rejects.toThrow("received one that calls none");
    initialize(model, [{ matches: /^conv/, init: constantInit(0) }], randomKey(1));
    const flat = lsuv(model, () => model.forward(batch), randomKey(5), { orthogonal: false });
    await expect(flat).rejects.toThrow("lsuv, layer conv: expected outputs that differ; received a variance of 0");
  });
});

describe("initialize", () => {
  test("sets what the first rule means", async () => {
    const model = new Linear({ inFeatures: 3, outFeatures: 3 }, randomKey(1));
    const rules = [
      { matches: "bias", init: constantInit(0) },
      { matches: () => true, init: constantInit(2) },
    ];
    initialize(model, rules, randomKey(2));
    expect(await model.bias?.toArray()).toEqual([0, 0, 0]);
    expect(await model.weight.read()).toEqual(new Float32Array(9).fill(2));
  });

  test("changes nothing where a rule is idle", async () => {
    const model = new Linear({ inFeatures: 3, outFeatures: 3 }, randomKey(1));
    const before = await model.weight.read();
    const rules = [
      { matches: /./, init: constantInit(0) },
      { matches: "norm.*", init: constantInit(1) },
    ];
    expect(() => initialize(model, rules, randomKey(2))).toThrow("received rule 1 (norm.*), which is of none");
    expect(await model.weight.read()).toEqual(before);
  });
});

test("patterns of keys", () => {
  const weight = new Parameter([2, 2], new Float32Array(4));
  const means = (pattern: Parameters<typeof matchesKey>[0], key = "h.1.attn.weight") =>
    matchesKey(pattern, key, weight);
  expect([means("h.*.weight"), means("h.1"), means("*attn*"), means("h?1*"), means("h.1.attn.weight")]).toEqual([
    ...[true, false, true, false, true],
  ]);
  const global = /attn/g;
  expect([means(global), means(global), means(/^attn/), means((_, { shape }) => shape.length === 2)]).toEqual([
    ...[true, true, false, true],
  ]);
  expect(() => means(3 as never)).toThrow("pattern of keys: expected a text, a regular expression or a function");
});

test("a path that is dropped always is 0, and probabilities are checked", async () => {
  const x = add(normal(randomKey(1), [2, 3]), 0);
  expect(await dropPath(x, 1, randomKey(2)).read()).toEqual(new Float32Array(6));
  expect(() => dropPath(x, 1.5, randomKey(2))).toThrow("dropPath: expected a probability from 0 to 1; received 1.5");
});
