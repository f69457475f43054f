/** The loss of language models with a part of the vocabulary at a time: the plain one's numbers, for every family. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type CausalLM, fromPretrained, GPT2LMHeadModel, LlamaForCausalLM } from "../models/index.ts";
import { Linear } from "../nn/index.ts";
import { compile, grad, randomKey, type Tensor, tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { ParallelForCausalLM } from "../testing/example-family.ts";
import { languageModel } from "./index.ts";

const folders = ["decoders", "gpt2"].flatMap((kind) => {
  const root = fileURLToPath(new URL(`../../golden/${kind}/`, import.meta.url));
  return readdirSync(root).map((name) => [`${kind}/${name}`, join(root, name)] as const);
});
const ids = (...rows: number[][]) => tensor(Int32Array.from(rows.flat()), { shape: [rows.length, rows[0].length] });
const inputIds = ids([1, 2, 3, 4, 5, 6], [6, 4, 2, 5, 3, 1]);

/** Loss, what it is the mean of, and all gradients, plain or with so many classes at a time. */
async function step(model: CausalLM, lossChunk: number | undefined, labels: Tensor<"i32">): Promise<Tensor<"f32">[]> {
  const objective = languageModel(model, { lossChunk });
  const run = compile((inputIds: Tensor<"i32">, labels: Tensor<"i32">) => {
    const { loss, weight } = objective.loss({ inputIds, labels }, {});
    return [loss, weight as Tensor<"f32">, ...grad(loss, [...objective.trained.values()])];
  });
  return run(inputIds, labels);
}

async function expectSame(model: CausalLM, lossChunk: number): Promise<void> {
  const labels = ids([1, 2, 3, 4, 5, 6], [6, 4, -100, -100, 3, 1]);
  const [plain, chunked] = [await step(model, undefined, labels), await step(model, lossChunk, labels)];
  const names = ["loss", "weight", ...model.namedParameters().keys()];
  for (const [i, name] of names.entries()) expectClose(name, await chunked[i].read(), await plain[i].read(), 2e-5);
}

describe("loss and every gradient", () => {
  test.each(folders)("%s", async (_, folder) => {
    await expectSame(await fromPretrained(folder, { task: "causal-lm" }), 10);
  });
});

const sizes = { vocabSize: 21, hiddenSize: 8, numHeads: 2, numLayers: 1, maxPositionEmbeddings: 8 };

test("an output layer with a bias", async () => {
  const model = new LlamaForCausalLM({ ...sizes, intermediateSize: 8, tieWordEmbeddings: false }, randomKey(1));
  const head = new Linear({ inFeatures: 8, outFeatures: 21 }, randomKey(2));
  await expectSame(Object.assign(model, { lmHead: head }), 6);
  expect([...model.namedParameters().keys()]).toContain("lm_head.bias");
});

test("what it cannot follow is refused by name", () => {
  const model = new GPT2LMHeadModel({ ...sizes, tieWordEmbeddings: false }, randomKey(1));
  class Doubled extends Linear {}
  const doubled = Object.assign(model, { lmHead: new Doubled({ inFeatures: 8, outFeatures: 21 }, randomKey(2)) });
  expect(() => languageModel(doubled, { lossChunk: 8 })).toThrow(
    /lossChunk: expected a model .*; received GPT2LMHeadModel, whose output layer is a Doubled\. Fix: leave lossChunk out/,
  );
  class Twice extends GPT2LMHeadModel {
    override loss(inputs: Parameters<GPT2LMHeadModel["loss"]>[0]) {
      return super.loss(inputs).mul(2);
    }
  }
  expect(() => languageModel(new Twice(sizes, randomKey(1)), { lossChunk: 8 })).toThrow(/whose loss is its own/);
  const parallel = new ParallelForCausalLM(sizes, randomKey(1)); // says nothing of its output layer
  expect(() => languageModel(parallel, { lossChunk: 8 })).toThrow(
    /ParallelForCausalLM, whose outputLayer is undefined/,
  );
  expect(() => languageModel(model, { lossChunk: 0 })).toThrow(/lossChunk to be a positive integer/);
});

test("labels of both kinds, or none, are refused as by the plain loss", () => {
  const { loss } = languageModel(new GPT2LMHeadModel(sizes, randomKey(1)), { lossChunk: 8 });
  expect(() => loss({ inputIds } as never, {})).toThrow(/received neither/);
  expect(() => loss({ inputIds, labels: inputIds, shiftLabels: inputIds } as never, {})).toThrow(/received both/);
});
