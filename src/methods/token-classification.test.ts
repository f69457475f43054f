/** Classification of words by tiny models. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cutAndWhole, runConfig, tinyBert, tinyTokenizer, writeRowsTo } from "../testing/method-runs.ts";

const names = ["anna", "bob", "carla", "david"];
const towns = ["berlin", "paris", "rome"];
const rows = Array.from({ length: 36 }, (_, i) => ({
  tokens: [names[i % 4], names[(i + 1) % 4], i % 2 ? "went to" : "saw", towns[i % 3]].flatMap((word) =>
    word.split(" "),
  ),
  tags: ["B-PER", "I-PER", ...(i % 2 ? ["O", "O"] : ["O"]), "B-LOC"],
}));

let folder: string;
let tokenizer: string;
let train: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-tokens-"));
  // "paris" and other words fall into several tokens
  tokenizer = await tinyTokenizer(
    join(folder, "tokenizer"),
    rows.slice(0, 2).map(({ tokens }) => tokens.join(" ")),
    60,
  );
  train = await writeRowsTo(folder, "train.jsonl", rows);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const configOf = (name: string, more: object = {}, method: object = {}) => ({
  method: { name: "token-classification", ...method },
  model: { new: { ...tinyBert } },
  tokenizer,
  data: { train, validation: train, maxLength: 32 },
  optimizer: { learningRate: 5e-3 },
  training: { epochs: 16, batchSize: 9 },
  evaluation: { interval: 64 },
  output: join(folder, name),
  ...more,
});

test.each(["first", "all"])(
  "a new model learns entities, with labels on the %s tokens of words",
  async (labelled) => {
    const { evaluations, facts, notes } = await runConfig(configOf(labelled, {}, { labelled }));
    expect(facts).toMatchObject({ examples: 36, "tag B-PER": 36, "tag O": 54, head: "new" });
    expect(evaluations.at(-1)).toMatchObject({ f1: 1, precision: 1, recall: 1, accuracy: 1 });
    expect(notes).toEqual([]);
    const json = JSON.parse(await readFile(join(folder, labelled, "model", "config.json"), "utf8"));
    expect(Object.values(json.id2label)).toEqual(["B-LOC", "B-PER", "I-PER", "O"]);
  },
  60_000,
);

test("the report has the words that were taken for others, in their sentences", async () => {
  const config = configOf("reported", { training: { epochs: 1, batchSize: 9 }, evaluation: { interval: 4 } });
  const { evaluations } = await runConfig(config);
  const { confusion, mistakes } = JSON.parse(await readFile(join(config.output, "report.json"), "utf8"));
  expect(confusion.labels).toEqual(["B-LOC", "B-PER", "I-PER", "O"]);
  const sums = confusion.counts.map((row: number[]) => row.reduce((a, b) => a + b, 0));
  expect(sums).toEqual([36, 36, 36, 54]);
  const hits = confusion.counts.reduce((sum: number, row: number[], i: number) => sum + row[i], 0);
  expect(hits / 162).toBeCloseTo(evaluations.at(-1)?.accuracy as number, 6);
  expect(mistakes).toHaveLength(Math.min(20, 162 - hits));
  for (const { place, text, label } of mistakes) {
    const { tokens, tags } = rows[Number(place.split(":").at(-1)) - 1];
    const word = text.split(" ").findIndex((each: string) => each.startsWith("«"));
    expect(text.replaceAll(/[«»]/g, "")).toBe(tokens.join(" "));
    expect(tags[word]).toBe(label);
  }
}, 60_000);

test("cut and resumed: the losses of a run that was not cut, to the bit", async () => {
  const { whole, parts } = await cutAndWhole(configOf("resumed", { training: { batchSize: 9 } }));
  expect(parts).toEqual(whole);
}, 60_000);

test("tags that are no entities, by number and name", async () => {
  const numbered = rows.map(({ tokens, tags }) => ({ tokens, tags: tags.map((tag) => Number(tag !== "O")) }));
  const path = await writeRowsTo(folder, "numbered.jsonl", numbered);
  const data = { train: path, validation: path, maxLength: 32 };
  const { evaluations, facts } = await runConfig(configOf("numbered", { data }, { labels: ["word", "name"] }));
  expect(facts).toMatchObject({ "tag word": 54, "tag name": 108 });
  expect(evaluations.at(-1)).toMatchObject({ accuracy: 1, f1: 1, mcc: 1 });
}, 60_000);

test("tags that are not well formed, long sentences, and wrong data are said", async () => {
  const run = async (name: string, changed: readonly object[], data: object = {}) => {
    const path = await writeRowsTo(folder, `${name}.jsonl`, changed);
    const all = { data: { train: path, validationShare: 0, maxLength: 12, ...data }, training: { steps: 1 } };
    return runConfig(configOf(name, all));
  };
  const loose = { tokens: ["bob", "saw", "rome"], tags: ["I-PER", "O", "I-LOC"] };
  const long = { tokens: Array.from({ length: 30 }, () => "bob"), tags: Array.from({ length: 30 }, () => "O") };
  const { notes } = await run("loose", [...rows, loose, long]);
  expect(notes).toContain("1 of 38 examples are longer than 12 tokens and cut");
  const malformed = notes.find((note) => note.includes("not well formed"));
  expect(malformed).toMatch(/^2 tags are not well formed in IOB2, as I-PER behind O, .*loose.jsonl:37; /);
  const cut = { tokens: ["bob", "saw"], tags: ["B-PER", "S-PER"] };
  expect((await run("iobes", [...rows, cut])).notes.join()).toContain("tags are not well formed in IOBES");
  const outside = rows.map(({ tokens }) => ({ tokens, tags: tokens.map(() => "O") }));
  await expect(run("outside", outside)).rejects.toThrow('received only "O"');
  await expect(run("fewer", [{ tokens: ["bob"], tags: ["O", "O"] }])).rejects.toThrow("2 tags for 1 tokens");
  const strange = await writeRowsTo(folder, "strange.jsonl", [{ tokens: ["bob"], tags: ["B-ORG"] }]);
  await expect(run("unknown", rows, { validation: strange })).rejects.toThrow("strange.jsonl:1: expected a class");
  const unseen = rows.map(({ tags }) => ({ tokens: tags.map(() => "\u200b"), tags }));
  await expect(run("unseen", unseen)).rejects.toThrow("a word that has a token and a tag");
}, 60_000);
