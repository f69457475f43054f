/**
 * Losses by the runtime and by the reference against PyTorch's values and gradients; gradients, and their gradients,
 * against finite differences.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { Value } from "../ir/index.ts";
import { cast, l2Normalize, matmul, mul, sub, sum, Tensor } from "../tensor/index.ts";
import type { GoldenCase } from "../testing/golden-case.ts";
import { checkCase, type TestOpOptions } from "../testing/test-op.ts";
import * as losses from "./index.ts";

type Numbers = Tensor<"f32">;
// biome-ignore lint/suspicious/noExplicitAny: the golden file says what they are
type Apply = (inputs: any[], options: any) => Numbers;

/** A loss of as many tensors as there are in front of the options. */
const of =
  (loss: (...args: never[]) => Numbers): Apply =>
  (inputs, options) =>
    loss(...([...inputs, options] as never[]));
/** A loss whose last tensors are options. */
const withTensors =
  (loss: (...args: never[]) => Numbers, count: number, ...names: string[]): Apply =>
  (inputs, options) => {
    const rest = Object.fromEntries(names.map((name, i) => [name, inputs[count + i]]));
    return loss(...([...inputs.slice(0, count), { ...options, ...rest }] as never[]));
  };
const masked = (loss: Apply, count: number): Apply => {
  return (inputs, options) => {
    const mask = inputs[count] && cast(inputs[count], "bool");
    return loss(inputs.slice(0, count), { ...options, mask });
  };
};

const projected: Apply = ([student, teacher, weight], options) =>
  losses.hiddenStateLoss(student, teacher, { ...options, project: (x) => matmul(x, weight) });
const cosineDistance = (a: Numbers, b: Numbers): Numbers =>
  sub(1, sum(mul(l2Normalize(a), l2Normalize(b)), { axes: 1 }));

const table: Record<string, Apply> = {
  mseLoss: of(losses.mseLoss),
  l1Loss: of(losses.l1Loss),
  huberLoss: of(losses.huberLoss),
  smoothL1Loss: of(losses.smoothL1Loss),
  binaryCrossEntropy: withTensors(losses.binaryCrossEntropy, 2, "weight"),
  binaryCrossEntropyWithLogits: withTensors(losses.binaryCrossEntropyWithLogits, 2, "weight", "posWeight"),
  nllLoss: withTensors(losses.nllLoss, 2, "weight"),
  crossEntropy: withTensors(losses.crossEntropy, 2, "weight"),
  klDivergence: of(losses.klDivergence),
  hingeLoss: of(losses.hingeLoss),
  hingeEmbeddingLoss: of(losses.hingeEmbeddingLoss),
  marginRankingLoss: of(losses.marginRankingLoss),
  softMarginLoss: of(losses.softMarginLoss),
  multiMarginLoss: withTensors(losses.multiMarginLoss, 2, "weight"),
  cosineEmbeddingLoss: of(losses.cosineEmbeddingLoss),
  tripletMarginLoss: of(losses.tripletMarginLoss),
  tripletMarginWithDistanceLoss: (inputs, options) =>
    of(losses.tripletMarginWithDistanceLoss)(inputs, { ...options, distance: cosineDistance }),
  contrastiveLoss: of(losses.contrastiveLoss),
  infoNceLoss: withTensors(losses.infoNceLoss, 2, "negatives"),
  clipLoss: ([images, texts, scale]) => losses.clipLoss(images, texts, scale),
  sigmoidFocalLoss: of(losses.sigmoidFocalLoss),
  softmaxFocalLoss: withTensors(losses.softmaxFocalLoss, 2, "weight"),
  diceLoss: of(losses.diceLoss),
  multiClassDiceLoss: of(losses.multiClassDiceLoss),
  distillationLoss: masked(of(losses.distillationLoss), 2),
  hiddenStateLoss: masked(of(losses.hiddenStateLoss), 2),
  "hiddenStateLoss projected": masked(projected, 3),
  attentionLoss: masked(of(losses.attentionLoss), 2),
  linearCrossEntropy: withTensors(losses.linearCrossEntropy, 3, "bias"),
};

/** What has bends where a case meets them, or a gradient by rule: PyTorch's numbers alone. */
const notSmooth =
  /^(l1|huber|smoothL1|hinge|marginRanking|multiMargin|cosineEmbedding|triplet|contrastive|binaryCrossEntropy$)/;

const packed = readFileSync(new URL("../../golden/losses.json.gz", import.meta.url));
const { cases } = JSON.parse(gunzipSync(packed).toString()) as { cases: (GoldenCase & { loss: string })[] };

test("every loss of the golden file has a row in the table", () => {
  expect([...new Set(cases.map(({ loss }) => loss))].sort()).toEqual(Object.keys(table).sort());
});

describe.each(Object.entries(table))("%s", (name, apply) => {
  const compute = (inputs: Value[], options: object) =>
    apply(
      inputs.map((value) => new Tensor(value)),
      options,
    ).ir;
  const options: Omit<TestOpOptions, "golden"> = { apply: compute, finiteDifferences: !notSmooth.test(name) };
  const mine = cases.filter(({ loss }) => loss === name);
  test.each(mine.map((each, i) => [i, JSON.stringify(each.attrs), each] as const))("%i: %s", (_, __, each) =>
    checkCase(each, options),
  );
});

describe("linearCrossEntropy by parts", () => {
  const mine = cases.filter(({ loss, attrs }) => loss === "linearCrossEntropy" && attrs.reduction === "none");
  test.each([4, 5, 11, 3])("%i classes at a time", async (chunk) => {
    for (const each of mine) {
      const apply = (inputs: Value[], options: object) =>
        table.linearCrossEntropy(
          inputs.map((value) => new Tensor(value)),
          { ...options, chunk },
        ).ir;
      await checkCase(each, { apply });
    }
  });
});
