/** Classification of texts by tiny models. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { confusionMatrix } from "../metrics/index.ts";
import { pipeline } from "../pipelines/index.ts";
import { cutAndWhole, runConfig, tinyBert, tinyTokenizer, writeRowsTo } from "../testing/method-runs.ts";

const good = ["a fine film", "we liked the film", "what a fine story", "the story is lovely", "lovely and fine"];
const bad = ["a dull film", "we hated the film", "what a dull story", "the story is awful", "awful and dull"];
const rows = Array.from({ length: 40 }, (_, i) => {
  const isGood = i % 2 === 0;
  return { text: `${(isGood ? good : bad)[i % 5]} ${"so ".repeat(i % 4)}`, label: isGood ? "good" : "bad" };
});

let folder: string;
let tokenizer: string;
let train: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-classification-"));
  tokenizer = await tinyTokenizer(join(folder, "tokenizer"), [...good, ...bad, "so"]);
  train = await writeRowsTo(folder, "train.jsonl", rows);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const configOf = (name: string, more: object = {}, method: object = {}) => ({
  method: { name: "classification", ...method },
  model: { new: { ...tinyBert } },
  tokenizer,
  data: { train, validation: train, maxLength: 32 },
  optimizer: { learningRate: 3e-3 },
  training: { epochs: 16, batchSize: 8 },
  evaluation: { interval: 80 },
  output: join(folder, name),
  ...more,
});

test("a new model learns two classes; its result opens in the pipeline, and goes on with its head", async () => {
  const { losses, evaluations, facts } = await runConfig(configOf("two"));
  expect(losses).toHaveLength(80);
  expect(facts).toMatchObject({ examples: 40, head: "new", "class bad": 20, "class good": 20 });
  const [metrics] = evaluations;
  expect(metrics).toMatchObject({ accuracy: 1, f1Micro: 1, f1Macro: 1, f1Weighted: 1, rocAuc: 1, mcc: 1 });
  expect(metrics.calibrationError).toBeLessThan(0.2);
  const classify = await pipeline("text-classification", join(folder, "two", "model"));
  expect(await classify.run("a lovely film")).toMatchObject([{ label: "good" }]);

  const model = join(folder, "two", "model");
  const further = await runConfig(configOf("two-more", { model, tokenizer: undefined, training: { steps: 1 } }));
  expect(further.facts.head).toBe("the checkpoint's");
  expect(further.losses[0]).toBeLessThan(0.2);
  const numbered = rows.map(({ text, label }) => ({ text, label: label === "good" ? 1 : 0 }));
  const numbers = { train: await writeRowsTo(folder, "numbers.jsonl", numbered), maxLength: 32 };
  const byNumber = await runConfig(configOf("numbers", { model, data: numbers, training: { steps: 1 } }));
  expect(byNumber.losses[0]).toBeLessThan(0.2);
  expect(byNumber.facts).toMatchObject({ head: "the checkpoint's", "class good": expect.any(Number) });
  const others = rows.map(({ text }, i) => ({ text, label: ["x", "y", "z"][i % 3] }));
  const three = { train: await writeRowsTo(folder, "three.jsonl", others), validationShare: 0, maxLength: 32 };
  const anew = await runConfig(configOf("anew", { model, data: three, training: { steps: 1 } }));
  expect(anew.facts).toMatchObject({ head: "new", "class z": 13 });
}, 60_000);

test("the report has the confusion matrix and the worst mistakes of the model that is saved", async () => {
  // half of the labels are turned round, so that there are mistakes
  const noisy = rows.map(({ text, label }, i) => ({ text, label: i % 4 < 2 ? label : "other" }));
  const validation = await writeRowsTo(folder, "noisy.jsonl", noisy);
  const data = { train: validation, validation, maxLength: 32 };
  const output = join(folder, "reported");
  await runConfig(configOf("reported", { data, training: { epochs: 4, batchSize: 8 }, evaluation: { interval: 6 } }));
  const classify = await pipeline("text-classification", join(output, "model"));
  const answers = await Promise.all(noisy.map(async ({ text }) => (await classify.run(text))[0]));
  const labels = ["bad", "good", "other"];
  const { counts } = confusionMatrix(
    answers.map(({ label }) => label),
    noisy.map(({ label }) => label),
    { classes: labels },
  );
  const { confusion, mistakes } = JSON.parse(await readFile(join(output, "report.json"), "utf8"));
  expect(confusion).toEqual({ labels, counts: counts.map((row) => [...row]) });
  const wrong = answers.flatMap(({ label, score }, i) => (label === noisy[i].label ? [] : [{ i, label, score }]));
  const [surest] = wrong.sort((a, b) => b.score - a.score);
  expect(mistakes).toHaveLength(Math.min(20, wrong.length));
  expect(mistakes[0].probability).toBeCloseTo(surest.score, 4);
  for (const { place, text, label, answer } of mistakes) {
    const at = Number(place.split(":").at(-1)) - 1;
    expect({ text, label, answer }).toEqual({ ...noisy[at], answer: answers[at].label });
  }
  const html = await readFile(join(output, "report.html"), "utf8");
  expect(html).toContain(`noisy.jsonl:${surest.i + 1}`);
  const card = await readFile(join(output, "model", "README.md"), "utf8");
  expect(card).toContain("## Confusion matrix");
  expect(card).toMatch(/\| {2}\| bad \| good \| other \|/);
}, 60_000);

test("cut and resumed: the losses of a run that was not cut, to the bit", async () => {
  const { whole, parts } = await cutAndWhole(configOf("resumed", { training: { batchSize: 8 } }));
  expect(parts).toEqual(whole);
  expect(new Set(whole).size).toBe(6);
}, 60_000);

test("several classes, balanced, of pairs of texts", async () => {
  const pairs = rows.map(({ text, label }, i) => ({
    text,
    text_pair: i % 3 === 0 ? "so so" : "a film",
    label: [label, ...(i % 3 === 0 ? ["repeated"] : [])],
  }));
  const path = await writeRowsTo(folder, "several.jsonl", pairs);
  const data = { train: path, validation: path, maxLength: 32 };
  const config = configOf("several", { data, training: { epochs: 16, batchSize: 8 } }, { classWeights: "balanced" });
  const { evaluations, facts } = await runConfig(config);
  expect(facts).toMatchObject({ "class repeated": 14 });
  expect(evaluations.at(-1)).toMatchObject({ accuracy: 1, f1Micro: 1, f1Macro: 1 });
  const json = JSON.parse(await readFile(join(folder, "several", "model", "config.json"), "utf8"));
  expect(json).toMatchObject({ problem_type: "multi_label_classification", type_vocab_size: 2 });
}, 60_000);

test("a number", async () => {
  const numbers = rows.map(({ text, label }) => ({ text, label: label === "good" ? 0.5 : -0.5 }));
  const path = await writeRowsTo(folder, "regression.jsonl", numbers);
  const data = { train: path, validation: path, maxLength: 32 };
  const { evaluations } = await runConfig(configOf("regression", { data, training: { epochs: 12, batchSize: 8 } }));
  const { mae, r2 } = evaluations.at(-1) as Record<string, number>;
  expect(mae).toBeLessThan(0.2);
  expect(r2).toBeGreaterThan(0.8);
}, 60_000);

test("an adapter trains the new head too", async () => {
  const model = join(folder, "for-adapter", "model");
  await runConfig(configOf("for-adapter", { training: { steps: 1 } }));
  const others = rows.map(({ text }, i) => ({ text, label: ["x", "y", "z"][i % 3] }));
  const data = { train: await writeRowsTo(folder, "adapted.jsonl", others), validationShare: 0, maxLength: 32 };
  await runConfig(configOf("adapted", { model, data, adapter: { rank: 2 }, training: { steps: 2 } }));
  const json = JSON.parse(await readFile(join(folder, "adapted", "model", "adapter_config.json"), "utf8"));
  expect(json.modules_to_save).toEqual(["classifier"]);
  const bottleneck = { type: "bottleneck", reductionFactor: 4 };
  await runConfig(configOf("bottleneck", { model, adapter: bottleneck, training: { steps: 2 } }));
  await expect(
    runConfig(configOf("merged", { model, adapter: { ...bottleneck, merge: true }, training: { steps: 2 } })),
  ).rejects.toThrow("adapter.merge: expected an adapter that is a change of weights: lora or ia3; received bottleneck");
  const prompt = configOf("prompt", { model, data, adapter: { type: "prompt", numVirtualTokens: 2 } });
  await expect(runConfig(prompt)).rejects.toThrow("lora or ia3, which train the new head");
}, 60_000);

const write = (name: string, changed: readonly object[]) => writeRowsTo(folder, `${name}.jsonl`, changed);

test("wrong data and settings are said", async () => {
  const withRows = async (name: string, changed: readonly object[], method: object = {}, data: object = {}) => {
    const path = await write(name, changed);
    return runConfig(configOf(name, { data: { train: path, validationShare: 0, ...data } }, method));
  };
  await expect(withRows("named", rows, { labels: ["bad", "good", "fair"] })).rejects.toThrow("received none of fair");
  await expect(withRows("unnamed", rows, { labels: ["bad", "fair"] })).rejects.toThrow(
    'the class "good": expected one of the labels bad, fair; received 20 training examples',
  );
  await expect(withRows("one", rows.slice(0, 1))).rejects.toThrow("at least two classes to learn from");
  const later = await write("later", [{ text: "a film", label: "odd" }]);
  await expect(withRows("strange", rows, {}, { validation: later })).rejects.toThrow("later.jsonl:1: expected a class");
  await expect(withRows("lists", [{ text: "a", label: ["x"] }, ...rows], { problem: "single" })).rejects.toThrow(
    "expected one class; received a list",
  );
  await expect(withRows("words", rows, { problem: "regression" })).rejects.toThrow("expected a number");
  await expect(withRows("smooth", rows, { problem: "regression", labelSmoothing: 0.1 })).rejects.toThrow(
    "method.labelSmoothing",
  );
  const samples = { prompts: ["a film"] };
  await expect(runConfig(configOf("sampled", { samples }))).rejects.toThrow("does not go on with a text");
  await expect(withRows("packed", rows, {}, { packing: true })).rejects.toThrow("reads whole texts");
  await expect(withRows("empty", [{ text: "", label: "x" }])).rejects.toThrow("an empty text");
}, 60_000);

test("examples of which all are too long, values that are nothing, and an evaluation without data are said", async () => {
  const long = rows.map(({ label }) => ({ text: "so ".repeat(50), label }));
  const path = await write("all-long", long);
  const data = { train: path, validationShare: 0, maxLength: 16, onTooLong: "skip" };
  await expect(runConfig(configOf("all-long", { data }))).rejects.toThrow(
    "all-long.jsonl:1: expected examples of at most 16 tokens; received 40 of 40 that are longer, and left out",
  );
  const nothing = await write("nothing", [{ text: null, label: "good" }]);
  await expect(runConfig(configOf("nothing", { data: { train: nothing } }))).rejects.toThrow(
    "received the columns text, label, of which these have no values: text",
  );
  const unmeasured = { data: { train, validationShare: 0 }, evaluation: { monitor: "f1Macro", patience: 2 } };
  const { notes } = await runConfig(configOf("unmeasured", { ...unmeasured, training: { steps: 1 } }));
  expect(notes).toContain(
    "there is no validation data, so that monitor f1Macro and patience 2 tell nothing: the last state is the result",
  );
}, 60_000);

test("imbalance and long texts are warned of", async () => {
  const many = [...rows.filter(({ label }) => label === "good"), rows[1]];
  const long = { text: "so ".repeat(50), label: "good" };
  const path = await write("imbalanced", [...many, long]);
  const data = { train: path, validationShare: 0, maxLength: 16 };
  const { notes, facts } = await runConfig(configOf("imbalanced", { data, training: { steps: 1 } }));
  expect(notes).toContain("the classes are imbalanced: good 21 examples, bad 1; classWeights: balanced weighs them");
  expect(notes).toContain("1 of 22 examples are longer than 16 tokens and cut");
  expect(facts["longest example"]).toBe(16);
}, 60_000);
