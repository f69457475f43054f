import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { pipeline } from "../../pipelines/index.ts";
import { groupAdvantages, spreadOf, unanimousShare, whitened } from "./advantages.ts";
import { finalAnswer, isSameAnswer } from "./answers.ts";
import { nextCoefficient } from "./kl-control.ts";
import { exactMatch, formatReward, lengthPenalty, openRewards, rewardsOf, rewardsSetting } from "./rewards.ts";

test.each([
  ["6 * 7 = 42", "42"],
  ["so it is 1,234.50 dollars.", "1,234.50"],
  ["10-3", "3"],
  ["x = -3", "-3"],
  ["We get\n#### 72\n", "72"],
  ["#### 1\n#### 5 apples", "5 apples"],
  ["Then \\boxed{\\frac{1}{2}} and 7", "\\frac{1}{2}"],
  ["\\boxed{1} no, \\boxed{2}", "2"],
  ["\\boxed{3 is never closed, 8", "8"],
  ["3 / 4", "3 / 4"],
  ["version 2.", "2"],
  ["Paris ", "Paris"],
  ["", ""],
])("the final answer of %j is %j", (text, answer) => {
  expect(finalAnswer(text)).toBe(answer);
});

test.each([
  ["42", "42.0", true],
  ["$1,200.50", "1200.5", true],
  ["50%", "50", true],
  ["\\frac{1}{2}", "0.5", true],
  ["3/4", ".75", true],
  ["-0", "0", true],
  ["007", "7", true],
  ["1,23", "123", false],
  ["12345678901234567890", "12345678901234567891", false],
  ["-3", "3", false],
  ["Paris.", "paris", true],
  ["\\text{yes}", "Yes", true],
  ["1/0", "1/0", true],
  ["4", "four", false],
])("%j and %j: the same is %j", (a, b, isSame) => {
  expect(isSameAnswer(a, b)).toBe(isSame);
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-rewards-"));
  const modules = {
    "throws.mjs": `export default async () => { throw new Error("no such service"); };`,
    "nan.mjs": "export default (prompt, completion) => Number(completion);",
    "none.mjs": "export const other = (prompt, completion, row) => prompt.length + completion.length + row.extra;",
    "broken.mjs": "export default (",
  };
  for (const [name, text] of Object.entries(modules)) await writeFile(join(folder, name), text);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const open = (...inputs: unknown[]) => openRewards(rewardsSetting.parse(inputs));
const asked = { prompt: "2+2=", completion: "four", row: { answer: 4, extra: 1 }, place: "train.jsonl:3" };

test("rewards are added by their weights, and each is told", async () => {
  const rewards = await open(
    { name: "exact-match", weight: 2 },
    { name: "format", pattern: "^f.*r$", weight: 0.5 },
    { name: "length", limit: 2, weight: 0.25 },
    { module: join(folder, "none.mjs"), export: "other", weight: 0.1 },
  );
  const { totals, parts } = await rewardsOf(rewards, [{ ...asked, completion: "4" }, asked]);
  expect(totals).toEqual([2 + 0.1 * 6, 0.5 - 0.25 + 0.1 * 9]);
  expect(Object.fromEntries(parts)).toEqual({
    ...{ "exact-match": [1, 0], format: [0, 1], length: [0, -1] },
    "none#other": [6, 9],
  });
});

test("a reward that throws, or is no number, is told with the row", async () => {
  const ask = async (name: string) => rewardsOf(await open(join(folder, name)), [asked]);
  await expect(ask("throws.mjs")).rejects.toThrow(/reward throws, train.jsonl:3: .*no such service/);
  await expect(ask("nan.mjs")).rejects.toThrow(
    /reward nan, train.jsonl:3: expected a finite number; received NaN for "four"/,
  );
  await expect(ask("none.mjs")).rejects.toThrow(/default export; received other/);
  await expect(ask("broken.mjs")).rejects.toThrow(/expected a JavaScript module/);
  await expect(ask("absent.mjs")).rejects.toThrow(/expected a JavaScript module/);
  await expect(open("exact")).rejects.toThrow(/a name of exact-match, format, length, or a module's path/);
  await expect(open("format")).rejects.toThrow("the settings of format");
  await expect(open({ name: "format", pattern: "(" })).rejects.toThrow("expected a regular expression");
  await expect(open("exact-match", "exact-match")).rejects.toThrow("exact-match twice");
  expect(() => exactMatch("solution")("", "1", { answer: 1 })).toThrow("none in a row with answer");
});

test("a classifier with one label is a reward, its logit; one with more is refused", async () => {
  const models = fileURLToPath(new URL("../../../golden/pipelines/models/", import.meta.url));
  const [judge] = await open({ model: join(models, "cross-encoder"), weight: 2 });
  const texts = ["a good answer", "a bad one"].map((completion) => ({ ...asked, completion }));
  const { totals, parts } = await rewardsOf([judge], texts);
  const pipe = await pipeline("text-classification", join(models, "cross-encoder"));
  const read = texts.map(({ prompt, completion }) => prompt + completion);
  const scores = (await pipe.run(read, { functionToApply: "sigmoid", topK: 1 })) as { score: number }[][];
  const logits = parts.get("cross-encoder") as number[];
  expect(logits[0]).not.toBe(logits[1]);
  expect(totals).toEqual(logits.map((logit) => 2 * logit));
  expect(logits.map((logit) => 1 / (1 + Math.exp(-logit)))).toEqual(
    scores.map(([{ score }]) => expect.closeTo(score, 6)),
  );
  const [classes] = await open({ model: join(models, "bert-sequence-classification") });
  await expect(classes.of(texts)).rejects.toThrow(/expected a classifier with one label; received one with \d/);
});

test("formats and lengths", () => {
  const format = formatReward("<think>.*</think>");
  expect(["<think>\n</think>", "<think>"].map((text) => format("", text, {}))).toEqual([1, 0]);
  const penalty = lengthPenalty(4);
  expect(["", "abcd", "abcdef", "abcdefghijk"].map((text) => penalty("", text, {}))).toEqual([0, 0, -0.5, -1]);
});

test("equal rewards in a group are no advantage", () => {
  const advantages = groupAdvantages([0.3, 0.3, 0.3, 1, 0, 0.5], { groupSize: 3, isScaled: true });
  expect(advantages.slice(0, 3)).toEqual([0, 0, 0]);
  expect(advantages[3]).toBeCloseTo(0.5 / (0.5 + 1e-4), 10);
  expect(unanimousShare([0.3, 0.3, 0.3, 1, 0, 0.5], 3)).toBe(0.5);
  expect(spreadOf([4])).toEqual({ mean: 4, deviation: 0 });
  expect(whitened([1, 3, 9], [1, 1, 0])).toEqual([-Math.SQRT1_2, Math.SQRT1_2, 0].map((x) => expect.closeTo(x, 6)));
});

test("the cost of divergence goes towards its target, by a fifth of the horizon at most", () => {
  const control = { target: 6, horizon: 100, count: 10 };
  expect([3, 6, 6.6, 60].map((kl) => nextCoefficient(1, kl, control))).toEqual(
    [0.98, 1, 1.01, 1.02].map((x) => expect.closeTo(x, 12)),
  );
});
