/** Distillation: losses against torch (golden/make_retrieval.py), and runs of training. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readJson } from "../files/index.ts";
import { BertForSequenceClassification, fromPretrained, savePretrained } from "../models/index.ts";
import { randomKey } from "../tensor/index.ts";
import { expectClose, tolerances } from "../testing/close.ts";
import { type Gradients, gradientsOf, normOf } from "../testing/gradients.ts";
import { methodConfig } from "../testing/method-config.ts";
import { MethodRuns } from "../testing/method-run.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { type ClassBatch, classBatches, classObjective } from "./parts/distill-classes.ts";
import { languageObjective } from "./parts/distill-language.ts";
import { Projections } from "./parts/distillation.ts";
import { encodeTexts, textForm } from "./parts/encoded-texts.ts";
import { withLayers } from "./parts/student.ts";
import { tokenBatches } from "./parts/token-batches.ts";

const golden = (path: string) => fileURLToPath(new URL(`../../golden/${path}`, import.meta.url));
const model = (name: string) => golden(`pipelines/models/${name}`);
interface Case extends Gradients {
  model: string;
  texts: string[];
  labels: number[];
  weights: { soft: number; hard: number; hidden: number };
  temperature: number;
  value: number;
}
interface LanguageCase {
  model: string;
  ids: number[][];
  temperature: number;
  value: number;
  norms: Record<string, number>;
}
const { distillation: cases, languageDistillation: language } = (await readJson(
  golden("train/retrieval.json"),
)) as unknown as { distillation: Case[]; languageDistillation: LanguageCase };
const tolerance = tolerances.f32 as number;
const context = { folder: "", onWarning: () => {} };
const none = new Projections({ student: 1, teacher: 1, states: 0 }, randomKey(0));

test.each(cases)("soft labels, labels and states: loss and gradients are torch's", async (each) => {
  const teacher = await fromPretrained(model(each.model), { task: "sequence-classification" });
  const student = await withLayers(teacher, [0], "sequence-classification");
  const tokenizer = await Tokenizer.open(model(each.model));
  const config = methodConfig("distill", { model: "none", training: { batchSize: each.texts.length } });
  const form = textForm(config, { tokenizer, model: student });
  const encoded = await encodeTexts(each.texts, { tokenizer, form }, context);
  const source = classBatches({ encoded, classes: each.labels }, form, { config, isShuffled: false });
  const options = { temperature: each.temperature, weights: { ...each.weights, attention: 0 } };
  const objective = classObjective({ student, teacher, projections: none, options });
  const { loss, gradients } = await gradientsOf(objective, (await source.batch(0)) as ClassBatch);
  expectClose("loss", [loss], [each.value], tolerance);
  expect([...gradients.keys()].sort()).toEqual(Object.keys(each.norms).sort());
  for (const [name, numbers] of gradients) expectClose(name, [normOf(numbers)], [each.norms[name]], 5 * tolerance);
  expectClose(each.key, gradients.get(each.key) as Float32Array, each.gradient, tolerance);
  for (const one of [teacher, student]) one.dispose();
});

test("tokens of language models: loss and gradients are torch's", async () => {
  const teacher = await fromPretrained(model(language.model), { task: "causal-lm" });
  const student = await withLayers(teacher, [0], "causal-lm");
  const rows = language.ids.map((ids) => ({ ids: Int32Array.from(ids), weights: new Uint8Array(ids.length).fill(1) }));
  const { source } = tokenBatches(rows, {
    ...{ batchSize: rows.length, maxLength: 32, packing: false, groupByLength: false },
    ...{ padId: 0, seed: 0, isShuffled: false },
  });
  const options = { temperature: language.temperature, weights: { soft: 1, hard: 0, hidden: 0, attention: 0 } };
  const objective = languageObjective({ student, teacher, projections: none, options });
  const { loss, gradients } = await gradientsOf(objective, await source.batch(0));
  expectClose("loss", [loss], [language.value], tolerance);
  for (const [name, numbers] of gradients)
    expectClose(
      name,
      [normOf(numbers)],
      [language.norms[name] ?? language.norms[`transformer.${name}`]],
      5 * tolerance,
    );
  for (const one of [teacher, student]) one.dispose();
});

let runs: MethodRuns;
beforeAll(async () => {
  runs = await MethodRuns.open();
});
afterAll(() => runs.close());

const nouns = ["sea", "inn", "night", "whale", "sailor", "storm", "landlord", "ship"];
const texts = nouns.flatMap((noun) => [`the ${noun} is dark`, `a white ${noun}`]).map((text) => ({ text }));
const config = (rows: string, more: object = {}, settings: object = {}) => ({
  method: { name: "distill", teacher: model("bert-nli"), ...settings },
  model: model("bert-nli"),
  data: { train: rows, validation: rows },
  optimizer: { learningRate: 5e-3 },
  training: { steps: 50, batchSize: 8 },
  evaluation: { interval: 50 },
  ...more,
});

test("a student of one layer learns the teacher's classes, and states of another width", async () => {
  const labelled = await runs.rows(
    "labels",
    texts.map(({ text }, i) => ({ text, label: i % 2 ? "neutral" : 2 })),
  );
  const weights = { soft: 1, hard: 0.1, hidden: 0.1 };
  const run = await runs.run("classes", config(labelled, {}, { student: { layers: [1] }, weights }));
  const last = run.evaluations.at(-1) as Record<string, number>;
  expect(run.losses.at(-1)).toBeLessThan(run.losses[0] / 2);
  expect(last.gap).toBeCloseTo(last.teacherAccuracy - last.accuracy, 10);
  const stored = JSON.parse(await readFile(join(run.path, "config.json"), "utf8"));
  expect(stored).toMatchObject({ num_hidden_layers: 1, id2label: { 0: "contradiction" } });
  const json = JSON.parse(await readFile(join(model("bert-nli"), "config.json"), "utf8"));
  const anew = { model: { new: { ...json, hidden_size: 8, num_attention_heads: 2 } } };
  const plain = await runs.rows("texts", texts);
  const narrow = await runs.run("narrow", config(plain, anew, { weights: { soft: 1, hidden: 1 } }));
  expect(narrow.losses.at(-1)).toBeLessThan(narrow.losses[0]);
  const adapter = { ...anew, adapter: { type: "lora" } };
  await expect(runs.run("adapter", config(plain, adapter, { weights: { hidden: 1 } }))).rejects.toThrow("as a whole");
});

test("cut and resumed, projections with it: the losses of a run that was not cut, to the bit", async () => {
  const rows = await runs.rows("texts", texts);
  const json = JSON.parse(await readFile(join(model("bert-nli"), "config.json"), "utf8"));
  const anew = { model: { new: { ...json, hidden_size: 8 } }, training: { steps: 8, batchSize: 4 } };
  const settings = { weights: { soft: 1, hidden: 1 } };
  const whole = await runs.run("whole", config(rows, anew, settings));
  const cut = await runs.run("cut", config(rows, anew, settings), 3);
  const rest = await runs.run("cut", config(rows, anew, settings));
  expect(cut.losses.length).toBeLessThan(8);
  expect([...cut.losses, ...rest.losses]).toEqual(whole.losses);
});

test("a language model of one layer learns the teacher's tokens", async () => {
  const rows = await runs.rows("texts", texts);
  const settings = {
    task: "causal-lm",
    teacher: undefined,
    student: { layers: [0] },
    weights: { soft: 1, hidden: 0.1 },
  };
  const run = await runs.run("language", config(rows, { model: model("gpt2") }, settings));
  const last = run.evaluations.at(-1) as Record<string, number>;
  expect(run.losses.at(-1)).toBeLessThan(run.losses[0] / 2);
  expect(last.gap).toBeCloseTo(last.crossEntropy - last.teacherCrossEntropy, 4);
});

test("an encoder of one layer learns the teacher's vectors", async () => {
  const pairs = await runs.rows(
    "pairs",
    nouns.map((noun) => ({ anchor: `the ${noun}`, positive: `a dark ${noun}` })),
  );
  const settings = { task: "feature-extraction", teacher: undefined, student: { layers: [0] } };
  const run = await runs.run("vectors", config(pairs, { model: model("sentence-bert") }, settings));
  const last = run.evaluations.at(-1) as Record<string, number>;
  expect(run.losses.at(-1)).toBeLessThan(run.losses[0] / 2);
  expect(last.gap).toBeCloseTo(last.teacherNdcgAt10 - last.ndcgAt10, 10);
  expect(JSON.parse(await readFile(join(run.path, "modules.json"), "utf8")).length).toBe(3);
  const wide = { ...config(pairs, { model: model("sentence-bert") }, settings) };
  const other = { ...wide, method: { ...wide.method, teacher: model("sentence-dense") } };
  await expect(runs.run("width", other)).rejects.toThrow("vectors 12 wide");
  const hard = { ...wide, method: { ...wide.method, weights: { hard: 1 } } };
  await expect(runs.run("hard", hard)).rejects.toThrow("soft alone");
});

const label = (value: string) => [{ text: "the sea", label: value }];
const wrong: [string, object[], object, object, string][] = [
  ["no teacher", texts, {}, { teacher: undefined }, "the model that is learned from"],
  ["another task", texts, { model: model("gpt2") }, { task: "causal-lm" }, "a task of bert"],
  ["other labels", texts, { model: model("bert-multi-label") }, {}, "a teacher of the student's classes"],
  ["a class that it has not", label("happy"), {}, {}, "a label of the teacher's"],
  ["no labels", texts, {}, { weights: { hard: 1 } }, "rows with labels"],
  ["an empty text", [{ text: "a" }, { text: "b" }, { text: "" }], {}, {}, "an empty text"],
  ["no weight", texts, {}, { weights: { soft: 0 } }, "one above 0"],
  ["a layer that is not there", texts, {}, { student: { layers: [0, 7] } }, "layers from 0 to 1"],
  ["no text", [{ source: "a", target: "b" }], {}, {}, "a row of translation"],
];

test.each(wrong)("%s: an error that says so", async (name, rows, more, settings, message) => {
  await expect(runs.run(name, config(await runs.rows(name, rows), more, settings))).rejects.toThrow(message);
});

test("a teacher of another vocabulary is refused", async () => {
  const small = join(runs.folder, "small");
  const options = { vocabSize: 400, hiddenSize: 8, numLayers: 1, numHeads: 2, intermediateSize: 8 };
  const other = new BertForSequenceClassification(options, randomKey(0));
  await savePretrained(other, small);
  other.dispose();
  const file = JSON.parse(await readFile(join(model("bert-nli"), "tokenizer.json"), "utf8"));
  file.added_tokens.push({ ...file.added_tokens[0], id: 300, content: "[NEW]" });
  await (await Tokenizer.fromJson(file)).save(small);
  const rows = await runs.rows("texts", texts);
  await expect(runs.run("small", config(rows, {}, { teacher: small }))).rejects.toThrow("the student's vocabulary");
});
