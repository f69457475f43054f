import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, type MockInstance, test, vi } from "vitest";
import { ScriptedApi } from "../../testing/scripted-api.ts";
import { createProgram } from "../program.ts";

let folder: string;
let output: MockInstance;
let errors: MockInstance;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(() => {
  output = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  errors = vi.spyOn(process.stderr, "write").mockReturnValue(true);
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** Runs a command; gives what it wrote to both outputs. */
async function data(...words: string[]): Promise<{ out: string; err: string }> {
  output.mockClear();
  errors.mockClear();
  await createProgram().parseAsync(["data", ...words], { from: "user" });
  const text = (mock: MockInstance) => mock.mock.calls.map(([piece]) => String(piece)).join("");
  return { out: text(output), err: text(errors) };
}
const at = (name: string) => join(folder, name);
const rowsIn = async (name: string) =>
  (await readFile(at(name), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

const reviews = [
  ...Array.from({ length: 40 }, (_, i) => ({
    text: `The room number ${i} was clean and the staff were friendly.`,
    label: i % 4 ? "good" : "bad",
  })),
  { text: "the room number 3 WAS clean, and the staff were friendly", label: "good" },
  { text: "Das Zimmer war sauber und das Personal sehr freundlich zu uns.", label: "good" },
];

test("stats, preview, dedup, filter, split and convert, one after another", async () => {
  await writeFile(at("a.jsonl"), `${reviews.map((row) => JSON.stringify(row)).join("\n")}\n{"text": \n`);
  const { out } = await data("stats", at("a.jsonl"), "--json", "--languages");
  expect(JSON.parse(out)).toMatchObject({
    rows: 42,
    duplicates: 1,
    badRows: { count: 1, first: [{ line: 43 }] },
    format: { format: "classification", columns: { text: "text", label: "label" } },
    languages: { en: 41, de: 1 },
    columns: { label: { types: { text: 42 }, values: { good: 32, bad: 10 } } },
  });
  expect((await data("stats", at("a.jsonl"))).out).toMatch(/rows +42, and 1 bad ones\nformat +classification/);
  const preview = await data("preview", at("a.jsonl"), "--rows", "2", "--skip", "1");
  expect(preview.out).toMatch(
    /format classification \(text=text, label=label\)\n\n.*a.jsonl:2\n {2}text: The room number 1 /,
  );

  const dedup = await data("dedup", at("a.jsonl"), "--out", at("b.jsonl"), "--removed", at("removed.jsonl"));
  expect(dedup.err).toMatch(/1 of 42 rows repeat others\n.*b.jsonl: 41 rows\n/);
  expect(dedup.err).toMatch(/1 bad row left out:\n.*a.jsonl:43: no JSON/);
  expect((await rowsIn("removed.jsonl"))[0]).toMatchObject({ duplicate_of: 3 });
  const near = await data(
    "dedup",
    at("a.jsonl"),
    "--method",
    "minhash",
    "--shingle",
    "1",
    "--threshold",
    "0.6",
    "--out",
    at("n.jsonl"),
  );
  expect(near.err).toMatch(/40 of 42 rows repeat others/);

  await writeFile(at("eval.txt"), "Somebody wrote that the room number 7 was clean and the staff were friendly.\n");
  const words = ["--language", "en", "--min-chars", "10", "--decontaminate", at("eval.txt"), "--ngram", "10"];
  const filter = await data(
    "filter",
    at("b.jsonl"),
    ...words,
    "--out",
    at("c.parquet"),
    "--rejected",
    at("rejected.jsonl"),
  );
  expect(filter.err).toMatch(/2 of 41 rows left out\n {2}1 {2}\S.*\n {2}1 {2}\S/);
  expect((await rowsIn("rejected.jsonl")).map(({ rejected_for }) => rejected_for)).toEqual([
    'of the evaluation set: "the room number 7 was clean and the staff were"',
    "language de",
  ]);

  await data("split", at("c.parquet"), "--validation", "0.3", "--out", at("parts"));
  const [train, validation] = [await rowsIn("parts/train.jsonl"), await rowsIn("parts/validation.jsonl")];
  expect(train.length + validation.length).toBe(39);
  expect(validation.length).toBeGreaterThan(4);
  await expect(data("split", at("c.parquet"), "--out", at("parts"))).rejects.toThrow(/a new file.*--force/);
  expect(await readdir(at("parts"))).toEqual(["train.jsonl", "validation.jsonl"]);

  await data("convert", at("parts"), "--out", at("all.csv"), "--limit", "3");
  expect(await readFile(at("all.csv"), "utf8")).toMatch(/^text,label\nThe room number \d+ was .*,(good|bad)\n/);
  await expect(data("filter", at("b.jsonl"), "--out", at("x.jsonl"))).rejects.toThrow(/a rule: --min-chars/);
  await expect(data("stats", at("a.jsonl"), "--on-bad-row", "fail")).rejects.toThrow(/a.jsonl:43/);
});

test("other formats become messages, with the columns that are named", async () => {
  await writeFile(at("qa.csv"), "frage,antwort\nWas?,Das.\n,\nWer?,Der.\n");
  const columns = ["--column", "prompt=frage", "--column", "completion=antwort"];
  const { err } = await data("convert", at("qa.csv"), "--as", "messages", ...columns, "--out", at("qa.jsonl"));
  expect(err).toMatch(/1 rows that are no conversation left out:\n.*qa.csv:3: an empty antwort/);
  expect(await rowsIn("qa.jsonl")).toEqual([
    {
      messages: [
        { role: "user", content: "Was?" },
        { role: "assistant", content: "Das." },
      ],
    },
    {
      messages: [
        { role: "user", content: "Wer?" },
        { role: "assistant", content: "Der." },
      ],
    },
  ]);
});

const document = `The harbour of Nantucket was built in 1723 and held ninety whaling ships.

The town burned in 1846, when a fire that began in a hat shop destroyed a third of its houses.`;
const answer = (pairs: object[]) => ({
  json: {
    choices: [{ message: { role: "assistant", content: `Here:\n\`\`\`json\n${JSON.stringify(pairs)}\n\`\`\`` } }],
    usage: { prompt_tokens: 100, completion_tokens: 50 },
  },
});
const good = {
  question: "How many ships did the harbour of Nantucket hold?",
  answer: "It held ninety whaling ships.",
  quote: "The harbour of Nantucket was built in 1723 and held ninety whaling ships.",
};

test("build asks a model, checks what it writes, and goes on where it was ended", async () => {
  await writeFile(at("town.txt"), document);
  const api = new ScriptedApi();
  const url = `${await api.listen()}/v1`;
  const words = ["build", at("town.txt"), "--url", url, "--model", "m", "--passage", "80", "--concurrency", "1"];
  try {
    const dry = await data(...words, "--dry-run", "--price-prompt", "1000", "--price-completion", "1000");
    expect(dry.out).toMatch(
      /Passage:\nThe harbour[\s\S]*3 requests, about \d+ tokens of prompts and 1800 of answers, a cost of/,
    );
    expect(api.requests).toHaveLength(0);

    api.answers.push(
      { status: 429, json: { error: { message: "slow down" } } },
      answer([
        good,
        good,
        { ...good, question: "How deep is the harbour there?", answer: "It is forty fathoms deep, as surveyors say." },
        { ...good, question: "When was the harbour of it built?", answer: "The harbour was built in 1823." },
        { ...good, question: "What does the passage say of ships?" },
        { ...good, question: "How many ships were in the harbour?", quote: "There were a hundred of them." },
      ]),
      { status: 400, json: { error: { message: "no such model" } } },
    );
    await expect(data(...words, "--out", at("pairs.jsonl"))).rejects.toThrow(/400 no such model.*model's name/);
    expect(await readdir(folder)).not.toContain("pairs.jsonl");

    api.answers.splice(0, api.answers.length, {
      json: { ...answer([]).json, choices: [{ message: { content: "no" } }] },
    });
    const before = api.requests.length;
    const { err } = await data(...words, "--out", at("pairs.jsonl"), "--price-prompt", "2");
    expect(api.requests.length - before).toBe(4); // each of two passages twice, for its answer is no list
    expect(err).toMatch(/3 of 3 passages, 500 \+ 250 tokens, cost 0.00100/);
    for (const reason of [
      "1 refused: a question that was there before",
      "1 refused: an answer that is not in the passage",
      "1 refused: a number that is not in the passage",
      "1 refused: a question that speaks of the passage",
      "1 refused: a quote that is not in the passage",
      "2 refused: an answer that is no list of pairs",
    ])
      expect(err).toContain(reason);
    expect(await rowsIn("pairs.jsonl")).toEqual([
      {
        messages: [
          { role: "user", content: good.question },
          { role: "assistant", content: good.answer },
        ],
        source: `${at("town.txt")}#1`,
        quote: good.quote,
      },
    ]);
    const asked = api.requests.length;
    await data(...words, "--out", at("pairs.jsonl"), "--force", "--no-quote");
    expect(api.requests).toHaveLength(asked); // other checks ask nobody
    expect(await rowsIn("pairs.jsonl")).toHaveLength(2);
  } finally {
    await api.close();
  }
});

test("build ends before it costs more", async () => {
  await writeFile(at("town.txt"), document);
  const api = new ScriptedApi();
  const url = `${await api.listen()}/v1`;
  api.answers.push(answer([good]));
  try {
    const words = ["build", at("town.txt"), "--url", url, "--model", "m", "--passage", "80", "--concurrency", "1"];
    const { err } = await data(...words, "--out", at("cheap.jsonl"), "--price-prompt", "1000", "--max-cost", "0.15");
    expect(api.requests).toHaveLength(2);
    expect(err).toMatch(/2 of 3 passages.*\n[\s\S]*--max-cost is reached/);
    await expect(data(...words, "--out", at("cheap2.jsonl"), "--max-cost", "1")).rejects.toThrow(/prices/);
    await expect(data("build", at("town.txt"), "--url", "x", "--model", "m", "--out", at("y.jsonl"))).rejects.toThrow(
      /address of an API/,
    );
  } finally {
    await api.close();
  }
});
