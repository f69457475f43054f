import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { collect } from "../../testing/collect.ts";
import {
  BadRows,
  ClassNames,
  type ExampleFormat,
  openConll,
  type Row,
  readConversations,
  readExamples,
  recogniseFormat,
  rowsOf,
  squadRows,
  toConversation,
  toExample,
} from "../index.ts";

const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });

test.each<[ExampleFormat, Row, unknown]>([
  [
    "alpaca",
    { instruction: "Add.", input: "1 2", output: "3", text: "Below is ..." },
    { prompt: [user("Add.\n\n1 2")], completion: [assistant("3")] },
  ],
  ["alpaca", { instruction: "Hi", input: "", output: "Ho" }, { prompt: [user("Hi")], completion: [assistant("Ho")] }],
  [
    "alpaca",
    { instruction: "Hi", context: null, response: "Ho", system: "S" },
    { prompt: [{ role: "system", content: "S" }, user("Hi")], completion: [assistant("Ho")] },
  ],
  [
    "sharegpt",
    {
      id: "1",
      conversations: [
        { from: "human", value: "a" },
        { from: "gpt", value: "b" },
      ],
    },
    { messages: [user("a"), assistant("b")] },
  ],
  [
    "messages",
    {
      messages: [
        { role: "user", content: "a", tool_calls: null },
        {
          role: "assistant",
          content: null,
          tool_calls: [{ type: "function", function: { name: "f", arguments: "{}" } }],
        },
        { role: "tool", content: "1", tool_call_id: "x" },
      ],
      tools: '[{"type": "function"}]',
    },
    {
      messages: [
        user("a"),
        {
          role: "assistant",
          content: null,
          tool_calls: [{ type: "function", function: { name: "f", arguments: "{}" } }],
        },
        { role: "tool", content: "1", tool_call_id: "x" },
      ],
      tools: [{ type: "function" }],
    },
  ],
  ["prompt-completion", { prompt: "a", completion: "b" }, { prompt: "a", completion: "b" }],
  ["prompt-completion", { question: "a", answer: "b" }, { prompt: "a", completion: "b" }],
  [
    "preference",
    { prompt: "p", chosen: "c", rejected: "r", score_chosen: 1 },
    { prompt: "p", chosen: "c", rejected: "r" },
  ],
  [
    "preference",
    { prompt: "p", chosen: "c", rejected: "r", margin: "0.5" },
    { prompt: "p", chosen: "c", rejected: "r", margin: 0.5 },
  ],
  [
    "preference",
    { prompt: "p", chosen: [user("p"), assistant("c")], rejected: [user("p"), assistant("r")] },
    { prompt: "p", chosen: [assistant("c")], rejected: [assistant("r")] },
  ],
  [
    "preference",
    { chosen: [user("p"), assistant("c")], rejected: [user("p"), assistant("r")] },
    { prompt: [user("p")], chosen: [assistant("c")], rejected: [assistant("r")] },
  ],
  [
    "preference",
    {
      chosen: "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d",
      rejected: "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: e\n\nf",
    },
    { prompt: [user("a"), assistant("b"), user("c")], chosen: [assistant("d")], rejected: [assistant("e\n\nf")] },
  ],
  ["kto", { prompt: "p", completion: "c", label: true }, { prompt: "p", completion: "c", isDesirable: true }],
  ["classification", { text: "t", label: 1 }, { text: "t", label: 1 }],
  ["classification", { sentence: "t", label: "pos", idx: 3 }, { text: "t", label: "pos" }],
  ["classification", { text: "t", labels: ["a", "b"] }, { text: "t", label: ["a", "b"] }],
  ["classification", { premise: "a", hypothesis: "b", label: 2 }, { text: "a", textPair: "b", label: 2 }],
  ["pairs", { anchor: "a", positive: "b", negative: "c" }, { anchor: "a", positive: "b", negatives: ["c"] }],
  ["pairs", { query: "a", pos: "b", neg: ["c", "d"] }, { anchor: "a", positive: "b", negatives: ["c", "d"] }],
  ["pairs", { sentence1: "a", sentence2: "b", score: "4.5" }, { anchor: "a", positive: "b", score: 4.5 }],
  [
    "question-answering",
    { id: "1", question: "q", context: "😀 in Rome", answers: { text: ["Rome"], answer_start: [5] } },
    { question: "q", context: "😀 in Rome", answers: [{ text: "Rome", start: 6 }] },
  ],
  [
    "question-answering",
    { question: "q", context: "c", answers: { text: [], answer_start: [] } },
    { question: "q", context: "c", answers: [] },
  ],
  ["token-classification", { tokens: ["a", "b"], ner_tags: [0, 1] }, { tokens: ["a", "b"], tags: [0, 1] }],
  ["translation", { translation: { en: "a", zh: "b" } }, { source: "a", target: "b", languages: ["en", "zh"] }],
  ["text", { text: "t", url: "u" }, { text: "t" }],
])("%s is recognised by its fields: %j", (format, row, expected) => {
  const recognised = recogniseFormat([row]);
  expect(recognised.format).toBe(format);
  expect(toExample(row, recognised)).toEqual(expected);
});

test("columns of other names are mapped, and mistakes are told", () => {
  const row = { frage: "a", antwort: "b" };
  const recognised = recogniseFormat([row], { columns: { prompt: "frage", completion: "antwort" } });
  expect(toConversation(row, recognised)).toEqual({ messages: [user("a"), assistant("b")] });
  expect(() => recogniseFormat([row])).toThrow(/columns frage, antwort.*columns \{ prompt/);
  expect(() => recogniseFormat([row], { columns: { prompt: "Frage" } })).toThrow(/did you mean "frage"/);
  expect(() => recogniseFormat([row], { columns: { promt: "frage" } })).toThrow(/did you mean "prompt"/);
  expect(() => recogniseFormat([row], { format: "alpca" as "alpaca" })).toThrow(/did you mean "alpaca"/);
  expect(() => recogniseFormat([row], { format: "alpaca" })).toThrow(/rows of alpaca, with instruction, output/);
});

test("a row among good ones that is no example is counted with its line", async () => {
  const good = { messages: [user("a"), assistant("b")] };
  const bad: [Row, string][] = [
    [{ messages: [] }, "messages without a message"],
    [{ messages: [{ role: "king", content: "x" }] }, 'message 1 of messages with the role "king"'],
    [{ messages: [{ role: "user" }] }, "message 1 of messages without content"],
    [{ messages: "text" }, "messages that is no list of messages"],
  ];
  const rows = rowsOf<Row>([good, good, good, good, good, ...bad.map(([row]) => row), good], "talks");
  const badRows = new BadRows({ onBadRow: "skip" });
  const { examples } = await readConversations(rows, { badRows });
  expect(examples.count).toBe(6);
  expect(badRows.first).toEqual(bad.map(([, reason], i) => ({ file: "talks", line: 6 + i, reason })));
  await expect(readConversations(rows)).rejects.toThrow(/talks:6: .*without a message/);
});

test.each<[Row, RegExp]>([
  [{ prompt: "p", chosen: "c", rejected: "c" }, /the same chosen and rejected/],
  [{ chosen: "c", rejected: "r" }, /without a prompt/],
  [{ chosen: [user("a")], rejected: [user("b")] }, /no beginning in common/],
  [{ instruction: "", output: "x" }, /an empty instruction/],
  [{ question: "q", context: "c", answers: { text: ["x"], answer_start: [0] } }, /does not stand at 0: "x"/],
  [{ tokens: ["a"], tags: [] }, /0 tags for 1 tokens/],
])("%j is no example", (row, message) => {
  expect(() => toExample(row, recogniseFormat([row]))).toThrow(message);
});

test("rows of which none is an example", async () => {
  const rows = rowsOf([{ tokens: ["a"], tags: [] }]);
  await expect(readExamples(rows, { badRows: new BadRows({ onBadRow: "skip" }) })).rejects.toThrow(/none of which/);
});

test("classes of numbers, texts and truth values", () => {
  expect(ClassNames.of([10, 2, 2, "-1"]).names).toEqual(["-1", "2", "10"]);
  expect(ClassNames.of([true, false, true])).toMatchObject({ names: ["false", "true"], counts: [1, 2] });
  const classes = ClassNames.of(["pos", "neg"]);
  expect([classes.idOf("neg"), classes.idOf("pos")]).toEqual([0, 1]);
  expect(() => classes.idOf("neutral")).toThrow(/a class of neg, pos; received "neutral"/);
  expect(() => ClassNames.of([])).toThrow(/none/);
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("CoNLL files", async () => {
  const path = join(folder, "a.conll");
  const text = "-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\n# # O\n\n# a comment\nPeter NNP B-PER\n";
  await writeFile(path, text);
  const rows = await openConll(path);
  expect(await collect(rows)).toEqual([
    { tokens: ["EU", "rejects", "#"], tags: ["B-ORG", "O", "O"] },
    { tokens: ["Peter"], tags: ["B-PER"] },
  ]);
  expect(rows.placeOf(1)).toBe(`${path}:8`);
  expect((await readExamples(rows)).recognised.format).toBe("token-classification");
  await writeFile(path, "EU B-ORG\nrejects\n");
  await expect(openConll(path)).rejects.toThrow(`${path}:2:`);
});

test("SQuAD's nested files", async () => {
  const qas = [{ id: "1", question: "q", answers: [{ text: "b", answer_start: 1 }], is_impossible: false }];
  const rows = await squadRows(rowsOf<Row>([{ title: "t", paragraphs: [{ context: "abc", qas }] }]));
  const { examples } = await readExamples(rows, { format: "question-answering" });
  expect(await examples.row(0)).toEqual({ question: "q", context: "abc", answers: [{ text: "b", start: 1 }] });
});
