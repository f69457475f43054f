/** Questions whose answers stand in a text, by tiny models. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cutAndWhole, runConfig, tinyBert, tinyTokenizer, writeRowsTo } from "../testing/method-runs.ts";
import { bestSpan } from "./parts/question-windows.ts";

const people = ["anna", "bob", "carla"];
const towns = ["berlin", "paris", "rome"];
const rows = Array.from({ length: 18 }, (_, i) => {
  const [person, town] = [people[i % 3], towns[Math.floor(i / 3) % 3]];
  const context = `${"then as before ".repeat(i % 2)}${person} lives in ${town} now`;
  const [question, answer] = i < 9 ? ["who", person] : ["where", town];
  return { question, context, answers: { text: [answer], answer_start: [context.indexOf(answer)] } };
});

let folder: string;
let tokenizer: string;
let train: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-questions-"));
  const texts = rows.map(({ question, context }) => `${question} ${context}`);
  tokenizer = await tinyTokenizer(join(folder, "tokenizer"), texts);
  train = await writeRowsTo(folder, "train.jsonl", rows);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const configOf = (name: string, more: object = {}, method: object = {}) => ({
  method: { name: "question-answering", stride: 3, ...method },
  model: { new: { ...tinyBert } },
  tokenizer,
  data: { train, validation: train, maxLength: 24 },
  optimizer: { learningRate: 5e-3 },
  training: { epochs: 120, batchSize: 9 },
  evaluation: { interval: 1000 },
  output: join(folder, name),
  ...more,
});

test("a new model finds answers, and goes on with its head", async () => {
  const { evaluations, facts } = await runConfig(configOf("found"));
  expect(facts).toMatchObject({ questions: 18, examples: 18, "examples with an answer": 18, head: "new" });
  expect(evaluations.at(-1)).toMatchObject({ exactMatch: 1, f1: 1 });
  const model = join(folder, "found", "model");
  const further = await runConfig(configOf("found-more", { model, tokenizer: undefined, training: { steps: 1 } }));
  expect(further.facts.head).toBe("the checkpoint's");
  expect(further.losses[0]).toBeLessThan(0.5);
}, 60_000);

test("cut and resumed: the losses of a run that was not cut, to the bit", async () => {
  const { whole, parts } = await cutAndWhole(configOf("resumed", { training: { batchSize: 9 } }));
  expect(parts).toEqual(whole);
}, 60_000);

test("questions without answers, and contexts in parts", async () => {
  const without = rows.map((row, i) =>
    i % 3 ? row : { ...row, question: "why", answers: { text: [], answer_start: [] } },
  );
  const path = await writeRowsTo(folder, "without.jsonl", without);
  const data = { train: path, validation: path, maxLength: 10 };
  const { evaluations, facts } = await runConfig(configOf("without", { data }));
  expect(facts.examples).toBeGreaterThan(18);
  expect(facts["examples with an answer"]).toBeLessThan(18);
  const { f1, exactMatch } = evaluations.at(-1) as Record<string, number>;
  expect(f1).toBeGreaterThan(0.9);
  expect(exactMatch).toBeGreaterThan(0.9);
}, 60_000);

test("the best span is in the context, in order, and not too long", () => {
  const window = {
    from: 2,
    offsets: [
      [0, 3],
      [4, 6],
      [7, 9],
    ],
  } as const;
  const starts = [9, 9, 1, 0, 3];
  const ends = [9, 9, 4, 2, 1];
  expect(bestSpan(starts, ends, window, 3)).toEqual({ score: 5, from: 0, to: 3 });
  expect(bestSpan([0, 0, 5, 0, 0], [0, 0, 0, 0, 5], window, 2)).toEqual({ score: 5, from: 0, to: 3 });
  expect(bestSpan([0, 0, 5, 0, 0], [0, 0, 0, 0, 5], window, 3)).toEqual({ score: 10, from: 0, to: 9 });
});

test("wrong data is said", async () => {
  const run = async (name: string, changed: readonly object[]) => {
    const path = await writeRowsTo(folder, `${name}.jsonl`, changed);
    return runConfig(configOf(name, { data: { train: path, validationShare: 0, maxLength: 24 } }));
  };
  const nothing = rows.map((row) => ({ ...row, answers: { text: [], answer_start: [] } }));
  await expect(run("nothing", nothing)).rejects.toThrow("questions with an answer that stands whole in a part");
  const moved = [{ ...rows[0], answers: { text: ["anna"], answer_start: [40] } }];
  await expect(run("moved", moved)).rejects.toThrow("an answer that does not stand at 40");
}, 60_000);
