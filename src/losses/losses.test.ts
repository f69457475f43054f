/** What losses do at their edges: nothing to learn from, labels that are none, sizes that a run decides. */
import { describe, expect, test } from "vitest";
import { gradients } from "../autodiff/index.ts";
import { Graph, placeholder, type Value } from "../ir/index.ts";
import { optimize } from "../lower/index.ts";
import { compile, constant, grad, matmul, mul, sum, Tensor, tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import * as losses from "./index.ts";

const ints = (...values: number[]) => tensor(Int32Array.from(values));
const numbers = (shape: readonly number[], at = 0) =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(1 + 3 * i + at)),
    { shape },
  );
const nothing = (...shape: number[]) => constant("f32", shape, new Float32Array(0));
const noLabels = constant("i32", [0], new Int32Array(0));

describe("no row counts: the mean is NaN, the sum 0, and gradients of the sum are 0", () => {
  const [x, w] = [numbers([2, 5]), numbers([6, 5])];
  const ignored = ints(-100, -100);
  const cases: Record<string, (reduction: "mean" | "sum") => Tensor<"f32">> = {
    crossEntropy: (reduction) => losses.crossEntropy(x, ignored, { reduction }),
    "crossEntropy with smoothing": (reduction) => losses.crossEntropy(x, ignored, { reduction, labelSmoothing: 0.1 }),
    nllLoss: (reduction) => losses.nllLoss(x, ignored, { reduction }),
    softmaxFocalLoss: (reduction) => losses.softmaxFocalLoss(x, ignored, { reduction, gamma: 0.5 }),
    linearCrossEntropy: (reduction) => losses.linearCrossEntropy(x, w, ignored, { reduction, chunk: 2 }),
  };
  test.each(Object.entries(cases))("%s", async (_, loss) => {
    expect(await loss("mean").item()).toBeNaN();
    expect(await loss("sum").item()).toBe(0);
    expect(Array.from(await grad(loss("sum"), [x])[0].read(), Math.abs)).toEqual(new Array(10).fill(0));
  });
});

describe("an empty batch: the mean is NaN, the sum 0", () => {
  const cases: Record<string, (reduction: "mean" | "sum") => Tensor<"f32">> = {
    mseLoss: (reduction) => losses.mseLoss(nothing(0, 3), nothing(0, 3), { reduction }),
    binaryCrossEntropyWithLogits: (reduction) =>
      losses.binaryCrossEntropyWithLogits(nothing(0), nothing(0), { reduction }),
    crossEntropy: (reduction) => losses.crossEntropy(nothing(0, 4), noLabels, { reduction }),
    linearCrossEntropy: (reduction) =>
      losses.linearCrossEntropy(nothing(0, 5), numbers([6, 5]), noLabels, { reduction, chunk: 2 }),
    tripletMarginLoss: (reduction) =>
      losses.tripletMarginLoss(nothing(0, 2), nothing(0, 2), nothing(0, 2), { reduction }),
  };
  test.each(Object.entries(cases))("%s", async (_, loss) => {
    expect(await loss("mean").item()).toBeNaN();
    expect(await loss("sum").item()).toBe(0);
  });
});

test("a log probability of -Infinity costs nothing where its row is ignored", async () => {
  const impossible = tensor([[Number.NEGATIVE_INFINITY, 0]]);
  expect(await losses.nllLoss(impossible, ints(-100), { reduction: "sum" }).item()).toBe(0);
});

describe("labels that are no class", () => {
  const [x, w] = [numbers([2, 5]), numbers([6, 5])];
  test.each([6, -1, -7])("%i fails the run of linearCrossEntropy, as of cross-entropy", async (label) => {
    const run = compile((targets: Tensor<"i32">) => losses.linearCrossEntropy(x, w, targets, { chunk: 2 }));
    await expect(run.run(ints(0, label)).then((loss) => loss.item())).rejects.toThrow();
    const plain = compile((t: Tensor<"i32">) => losses.crossEntropy(matmul(x, w, { transposeB: true }), t));
    await expect(plain.run(ints(0, label)).then((loss) => loss.item())).rejects.toThrow();
    expect(await run(ints(0, 5)).item()).toBeCloseTo(await plain(ints(0, 5)).item(), 5);
  });
});

test("linearCrossEntropy of a batch whose size the run decides, with gradients of all", async () => {
  const w = numbers([10, 4], 1);
  const b = numbers([10], 2);
  const both = (loss: (x: Tensor<"f32">, t: Tensor<"i32">) => Tensor<"f32">) =>
    compile(
      (x: Tensor<"f32">, t: Tensor<"i32">) => {
        const value = loss(x, t);
        return [value, ...grad(value, [x, w, b])];
      },
      { symbolicSizes: [["N", null], ["N"]] },
    );
  const chunked = both((x, t) => losses.linearCrossEntropy(x, w, t, { bias: b, chunk: 4 }));
  const plain = both((x, t) => losses.crossEntropy(matmul(x, w, { transposeB: true }).add(b), t));
  for (const labels of [[3, 9, -100], [0]]) {
    const inputs = [numbers([labels.length, 4], 5), ints(...labels)] as const;
    const [ours, theirs] = [await chunked(...inputs), await plain(...inputs)];
    for (const [i, each] of ours.entries()) expectClose(`result ${i}`, await each.read(), await theirs[i].read(), 2e-6);
  }
});

test("a frozen weight gets no gradient, and none is computed", () => {
  const input = (...shape: number[]) => placeholder("x", { dtype: "f32", shape });
  const [x, w] = [input(2, 5), input(6, 5)];
  const loss = losses.linearCrossEntropy(new Tensor(x) as Tensor<"f32">, new Tensor(w) as Tensor<"f32">, ints(1, 4), {
    chunk: 2,
  });
  const products = (...targets: Value[]) => {
    const graph = optimize(new Graph([x, w], [loss.ir, ...gradients(loss.ir, targets)]));
    const bodies = graph.nodes.flatMap(({ op }) => (op as { bodies?: readonly Graph[] }).bodies ?? []);
    return bodies.map(({ nodes }) => nodes.filter(({ op }) => op.name === "matmul").length);
  };
  expect(products(x, w)).toEqual([1, 3]); // logits; logits, and what goes to both
  expect(products(x)).toEqual([1, 2]);
});

describe("refusals", () => {
  const x = numbers([2, 3]);
  const cases: [string, () => unknown, RegExp][] = [
    [
      "broadcasting",
      () => losses.mseLoss(x, numbers([2, 1])),
      /same shape of outputs and targets; received .*\[2, 1\]/,
    ],
    ["a reduction", () => losses.l1Loss(x, x, { reduction: "avg" as never }), /reduction to be one of mean, sum, none/],
    ["an option", () => losses.huberLoss(x, x, { beta: 1 } as never), /expected one of the options delta, reduction/],
    ["delta", () => losses.huberLoss(x, x, { delta: 0 }), /delta above 0/],
    ["p", () => losses.multiMarginLoss(x, ints(0, 1), { p: 3 as never }), /p of 1 or 2/],
    ["temperature", () => losses.distillationLoss(x, x, { temperature: 0 }), /temperature above 0/],
    ["a mask", () => losses.hiddenStateLoss(x, x, { mask: tensor([true]) as never }), /same shape of mask/],
    ["kind", () => losses.attentionLoss(x, x, { kind: "cosine" as never }), /kind "squaredError" or "divergence"/],
    ["logits of no places", () => losses.multiClassDiceLoss(x, ints(0, 1)), /logits \[N, C, \.\.\.\]/],
    ["soft targets", () => losses.crossEntropy(x, numbers([2, 2])), /target probabilities \[N, V\]/],
    ["widths", () => losses.linearCrossEntropy(x, numbers([4, 2]), ints(0, 1)), /same shape of rows of weight/],
    ["chunk", () => losses.linearCrossEntropy(x, x, ints(0, 1), { chunk: 0 }), /chunk to be a positive integer/],
  ];
  test.each(cases)("%s", (_, call, message) => expect(call).toThrow(message));
});

test("second derivatives of linearCrossEntropy are those of the plain path", async () => {
  type Loss = (x: Tensor<"f32">, w: Tensor<"f32">) => Tensor<"f32">;
  const second = (loss: Loss) =>
    compile((x: Tensor<"f32">, w: Tensor<"f32">) => {
      const [dx, dw] = grad(loss(x, w), [x, w]);
      return grad(sum(mul(dx, numbers([3, 4], 2))).add(sum(mul(dw, numbers([7, 4], 3)))), [x, w]);
    })(numbers([3, 4]), numbers([7, 4], 1));
  const targets = ints(6, 0, 3);
  const theirs = second((x, w) => losses.crossEntropy(matmul(x, w, { transposeB: true }), targets));
  for (const chunk of [3, 5]) {
    const ours = second((x, w) => losses.linearCrossEntropy(x, w, targets, { chunk }));
    for (const [i, each] of ours.entries()) expectClose(`second ${i}`, await each.read(), await theirs[i].read(), 2e-5);
  }
});
