/** Comparisons of models, with servers of this machine. */
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PriceTable } from "../gateway/index.ts";
import { closedAfterEach } from "../testing/closing.ts";
import { errorBody, fakeUpstream, sendChatStream, sendJson } from "../testing/fake-upstream.ts";
import { type CompareOptions, compare, formatCompareReport, plotHtml, plotSvg, readPrompts } from "./index.ts";
import { checkMetric, metrics } from "./metrics.ts";
import type { Prompt } from "./prompts.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));
const closing = closedAfterEach();

const promptsOf = async (...lines: (object | string)[]): Promise<Prompt[]> => {
  const path = join(folder, "prompts.jsonl");
  await writeFile(path, lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n"));
  return readPrompts(path);
};
const lastOf = (body: Record<string, unknown>) => (body.messages as { content: string }[]).at(-1)?.content ?? "";

/** A server that answers each question by a function; a text of "!" is an error. */
async function answering(answer: (question: string) => string) {
  const server = await fakeUpstream(({ body }, response) => {
    const text = answer(lastOf(body));
    return text === "!" ? sendJson(response, errorBody("no", "bad"), 400) : sendChatStream(response, [text], body);
  });
  closing.push(server);
  return server;
}
const sums = [
  { prompt: "1+1", expected: "2" },
  { prompt: "2+2", expected: ["4", "four"] },
  { prompt: "3+3", expected: "6" },
];

test("quality, tokens, cost, errors", async () => {
  const right = await answering((question) => String(2 * Number(question[0])));
  const wrong = await answering((question) => (question === "1+1" ? "2" : question === "2+2" ? "five" : "!"));
  const options: CompareOptions = {
    targets: [
      { name: "right", url: right.url, model: "m", apiKey: "sk-hidden" },
      { name: "wrong", url: wrong.url, model: "n" },
    ],
    prompts: await promptsOf(...sums),
    metric: "exact",
    prices: new PriceTable({ models: { m: { input: 1, output: 10 } } }),
  };
  const report = await compare(options);
  expect(report).toMatchObject({
    quality: "exact",
    targets: [
      { name: "right", answers: 3, errors: 0, quality: 1, inputTokens: 30, outputTokens: 12, cost: 0.00015 },
      { name: "wrong", answers: 2, errors: 1, quality: 0.5, scored: 2, cost: undefined, firstError: "400 bad no" },
    ],
  });
  expect(right.received[0].headers.authorization).toBe("Bearer sk-hidden");
  const text = formatCompareReport(report);
  expect(text).toMatch(/\| right +\| m +\| +3 \| +0 \| +1\.000 \|/);
  expect(text).toMatch(/- wrong: 1 failed, the first with: 400 bad no/);
  for (const shown of [text, JSON.stringify(report), plotHtml(report)]) expect(shown).not.toContain("hidden");
  const svg = plotSvg({ ...report, targets: [{ ...report.targets[0], name: `<script>"&` }] });
  expect(svg).toContain("&#60;script&#62;&#34;&#38;");
  expect(svg.match(/<rect /g)?.length).toBe(6);
});

test("a comparison that was ended goes on: what there is, is not asked again", async () => {
  const server = await answering((question) => (server.received.length > 2 ? "!" : question));
  const resultsFile = join(folder, "results.jsonl");
  const options: CompareOptions = {
    targets: [{ name: "a", url: server.url, model: "m" }],
    prompts: await promptsOf(...sums),
    concurrency: 1,
    resultsFile,
  };
  expect((await compare(options)).targets[0]).toMatchObject({ answers: 2, errors: 1 });
  await appendFile(resultsFile, '{"target":"a","mod'); // a process that was killed
  server.received.length = 0;
  expect((await compare(options)).targets[0]).toMatchObject({ answers: 3, errors: 0 });
  expect(server.received.map(({ body }) => lastOf(body))).toEqual(["3+3"]);
  for (const line of (await readFile(resultsFile, "utf8")).trim().split("\n")) JSON.parse(line);
  const other = await promptsOf({ prompt: "another", id: "1" });
  expect((await compare({ ...options, prompts: other })).targets[0].answers).toBe(1);
  expect(server.received.length).toBe(2);
});

test("an interruption gives what there is", async () => {
  const leaving = new AbortController();
  const server = await answering((question) => question);
  const onProgress = () => leaving.abort();
  const report = await compare({
    targets: [{ name: "a", url: server.url, model: "m" }],
    prompts: await promptsOf(...sums),
    concurrency: 1,
    signal: leaving.signal,
    onProgress,
  });
  expect(report.isInterrupted).toBe(true);
  expect(report.targets[0].answers).toBe(1);
  expect(formatCompareReport(report)).toContain("Interrupted");
});

describe("a judge", () => {
  test("gives scores, and what it does not say is in no mean", async () => {
    const model = await answering((question) => question);
    const judge = await answering((task) =>
      task.includes("3+3") ? "I cannot say" : "Fine, a SCORE: 1 would be harsh.\nSCORE: 8",
    );
    const report = await compare({
      targets: [{ name: "a", url: model.url, model: "m" }],
      prompts: await promptsOf(...sums),
      judge: { name: "j", url: judge.url, model: "judge", mode: "score", rubric: "Is it short?" },
    });
    expect(report.targets[0]).toMatchObject({ answers: 3, scored: 2, quality: 0.8 });
    expect(lastOf(judge.received[0].body)).toContain("Is it short?");
    expect(formatCompareReport(report)).toContain("1 answers have no verdict");
  });

  test("of pairs is asked in both orders: one that prefers the first makes no difference", async () => {
    const [good, poor] = [await answering(() => "good"), await answering(() => "poor")];
    const targets = [
      { name: "poor", url: poor.url, model: "m" },
      { name: "good", url: good.url, model: "m" },
    ];
    const of = async (verdict: (task: string) => string) => {
      const judge = await answering((task) => `VERDICT: ${verdict(task)}`);
      const report = await compare({
        targets,
        prompts: await promptsOf(...sums),
        judge: { name: "j", url: judge.url, model: "j", mode: "pairwise" },
      });
      return report.targets.map(({ quality }) => quality);
    };
    expect(await of((task) => (/<answer-a>\ngood/.test(task) ? "A" : "B"))).toEqual([0.5, 1]);
    expect(await of(() => "A")).toEqual([0.5, 0.5]);
    expect(await of(() => "TIE")).toEqual([0.5, 0.5]);
  });
});

describe("metrics", () => {
  const prompt = (expected: string[], schema?: object): Prompt => ({
    id: "1",
    messages: [],
    expected,
    schema,
    maxTokens: undefined,
    hash: "",
  });

  test.each<[keyof typeof metrics, string, string[], number]>([
    ["exact", " 4\n", ["5", "4"], 1],
    ["exact", "four", ["4"], 0],
    ["contains", "It is Paris.", ["paris"], 1],
    ["regex", "in 1969 they", ["\\b19\\d\\d\\b"], 1],
    ["regex", "never", ["^x"], 0],
    ["f1", "The cat sat!", ["a cat sat"], 1],
    ["f1", "cat", ["cat sat"], 2 / 3],
    ["f1", "北京", ["北京市"], 0.8],
    ["f1", "", ["x"], 0],
  ])("%s of %j by %j is %d", (name, answer, expected, score) => {
    expect(metrics[name](answer, prompt(expected))).toBeCloseTo(score, 12);
  });

  test("JSON by a schema, in a fence or not", () => {
    const schema = {
      type: "object",
      properties: { a: { type: "integer" } },
      required: ["a"],
      additionalProperties: false,
    };
    const score = (answer: string) => metrics["json-schema"](answer, prompt([], schema));
    expect(['{"a": 1}', '```json\n{"a": 1}\n```', '{"a": "1"}', '{"a": 1, "b": 2}', "a"].map(score)).toEqual([
      1, 1, 0, 0, 0,
    ]);
  });

  test("prompts without what a metric needs are refused", () => {
    expect(() => checkMetric("exact", [prompt([])])).toThrow(/expected for the metric exact/);
    expect(() => checkMetric("json-schema", [prompt(["x"])])).toThrow(/a schema for the metric/);
    expect(() => checkMetric("regex", [prompt(["("])])).toThrow(/regular expressions/);
  });
});

test.each<[string, (object | string)[], RegExp]>([
  ["no JSON", ["{"], /line 1/],
  ["an unknown field", [{ promt: "x" }], /did you mean "prompt"/],
  ["both", [{ prompt: "x", messages: [{}] }], /either a prompt or messages/],
  ["an id twice", [{ id: "2", prompt: "x" }, { prompt: "y" }], /"2" twice/],
  ["nothing", [], /received none/],
  ["a limit", [{ prompt: "x", max_tokens: 0 }], /max_tokens to be a positive integer/],
])("%s in prompts is refused", async (_, lines, message) => {
  await expect(promptsOf(...lines)).rejects.toThrow(message);
});

test("options that do not fit together are refused", async () => {
  const target = { name: "a", url: "http://127.0.0.1:1/v1", model: "m" };
  const prompts = await promptsOf(...sums);
  const refused = (options: Partial<CompareOptions>) =>
    expect(compare({ targets: [target], prompts, ...options })).rejects;
  await refused({ targets: [] }).toThrow(/at least one upstream/);
  await refused({ targets: [target, target] }).toThrow(/a name for each/);
  await refused({ judge: { ...target, mode: "pairwise" } }).toThrow(/two upstreams/);
  await refused({ metric: "exact", judge: { ...target, mode: "score" } }).toThrow(/a metric or a judge/);
  await refused({ targets: [{ ...target, url: "ftp://x" }] }).toThrow(/an address/);
});
