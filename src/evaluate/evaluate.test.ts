/** The numbers of lm-evaluation-harness on local tasks: golden/evaluate/. */
import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Generator } from "../generate/index.ts";
import { type CausalLM, fromPretrained } from "../models/index.ts";
import { expectAnswers, expectNumbers, lmEvalResults } from "../testing/lm-eval-results.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { defineTask, EvalModel, evaluate, formatResults, readTask, type TaskResult } from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));
const { resamples, results, table } = await lmEvalResults("expected");
const names = Object.keys(results);
const openTask = (name: string) => readTask(join(golden, "evaluate", `${name}.yaml`));

let model: CausalLM;
let judged: EvalModel;
let outcomes: TaskResult[];
beforeAll(async () => {
  const folder = join(golden, "pipelines", "models", "gpt2");
  model = await fromPretrained(folder, { task: "causal-lm" });
  judged = new EvalModel(new Generator(model), await Tokenizer.open(folder));
  outcomes = await evaluate(judged, await Promise.all(names.map(openTask)), { resamples });
});
afterAll(() => {
  judged.generator.dispose();
  model.dispose();
});

describe.each(names)("%s", (name) => {
  const outcome = () => outcomes.find(({ task }) => task.name === name) as TaskResult;
  test("the prompts and answers of each row", () => expectAnswers(outcome(), results[name]));
  test("the numbers and their standard errors", () => expectNumbers(outcome(), results[name]));
});

/** The cells of each row of a table, with the task's name in all its rows; numbers as numbers. */
function cellsOf(markdown: string): (string | number)[][] {
  const [, , ...lines] = markdown.trim().split("\n");
  let name: string[] = [];
  return lines.map((line) => {
    const cells = line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim());
    if (cells[0] !== "") name = cells.slice(0, 2);
    return [...name, ...cells.slice(2)].map((cell) =>
      cell === "" || Number.isNaN(Number(cell)) ? cell : Number(cell),
    );
  });
}

test("the table", () => {
  const sorted = (rows: (string | number)[][]) => rows.toSorted((a, b) => (a.join() < b.join() ? -1 : 1));
  const [ours, theirs] = [formatResults(outcomes), table].map((text) => sorted(cellsOf(text)));
  expect(ours).toHaveLength(theirs.length);
  for (const [i, cells] of ours.entries())
    for (const [j, cell] of cells.entries()) {
      const other = theirs[i][j];
      if (typeof cell !== "number") expect(cell).toBe(other);
      else expect(Math.abs(cell - (other as number))).toBeLessThanOrEqual(1e-4 + 1e-5 * cell);
    }
  expect(formatResults(outcomes.slice(0, 1)).split("\n").slice(0, 3)).toEqual([
    "| Tasks |Version|Filter|n-shot|    Metric     |   |Value |   |Stderr|",
    "|-------|------:|------|-----:|---------------|---|-----:|---|-----:|",
    expect.stringMatching(/^\|choices\| {6}1\|none {2}\| {5}1\|acc {12}\|↑ {2}\|0\.\d{4}\|± {2}\|0\.\d{4}\|$/u),
  ]);
});

describe("a folder of answers", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "kindling-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("an evaluation that was ended goes on with them", async () => {
    const tasks = [await openTask("texts"), await openTask("lasts")];
    const gone = new AbortController();
    const options = { folder, modelName: "tiny", resamples: 0 };
    const onProgress = (task: string, done: number) => {
      if (task === "lasts" && done === 5) gone.abort(new Error("ended"));
    };
    await expect(evaluate(judged, tasks, { ...options, onProgress, signal: gone.signal })).rejects.toThrow("ended");
    await appendFile(join(folder, "responses_lasts.jsonl"), '{"doc_id": 9, "requ'); // a kill while it wrote
    const seen: Record<string, number> = {};
    const again = await evaluate(judged, tasks, {
      ...options,
      onProgress: (task, done) => {
        seen[task] ??= done;
      },
    });
    expect(seen).toEqual({ texts: 12, lasts: 5 });
    expect(again[1].metrics[0].value).toBe(outcomes[names.indexOf("lasts")].metrics[0].value);
    const written = JSON.parse(await readFile(join(folder, "results.json"), "utf8"));
    expect(written.results.lasts).toMatchObject({ alias: "lasts", sample_len: 16, "perplexity_stderr,none": "N/A" });
    const lines = (await readFile(join(folder, "samples_texts.jsonl"), "utf8")).trim().split("\n");
    expect(lines).toHaveLength(24);
    expect(Object.keys(JSON.parse(lines[0]))).toContain("filtered_resps");
  });

  test("of another model are refused", async () => {
    const tasks = [await openTask("lasts")];
    const other = evaluate(judged, tasks, { folder, modelName: "other" });
    await expect(other).rejects.toThrow("answers of the model other; received tiny");
  });
});

test("only the first rows, and tasks of TypeScript", async () => {
  const task = defineTask({
    name: "lengths",
    data: { test: [{ question: "It was", n: 3 }, { question: "the" }] },
    testSplit: "test",
    docToText: (doc) => `${doc.question} `,
    docToTarget: "n",
    generation: { maxGenToks: 3 },
    metrics: [{ metric: "length", score: (text) => text.length }],
  });
  const [one] = await evaluate(judged, [task], { limit: 1 });
  expect(one.rows).toEqual({ original: 2, effective: 1 });
  expect(one.metrics[0].value).toBe((one.samples[0].answers[0] as string).length);
  const [half] = await evaluate(judged, [task], { limit: 0.5 });
  expect(half.samples).toHaveLength(1);
  const drawn = defineTask({ ...TASK, generation: { maxGenToks: 5, doSample: true, temperature: 2 } });
  const [first, second] = [await evaluate(judged, [drawn]), await evaluate(judged, [drawn])];
  expect(first[0].samples).toEqual(second[0].samples);
});

const TASK = { name: "t", data: { test: [{ a: "It", b: "was" }] }, docToText: "a", docToTarget: "b" } as const;

describe("what is wrong is told", () => {
  const rows = [{ a: "x", c: ["p", "q"] }];
  const choices = { ...TASK, data: { test: rows }, outputType: "multiple_choice", docToTarget: "{{0}}" } as const;
  const cases: [string, () => unknown, string][] = [
    ["an unknown option", () => defineTask({ ...TASK, docToTxt: "a" } as never), 'did you mean "docToText"?'],
    ["a split without data", () => defineTask({ ...TASK, testSplit: "tests" }), "data of the split tests"],
    ["no choices", () => defineTask({ ...TASK, outputType: "multiple_choice" }), "docToChoice for multiple choice"],
    ["another metric", () => defineTask({ ...TASK, metrics: [{ metric: "acc" }] }), "metrics of generate_until"],
    ["another output type", () => defineTask({ ...TASK, outputType: "rank" as never }), "an output type of"],
    ["no task", () => evaluate(judged, []), "at least one"],
    ["two of a name", () => evaluate(judged, [defineTask(TASK), defineTask(TASK)]), "different names"],
    [
      "a name that is not there",
      () => evaluate(judged, [defineTask({ ...TASK, docToText: "{{z}}" })]),
      "'z' is undefined",
    ],
    ["no rows", () => evaluate(judged, [defineTask({ ...TASK, data: { test: [] } })]), "rows of the split test"],
    ["few examples", () => evaluate(judged, [defineTask({ ...TASK, numFewshot: 2 })]), "at least 3 examples"],
    ["no list", () => evaluate(judged, [defineTask({ ...choices, docToChoice: "a" })]), "are no list"],
    [
      "no list in Python",
      () => evaluate(judged, [defineTask({ ...choices, docToChoice: "{{a}}" })]),
      "as Python writes it",
    ],
    [
      "a long answer",
      () => evaluate(judged, [defineTask({ ...TASK, generation: { maxGenToks: 96 } })]),
      "maxGenToks below",
    ],
    [
      "a long window",
      () => new EvalModel(judged.generator, judged.tokenizer, { maxLength: 97 }),
      "at most the context of 96",
    ],
  ];
  test.each(cases)("%s", async (_, run, message) => {
    await expect((async () => run())()).rejects.toThrow(message);
  });
});
