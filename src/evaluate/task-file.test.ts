/** Files of tasks that are not followed, and what Python writes. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { filtered } from "./filters.ts";
import { readTask } from "./index.ts";
import { parsePythonLiteral } from "./python-literal.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

const DATA = "task: t\ndataset_path: json\ndataset_kwargs: { data_files: { test: rows.jsonl } }\ntest_split: test\n";
const RULES = 'doc_to_text: "{{a}}"\ndoc_to_target: b\n';

const refused: [string, string, string][] = [
  ["code of Python", `${DATA}doc_to_text: !function utils.text\n`, "a !function of Python"],
  ["an unknown field", `${DATA}${RULES}doc_to_texts: a\n`, 'did you mean "doc_to_text"?'],
  ["data of the hub", `task: t\ndataset_path: glue\n${RULES}`, "json, with data_files"],
  ["another metric", `${DATA}${RULES}metric_list: [{ metric: rouge }]\n`, "metrics of generate_until"],
  ["another aggregation", `${DATA}${RULES}metric_list: [{ metric: bleu, aggregation: mean }]\n`, "bleu or median"],
  [
    "another filter",
    `${DATA}${RULES}filter_list: [{ name: x, filter: [{ function: vote }] }]\n`,
    "a function of regex",
  ],
  ["a filter without steps", `${DATA}${RULES}filter_list: [{ name: x }]\n`, "a name and a filter"],
  ["repeats", `${DATA}${RULES}repeats: 5\n`, "an answer is written once"],
  ["another sampler", `${DATA}${RULES}fewshot_config: { sampler: balanced }\n`, "default or first_n"],
  ["unknown settings", `${DATA}${RULES}generation_kwargs: { num_beams: 4 }\n`, '"num_beams"'],
  ["no YAML", "task: [", "expected YAML"],
  ["no fields", "- a\n", "a field for each part"],
];
test.each(refused)("%s is refused", async (_, text, message) => {
  const path = join(folder, "task.yaml");
  await writeFile(path, text);
  await expect(readTask(path)).rejects.toThrow(message);
});

test("a file that includes itself, and one that is not there", async () => {
  const path = join(folder, "loop.yaml");
  await writeFile(path, "include: loop.yaml\n");
  await expect(readTask(path)).rejects.toThrow("does not include this one");
  await expect(readTask(join(folder, "none.yaml"))).rejects.toThrow("no such file");
});

test("JSON is YAML, choices have names, and paths are seen from the file", async () => {
  const path = join(folder, "task.json");
  const task = {
    task: "t",
    dataset_path: "json",
    dataset_kwargs: { data_files: { test: ["a.jsonl", "/b.jsonl"] } },
    test_split: "test",
    output_type: "multiple_choice",
    doc_to_text: "a",
    doc_to_target: "b",
    doc_to_choice: { A: "yes", B: "no" },
    metadata: { version: 2 },
  };
  await writeFile(path, JSON.stringify(task));
  const read = await readTask(path);
  expect(read).toMatchObject({ name: "t", version: 2, docToChoice: ["yes", "no"], outputType: "multiple_choice" });
  expect(read.data.test).toEqual([join(folder, "a.jsonl"), "/b.jsonl"]);
  expect(read.metrics.map(({ metric }) => metric)).toEqual(["acc", "acc_norm"]);
});

test("what Python writes", () => {
  const text = `['it\\'s', "O'Neill", 'a\\n\\u9cb8\\x41' 'b', (1, -2.5e3,), {'k': None}, True, ]`;
  expect(parsePythonLiteral(text)).toEqual(["it's", "O'Neill", "a\n鲸Ab", [1, -2500], { k: null }, true]);
  for (const wrong of ["[1", "['a", "[a]", "[1] 2", "{'a' 1}", "['\\x4']", ""])
    expect(() => parsePythonLiteral(wrong), wrong).toThrow("as Python writes it");
});

test("filters", () => {
  const regex = (regexPattern: string, more = {}) => [{ function: "regex", regexPattern, ...more }] as const;
  expect(filtered("so #### -1,200.", [{ function: "regex" }])).toBe("-1,200.");
  expect(filtered("a1 b2 c3", regex("(?P<letter>[a-z])(\\d)", { groupSelect: -1 }))).toBe("c");
  expect(filtered("Answer: B", regex("(?i)answer: ([a-d])"))).toBe("B");
  expect(filtered("none", regex("(\\d+)", { fallback: "?" }))).toBe("?");
  expect(filtered("x ", regex("(\\d)?(y)?"))).toBe("[invalid]");
  expect(() => filtered("x", regex("(?<=a*)(?>b)"))).toThrow("Python and JavaScript both have");
  const steps = [
    { function: "remove_whitespace" },
    { function: "uppercase" },
    { function: "map", mapping: { A: "1" } },
  ] as const;
  expect(filtered(" a\n", steps)).toBe("1");
  expect(filtered("b", [...steps.slice(0, 2), { ...steps[2], defaultValue: "0" }])).toBe("0");
});
