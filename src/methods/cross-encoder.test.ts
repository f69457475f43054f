/** Cross-encoders: losses against sentence-transformers (golden/make_retrieval.py), and runs of training. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readJson } from "../files/index.ts";
import { fromPretrained } from "../models/index.ts";
import { CrossEncoder } from "../pipelines/index.ts";
import { expectClose, tolerances } from "../testing/close.ts";
import { type Gradients, gradientsOf, normOf } from "../testing/gradients.ts";
import { methodConfig } from "../testing/method-config.ts";
import { MethodRuns } from "../testing/method-run.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import type { Objective } from "../train/index.ts";
import { encodeTexts, textForm } from "./parts/encoded-texts.ts";
import { type PairBatch, type PairLoss, pairBatches, pairObjective } from "./parts/pair-objective.ts";

const golden = (path: string) => fileURLToPath(new URL(`../../golden/${path}`, import.meta.url));
const model = (name: string) => golden(`pipelines/models/${name}`);
interface Case extends Gradients {
  model: string;
  loss: PairLoss;
  texts: [string[], string[] | string[][]];
  labels: number[] | number[][];
  value: number;
}
const { crossEncoders: cases } = (await readJson(golden("train/retrieval.json"))) as unknown as {
  crossEncoders: Case[];
};
const tolerance = tolerances.f32 as number;
const silent = { folder: "", onWarning: () => {} };

test.each(cases)("$loss: loss and gradients are sentence-transformers'", async (each) => {
  const classifier = await fromPretrained(model(each.model), { task: "sequence-classification" });
  const tokenizer = await Tokenizer.open(model(each.model));
  const form = textForm(methodConfig("cross-encoder", { model: "none" }), { tokenizer, model: classifier });
  const lists = each.texts[1].map((texts) => [texts].flat());
  const pairs = each.texts[0].flatMap((first, i) => lists[i].map((second) => [first, second] as const));
  const texts = await encodeTexts(pairs, { tokenizer, form }, silent);
  const [perRow, hasClasses] = [lists[0].length, each.loss === "cross-entropy"];
  const { source } = pairBatches({ texts, labels: each.labels.flat() }, form, {
    ...{ batchSize: lists.length, perRow, seed: 0, groupByLength: false, isShuffled: false, hasClasses },
  });
  const parts = { model: classifier, loss: each.loss, perRow, isBinary: false, trained: classifier.namedParameters() };
  const { loss, gradients } = await gradientsOf(
    pairObjective(parts) as Objective<PairBatch>,
    (await source.batch(0)) as PairBatch,
  );
  expectClose("loss", [loss], [each.value], tolerance);
  expect([...gradients.keys()].sort()).toEqual(Object.keys(each.norms).sort());
  for (const [name, numbers] of gradients) expectClose(name, [normOf(numbers)], [each.norms[name]], 5 * tolerance);
  expectClose(each.key, gradients.get(each.key) as Float32Array, each.gradient, tolerance);
  classifier.dispose();
});

let runs: MethodRuns;
beforeAll(async () => {
  runs = await MethodRuns.open();
});
afterAll(() => runs.close());

const nouns = ["sea", "inn", "night", "whale", "sailor", "storm", "landlord", "ship"];
/** Texts that say the same of a thing, and texts that say another. */
const labelled = nouns.flatMap((noun) => [
  { premise: `the ${noun} is dark`, hypothesis: `a dark ${noun}`, label: 1 },
  { premise: `the ${noun} is dark`, hypothesis: `no light, white`, label: 0 },
]);
const listed = nouns.map((noun) => ({
  query: noun,
  positive: `the dark ${noun}`,
  negatives: ["white", "a white one"],
}));
const config = (rows: string, more: object = {}, settings: object = {}) => ({
  method: { name: "cross-encoder", ...settings },
  model: model("cross-encoder"),
  data: { train: rows, validation: rows },
  optimizer: { learningRate: 3e-3 },
  training: { steps: 60, batchSize: 8 },
  evaluation: { interval: 60 },
  ...more,
});

test("yes and no are learned; the folder judges as it was trained", async () => {
  const run = await runs.run("binary", config(await runs.rows("binary", labelled)));
  const { accuracy, auc, f1 } = run.evaluations.at(-1) as Record<string, number>;
  expect(run.facts.loss).toBe("bce");
  expect([accuracy, auc, f1].every((value) => value > 0.9)).toBe(true);
  const stored = JSON.parse(await readFile(join(run.path, "config.json"), "utf8"));
  expect(stored.sentence_transformers.activation_fn).toMatch(/Sigmoid$/);
  const judge = await CrossEncoder.open(run.path);
  const scores = await judge.predict(labelled.map(({ premise, hypothesis }) => [premise, hypothesis] as const));
  const right = labelled.filter(({ label }, i) => Number(scores[i][0] > 0.5) === label).length;
  expect(right / labelled.length).toBeCloseTo(accuracy, 5);
  judge.dispose();
});

test("classes get a head with their names; amounts are learned; the right one comes before the wrong ones", async () => {
  const named = labelled.map(({ label, ...texts }) => ({ ...texts, label: ["other", "same"][label] }));
  const classes = await runs.run("classes", config(await runs.rows("classes", named)));
  expect(classes.facts).toMatchObject({ loss: "cross-entropy", classes: "other, same" });
  expect(classes.evaluations.at(-1)?.accuracy).toBeGreaterThan(0.9);
  const scored = labelled.map(({ premise, hypothesis, label }, i) => ({
    ...{ sentence1: premise, sentence2: hypothesis, score: 3 * label + (i % 3) / 10 },
  }));
  const amounts = await runs.run("amounts", config(await runs.rows("amounts", scored)));
  expect(amounts.facts.loss).toBe("mse");
  expect(amounts.evaluations.at(-1)?.pearson).toBeGreaterThan(0.8);
  const lists = await runs.run(
    "lists",
    config(await runs.rows("lists", listed), { training: { steps: 150 } }, { loss: "list-net" }),
  );
  expect(lists.evaluations.at(-1)?.mrr).toBeGreaterThan(0.9);
  const flat = await runs.run("flat", config(await runs.rows("lists", listed), { training: { steps: 200 } }));
  expect(flat.facts).toMatchObject({ loss: "bce", pairs: 24 });
  expect(flat.evaluations.at(-1)?.auc).toBeGreaterThan(0.9);
});

test("an adapter trains the head too", async () => {
  const adapted = { adapter: { type: "lora", rank: 2 }, training: { steps: 1 } };
  const { path } = await runs.run("adapted", config(await runs.rows("binary", labelled), adapted));
  const stored = JSON.parse(await readFile(join(path, "adapter_config.json"), "utf8"));
  expect(stored.modules_to_save).toEqual(["classifier"]);
});

test("cut and resumed: the losses of a run that was not cut, to the bit", async () => {
  const rows = await runs.rows("binary", labelled);
  const steps = { training: { steps: 8, batchSize: 4 } };
  const whole = await runs.run("whole", config(rows, steps));
  const cut = await runs.run("cut", config(rows, steps), 3);
  const rest = await runs.run("cut", config(rows, steps));
  expect(cut.losses.length).toBeLessThan(8);
  expect([...cut.losses, ...rest.losses]).toEqual(whole.losses);
});

const same = labelled.filter(({ label }) => label === 1);
const wrong: [string, object[], object, string][] = [
  ["yes alone", same, {}, "1 alone"],
  ["one class", same.map((row) => ({ ...row, label: "same" })), {}, '"same" alone'],
  ["an empty text", [...labelled, { premise: "", hypothesis: "x", label: 1 }], {}, "an empty premise"],
  ["no second text", [{ text: "one", label: 1 }], {}, "two texts with a label"],
  ["nothing said", [{ anchor: "a", positive: "b" }], {}, "two texts with a label"],
  ["lists of labels", labelled, { loss: "list-net" }, "rows with negatives"],
  ["classes of scores", [{ sentence1: "a", sentence2: "b", score: 1 }], { loss: "cross-entropy" }, "rows with labels"],
  ["amounts as shares", [0, 5].map((score) => ({ sentence1: "a", sentence2: "b", score })), { loss: "bce" }, "0 to 1"],
];

test.each(wrong)("%s: an error that says so", async (name, rows, settings, message) => {
  await expect(runs.run(name, config(await runs.rows(name, rows), {}, settings))).rejects.toThrow(message);
});
