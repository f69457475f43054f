/** Options, dtypes and operands that are wrong are refused by name, never passed over. */
import { expect, test } from "vitest";
import type { DType } from "../base/index.ts";
import { fromPretrained, savePretrained } from "../models/index.ts";
import { Linear } from "../nn/index.ts";
import { pipeline } from "../pipelines/index.ts";
import { train } from "../train/index.ts";
import * as k from "./index.ts";

const x = k.tensor([[1, 2]]);
// biome-ignore lint/suspicious/noExplicitAny: wrong on purpose
type Anything = any;
const functions: Record<string, Anything> = k;
const wrong = { nothingLikeIt: 1 } as Anything;
const key = k.randomKey(0);
const image = k.zeros([1, 1, 4, 4]);

const calls: Record<string, () => unknown> = {
  tensor: () => k.tensor([1], wrong),
  full: () => k.normal(key, [1], wrong),
  uniform: () => k.uniform(key, [1], wrong),
  compile: () => k.compile(() => x, wrong),
  vmap: () => k.vmap((y: k.Tensor) => y, wrong),
  scan: () => k.scan((carry: k.Tensor) => ({ carry }), { init: x, length: 2, ...wrong }),
  Variable: () => new k.Variable({ dtype: "f32", shape: [], ...wrong }, Float32Array.of(1)),
  LossScaler: () => new k.LossScaler(wrong),
  ...Object.fromEntries(
    (
      [
        "sum",
        "prod",
        "max",
        "min",
        "mean",
        "variance",
        "standardDeviation",
        "logSumExp",
        "norm",
        "any",
        "all",
        "argmax",
        "argmin",
      ] as const
    ).map((name) => [name, () => functions[name](x, wrong)]),
  ),
  ...Object.fromEntries(
    (
      [
        "cumsum",
        "sort",
        "argsort",
        "softplus",
        "clip",
        "slice",
        "diagonal",
        "l2Normalize",
        "localResponseNorm",
        "fakeQuantize",
      ] as const
    ).map((name) => [name, () => functions[name](x, wrong)]),
  ),
  ...Object.fromEntries(
    (["maxPool", "averagePool", "interpolate", "unfold", "fold", "fft", "ifft", "rfft", "irfft"] as const).map(
      (name) => [name, () => functions[name](image, wrong)],
    ),
  ),
  topk: () => k.topk(x, 1, wrong),
  pad: () => k.pad(x, [[1, 1]], wrong),
  embedding: () => k.embedding(x, k.tensor([0], { dtype: "i32" }), wrong),
  matmul: () => k.matmul(x, x, { transposeB: true, ...wrong }),
  linear: () => k.linear(x, x, x, wrong),
  conv: () => k.conv(image, image, undefined, wrong),
  convTranspose: () => k.convTranspose(image, image, undefined, wrong),
  gridSample: () => k.gridSample(image, image, wrong),
  triangularSolve: () => k.triangularSolve(x, x, wrong),
  batchNorm: () => k.batchNorm(image, { runningMean: x, runningVariance: x }, { training: true, ...wrong }),
  groupNorm: () => k.groupNorm(image, 1, wrong),
  instanceNorm: () => k.instanceNorm(image, wrong),
  crossEntropy: () => k.crossEntropy(x, k.tensor([0], { dtype: "i32" }), wrong),
  quantizeLinear: () => k.quantizeLinear(x, { scale: 1, ...wrong }),
  dequantizeLinear: () => k.dequantizeLinear(k.tensor([0], { dtype: "i8" }), { scale: 1, ...wrong }),
  rotaryEmbedding: () => k.rotaryEmbedding(image, x, x, wrong),
  scaledDotProductAttention: () => k.scaledDotProductAttention(image, image, image, wrong),
  attentionScores: () => k.attentionScores(image, image, wrong),
  Linear: () => new Linear({ inFeatures: 1, outFeatures: 1, ...wrong }, key),
  "Tensor.sum": () => x.sum(wrong),
  "Tensor.slice": () => x.slice(wrong),
};
test.each(Object.entries(calls))("%s refuses an option that it does not know", (_, call) => {
  expect(call).toThrow(/expected one of the options .*; received "nothingLikeIt"\. Fix: /);
});

test("the nearest option is named", () => {
  expect(() => k.sum(x, { axis: 0 } as Anything)).toThrow(
    /^sum: expected one of the options axes, keepDims; received "axis"\. Fix: did you mean "axes"\?/,
  );
  expect(() => k.sum(x, 0 as Anything)).toThrow(/^sum: expected an object of the options axes, keepDims; received 0/);
});

test("a dtype of another program is named with ours", () => {
  expect(() => k.tensor([1], { dtype: "float32" as "f32" })).toThrow(
    /^tensor: expected a dtype of f32.*; received "float32"\. Fix: did you mean "f32"\?/,
  );
  expect(() => k.cast(x, "double" as "f32")).toThrow(/^cast: .*received "double"/);
  expect(() => k.zeros([1], "int64" as "i64")).toThrow(/did you mean "i64"/);
  expect(() => k.arange(3, "long" as "i64")).toThrow(/did you mean "i64"/);
});

test("operands that are no tensors are refused", () => {
  expect(() => k.add("a" as Anything, x)).toThrow(/^add: expected tensors or numbers; received "a"/);
  expect(() => k.exp(3 as Anything)).toThrow(/^exp: expected tensors or numbers/);
});

test("operands of two dtypes are found by TypeScript too", () => {
  const whole = k.tensor([1], { dtype: "i32" });
  // @ts-expect-error f32 times i32
  expect(() => k.mul(x, whole)).toThrow(/both operands to have the same dtype/);
  // @ts-expect-error neither is a tensor
  k.add(1, 2);
  // @ts-expect-error
  expect(() => k.matmul(x, k.cast(x, "f16"))).toThrow(/dtype/);
  // @ts-expect-error f32 and i32
  expect(() => k.concat([x, whole])).toThrow(/dtype/);
  // @ts-expect-error f32 and i32
  expect(() => k.stack([x, x, whole])).toThrow(/dtype/);
  const sum: k.Tensor<"f32"> = k.add(1, k.sub(x, 1));
  const isLess: k.Tensor<"bool"> = k.less(whole, 3);
  expect([sum.dtype, isLess.dtype]).toEqual(["f32", "bool"]);
});

test("lists of one dtype, of an unknown one and of any are joined", () => {
  const joined = <D extends DType>(a: k.Tensor<D>, rest: readonly k.Tensor<D>[]): k.Tensor<D>[] => [
    k.concat([a, a]),
    k.stack(rest),
    k.concat([a, ...rest]),
  ];
  const unknown: k.Tensor = x;
  const all: k.Tensor[] = [
    k.concat([unknown, x]),
    k.stack([x, unknown, unknown]),
    k.concat([x, x].map((each): k.Tensor => each)),
  ];
  const known: k.Tensor<"f32"> = k.concat([x, k.neg(x)]);
  for (const each of [...joined(x, [x, x]), ...all, known]) expect(each.dtype).toBe("f32");
});

test("models, pipelines and training refuse unknown options, and no model at all", async () => {
  await expect(fromPretrained("x", { tsak: "causal-lm" } as Anything)).rejects.toThrow(
    /^fromPretrained: .*received "tsak"\. Fix: did you mean "task"\?/,
  );
  await expect((fromPretrained as Anything)()).rejects.toThrow(/^model: expected a folder.*; received nothing/);
  await expect(pipeline("fill-mask", "x", { tokeniser: "y" } as Anything)).rejects.toThrow(
    /^pipeline: .*did you mean "tokenizer"\?/,
  );
  await expect((pipeline as Anything)("fill-mask")).rejects.toThrow(/^model: expected a folder/);
  await expect(savePretrained({} as Anything, "x", { dtyp: "f16" } as Anything)).rejects.toThrow(
    /^savePretrained: .*did you mean "dtype"\?/,
  );
  await expect(train({ step: 1 } as Anything).next()).rejects.toThrow(/^train: .*did you mean "steps"\?/);
});
