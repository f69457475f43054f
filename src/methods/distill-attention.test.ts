/** Distillation of attention: losses against torch (golden/make_attention_matching.py), and runs of training. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readJson } from "../files/index.ts";
import { fromPretrained } from "../models/index.ts";
import { randomKey } from "../tensor/index.ts";
import { expectClose, tolerances } from "../testing/close.ts";
import { type Gradients, gradientsOf, normOf } from "../testing/gradients.ts";
import { methodConfig } from "../testing/method-config.ts";
import { MethodRuns } from "../testing/method-run.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import type { Objective } from "../train/index.ts";
import { type ClassBatch, classBatches, classObjective } from "./parts/distill-classes.ts";
import { languageObjective } from "./parts/distill-language.ts";
import type { DistillationOptions } from "./parts/distillation.ts";
import { Projections } from "./parts/distillation.ts";
import { encodeTexts, textForm } from "./parts/encoded-texts.ts";
import { withLayers } from "./parts/student.ts";
import { tokenBatches } from "./parts/token-batches.ts";

const golden = (path: string) => fileURLToPath(new URL(`../../golden/${path}`, import.meta.url));
const model = (name: string) => golden(`pipelines/models/${name}`);
interface Case extends Gradients {
  model: string;
  attention: "squaredError" | "divergence";
  value: number;
}
const { encoders, decoder } = (await readJson(golden("train/attention-matching.json"))) as unknown as {
  encoders: (Case & { texts: string[] })[];
  decoder: Case & { ids: number[][] };
};
const tolerance = tolerances.f32 as number;
const none = new Projections({ student: 1, teacher: 1, states: 0 }, randomKey(0));
const optionsOf = ({ attention }: Case): DistillationOptions => ({
  ...{ temperature: 1, attention },
  weights: { soft: 0, hard: 0, hidden: 0, attention: 1 },
});

async function expectTorchs<B>(objective: Objective<B>, batch: B, { value, norms, key, gradient }: Case) {
  const { loss, gradients } = await gradientsOf(objective, batch);
  expectClose("loss", [loss], [value], tolerance);
  const some = [...gradients].filter(([name]) => name in norms);
  expect(some.length).toBe(Object.keys(norms).length);
  for (const [name, numbers] of gradients) expectClose(name, [normOf(numbers)], [norms[name] ?? 0], 5 * tolerance);
  expectClose(key, gradients.get(key) as Float32Array, gradient, tolerance);
}

test.each(encoders)("attention of an encoder, $attention: loss and gradients are torch's", async (each) => {
  const teacher = await fromPretrained(model(each.model), { task: "sequence-classification" });
  const student = await withLayers(teacher, [0], "sequence-classification");
  const tokenizer = await Tokenizer.open(model(each.model));
  const config = methodConfig("distill", { model: "none", training: { batchSize: each.texts.length } });
  const form = textForm(config, { tokenizer, model: student });
  const encoded = await encodeTexts(each.texts, { tokenizer, form }, { folder: "", onWarning: () => {} });
  const source = classBatches({ encoded, classes: undefined }, form, { config, isShuffled: false });
  const objective = classObjective({ student, teacher, projections: none, options: optionsOf(each) });
  await expectTorchs(objective, (await source.batch(0)) as ClassBatch, each);
  for (const one of [teacher, student]) one.dispose();
});

test("attention of a language model: loss and gradients are torch's", async () => {
  const teacher = await fromPretrained(model(decoder.model), { task: "causal-lm" });
  const student = await withLayers(teacher, [0], "causal-lm");
  const rows = decoder.ids.map((ids) => ({ ids: Int32Array.from(ids), weights: new Uint8Array(ids.length).fill(1) }));
  const { source } = tokenBatches(rows, {
    ...{ batchSize: rows.length, maxLength: 32, packing: false, groupByLength: false },
    ...{ padId: 0, seed: 0, isShuffled: false },
  });
  const objective = languageObjective({ student, teacher, projections: none, options: optionsOf(decoder) });
  await expectTorchs(objective, await source.batch(0), decoder);
  for (const one of [teacher, student]) one.dispose();
});

let runs: MethodRuns;
beforeAll(async () => {
  runs = await MethodRuns.open();
});
afterAll(() => runs.close());

const nouns = ["sea", "inn", "night", "whale", "sailor", "storm", "landlord", "ship"];
const texts = nouns.flatMap((noun) => [`the ${noun} is dark`, `a white ${noun}`]).map((text) => ({ text }));
const attention = { weights: { soft: 0, attention: 1 } };
const config = (rows: string, settings: object, more: object = {}) => ({
  method: { name: "distill", teacher: model("bert-nli"), ...settings },
  model: model("bert-nli"),
  data: { train: rows },
  optimizer: { learningRate: 5e-3 },
  training: { steps: 60, batchSize: 8 },
  ...more,
});
/** A student with weights of its own, whose config.json is the teacher's but for some keys. */
const newStudent = async (name: string, keys: object) => ({
  model: { new: { ...JSON.parse(await readFile(join(model(name), "config.json"), "utf8")), ...keys } },
});

test("the attention of a new student comes near the teacher's", async () => {
  const rows = await runs.rows("texts", texts);
  const narrow = await newStudent("bert-nli", { hidden_size: 8, num_hidden_layers: 1 });
  for (const kind of ["squaredError", "divergence"]) {
    const { losses } = await runs.run(kind, config(rows, { ...attention, attention: kind }, narrow));
    expect(losses.at(-1)).toBeLessThan(losses[0] / 2);
  }
  const settings = { task: "causal-lm", teacher: model("gpt2"), ...attention };
  const language = await runs.run("gpt2", config(rows, settings, await newStudent("gpt2", { n_layer: 1 })));
  expect(language.losses.at(-1)).toBeLessThan(language.losses[0] / 2);
});

test("cut and resumed: the losses of a run that was not cut, to the bit", async () => {
  const rows = await runs.rows("texts", texts);
  const more = { ...(await newStudent("bert-nli", { hidden_size: 8 })), training: { steps: 8, batchSize: 4 } };
  const settings = { weights: { soft: 1, hidden: 0.1, attention: 1 } };
  const whole = await runs.run("whole", config(rows, settings, more));
  const cut = await runs.run("cut", config(rows, settings, more), 3);
  const rest = await runs.run("cut", config(rows, settings, more));
  expect(cut.losses.length).toBeLessThan(8);
  expect([...cut.losses, ...rest.losses]).toEqual(whole.losses);
});

const gpt2 = { task: "causal-lm", teacher: model("gpt2"), ...attention };
const prefix = { model: model("gpt2"), adapter: { type: "prefix" } };
const wrong: [string, object, () => object | Promise<object>, string][] = [
  ["other heads", attention, () => newStudent("bert-nli", { num_attention_heads: 3 }), "the teacher's 2 heads"],
  ["a prefix", gpt2, () => prefix, "whose states they see too"],
  ["a comparison of nothing", { attention: "divergence" }, () => ({}), "weights.attention above 0"],
  ["vectors", { task: "feature-extraction", ...attention }, () => ({ model: model("sentence-bert") }), "soft alone"],
];

test.each(wrong)("%s: an error that says so", async (name, settings, more, message) => {
  const rows = await runs.rows(name, texts);
  await expect(runs.run(name, config(rows, settings, await more()))).rejects.toThrow(message);
});
