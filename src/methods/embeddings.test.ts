/** Training of sentence embeddings from rows to a folder of sentence-transformers. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SentenceEncoder } from "../pipelines/index.ts";
import { MethodRuns } from "../testing/method-run.ts";

const model = (name: string) => fileURLToPath(new URL(`../../golden/pipelines/models/${name}`, import.meta.url));
let runs: MethodRuns;
beforeAll(async () => {
  runs = await MethodRuns.open();
});
afterAll(() => runs.close());

const nouns = ["sea", "inn", "night", "whale", "sailor", "storm", "landlord", "ship", "wind", "door", "lamp", "rope"];
/** A question for each noun, and its answer. */
const pairs = nouns.map((noun, i) => ({
  anchor: `what of the ${noun}`,
  positive: `${noun} ${noun} is so`,
  negative: `${nouns[(i + 5) % nouns.length]} is not`,
}));
const config = (rows: string, more: object = {}, settings: object = {}) => ({
  method: { name: "embeddings", ...settings },
  model: model("sentence-bert"),
  data: { train: rows, validation: rows },
  optimizer: { learningRate: 5e-3 },
  training: { steps: 60, batchSize: 6 },
  evaluation: { interval: 60 },
  ...more,
});

test("in-batch negatives learn; the search improves, and the folder opens as it was trained", async () => {
  const rows = await runs.rows("pairs", pairs);
  const run = await runs.run("learns", config(rows));
  const first = await runs.run("begins", config(rows, { training: { steps: 1, batchSize: 6 } }));
  const [before, after] = [first.evaluations[0], run.evaluations.at(-1) as Record<string, number>];
  expect(after.ndcgAt10).toBeGreaterThan(before.ndcgAt10 + 0.2);
  expect(after.recallAt1).toBeGreaterThan(0.6);
  expect(run.facts).toMatchObject({ pairs: 12, "negatives of a pair": 1, loss: "in-batch", "width of vectors": 12 });
  const modules = JSON.parse(await readFile(join(run.path, "modules.json"), "utf8"));
  expect(modules.map(({ type }: { type: string }) => type.split(".").at(-1))).toEqual([
    "Transformer",
    "Pooling",
    "Normalize",
  ]);
  const encoder = await SentenceEncoder.open(run.path);
  const [questions, answers] = [pairs.map(({ anchor }) => anchor), pairs.map(({ positive }) => positive)];
  const scores = encoder.similarity(await encoder.encode(questions), await encoder.encode(answers));
  const right = scores.filter((row, i) => row.indexOf(Math.max(...row)) === i).length;
  expect(right / pairs.length).toBeCloseTo(after.recallAt1, 5);
  encoder.dispose();
});

test("cut and resumed: the losses of a run that was not cut, to the bit", async () => {
  const rows = await runs.rows("pairs", pairs);
  const steps = (count: number) => ({ training: { steps: count, batchSize: 4 } });
  const whole = await runs.run("whole", config(rows, steps(8), { matryoshka: [12, 4] }));
  const cut = await runs.run("cut", config(rows, steps(8), { matryoshka: [12, 4] }), 3);
  const rest = await runs.run("cut", config(rows, steps(8), { matryoshka: [12, 4] }));
  expect(cut.losses.length).toBeLessThan(8);
  expect([...cut.losses, ...rest.losses]).toEqual(whole.losses);
  expect(new Set(whole.losses).size).toBe(8);
});

test("scores of pairs: cosines come into their order; dense layers behind the pooling are trained and saved", async () => {
  const rows = await runs.rows(
    "scored",
    pairs.flatMap(({ anchor, positive, negative }) => [
      { sentence1: anchor, sentence2: positive, score: 1 },
      { sentence1: anchor, sentence2: negative, score: 0.1 },
    ]),
  );
  const run = await runs.run(
    "scored",
    config(rows, { model: model("sentence-dense"), training: { steps: 150, batchSize: 8 } }),
  );
  const { spearman } = run.evaluations.at(-1) as Record<string, number>;
  expect(run.facts.loss).toBe("cosent");
  expect(spearman).toBeGreaterThan(0.5);
  const before = await SentenceEncoder.open(model("sentence-dense"));
  const after = await SentenceEncoder.open(run.path);
  const [[x], [y]] = await Promise.all([before, after].map((encoder) => encoder.encode(["the sea"])));
  expect(x.length).toBe(5);
  expect(y.length).toBe(5);
  expect(y).not.toEqual(x);
  for (const encoder of [before, after]) encoder.dispose();
});

test("triplets learn; a plain encoder gets a pooling, an adapter is merged", async () => {
  const rows = await runs.rows("pairs", pairs);
  const more = { model: model("bert-token-types"), adapter: { type: "lora", rank: 4, merge: true } };
  const settings = { loss: "triplet", margin: 1, pooling: "cls" };
  const run = await runs.run("triplets", config(rows, more, settings));
  expect(run.losses.at(-1)).toBeLessThan(run.losses[0]);
  const pooling = JSON.parse(await readFile(join(run.path, "1_Pooling", "config.json"), "utf8"));
  expect(pooling.pooling_mode_cls_token).toBe(true);
  const encoder = await SentenceEncoder.open(run.path, { onWarning: () => {} });
  expect((await encoder.encode(["the sea"]))[0].length).toBe(pooling.word_embedding_dimension);
  encoder.dispose();
});

const wrong: [string, object[], object, string][] = [
  ["an empty text", [...pairs.slice(0, 3), { anchor: " ", positive: "x", negative: "y" }], {}, "an empty anchor"],
  ["an empty negative", [...pairs.slice(0, 3), { ...pairs[3], negative: "" }], {}, "negatives that are texts"],
  ["a single score", [1, 1, 1].map((score, i) => ({ ...pairs[i], score })), { loss: "cosent" }, "1 alone"],
  ["scores beyond cosines", [1, 5].map((score, i) => ({ ...pairs[i], score })), { loss: "cosine" }, "from -1 to 1"],
  ["no scores", pairs, { loss: "cosent" }, "a score of each pair"],
  ["no negatives", pairs.map(({ anchor, positive }) => ({ anchor, positive })), { loss: "triplet" }, "with a negative"],
  ["the same text", pairs.map(({ anchor }) => ({ anchor, positive: "yes" })), {}, "with no text in common"],
  ["too wide", pairs, { matryoshka: [13] }, "widths of at most 12"],
  ["weights", pairs, { matryoshka: [8, 4], matryoshkaWeights: [1] }, "one of each width"],
  ["more negatives", pairs, { hardNegatives: 2 }, "2 negatives of each pair"],
  ["no pairs", [{ text: "one", label: 1 }], {}, "a row of classification"],
];

test.each(wrong)("%s: an error that says so", async (name, rows, settings, message) => {
  const path = await runs.rows(name, rows);
  await expect(runs.run(name, config(path, {}, settings))).rejects.toThrow(message);
});

test("packing and batches of one length are refused", async () => {
  const train = await runs.rows("pairs", pairs);
  const data = (more: object) => runs.run("data", config(train, { data: { train, ...more } }));
  await expect(data({ packing: true })).rejects.toThrow("reads whole texts");
  await expect(data({ groupByLength: true })).rejects.toThrow("rows of one length");
});
