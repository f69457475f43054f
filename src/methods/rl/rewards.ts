/** What completions are worth: functions of a program, and some that many need. */
import { basename, extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { DataError, listedNames, OptionError } from "../../base/index.ts";
import { finalAnswer, isSameAnswer } from "./answers.ts";
import type { Reward, RewardedText, WeightedReward } from "./reward.ts";
import { openRewardModel } from "./reward-model.ts";

const text = z.string().min(1);
const weight = z.number().default(1).describe("What it counts in the sum.");
const reward = z.union([
  text.describe("exact-match, or a JavaScript module whose default export is the reward."),
  z.strictObject({
    name: z.literal("exact-match").describe("1 where the final answer is that of a column, 0 otherwise."),
    answer: text.default("answer").describe("The column; its text may have a solution before the answer."),
    weight,
  }),
  z.strictObject({
    name: z.literal("format").describe("1 where a completion fits a pattern, 0 otherwise."),
    pattern: text.describe("A regular expression of JavaScript; a dot is any character, line ends too."),
    weight,
  }),
  z.strictObject({
    name: z.literal("length").describe("Minus the share of characters beyond a limit, at least -1."),
    limit: z.int().min(1).describe("Characters that cost nothing; at twice as many it is -1."),
    weight,
  }),
  z.strictObject({
    module: text.describe("A JavaScript module."),
    export: text.default("default").describe("Which of its exports is the reward."),
    weight,
  }),
  z.strictObject({
    model: text.describe("A reward model: a sequence classifier with one label, whose logit is the reward."),
    weight,
  }),
]);

/** The rewards of a config. */
export const rewardsSetting = z
  .array(reward)
  .min(1)
  .describe("What completions are worth: their sum by weights counts, and each of them is measured.");

type RewardInput = z.output<typeof reward>;

/**
 * The rewards of a config, ready to be asked.
 * @throws OptionError for a name that there is not, a pattern that is none, and a module without such a function;
 *   DataError for a module that cannot be loaded, and a model that gives more than one number
 */
export async function openRewards(inputs: readonly RewardInput[]): Promise<WeightedReward[]> {
  const rewards: WeightedReward[] = [];
  for (const input of inputs) rewards.push(await openReward(typeof input === "string" ? shortForm(input) : input));
  const repeated = rewards.find(({ name }, i) => rewards.findIndex((other) => other.name === name) < i);
  if (!repeated) return rewards;
  throw new OptionError({
    where: "config, method.rewards",
    expected: "each reward once",
    received: `${repeated.name} twice`,
    fix: "add up their weights",
  });
}

const NEED_SETTINGS = ["format", "length"];

/** A name, or a module by its path. @throws OptionError for another name */
function shortForm(input: string): Exclude<RewardInput, string> {
  if (input === "exact-match") return { name: "exact-match", answer: "answer", weight: 1 };
  if (/[\\/]|\.[cm]?[jt]s$/.test(input)) return { module: input, export: "default", weight: 1 };
  const needsSettings = NEED_SETTINGS.includes(input);
  throw new OptionError({
    where: "config, method.rewards",
    expected: needsSettings ? `the settings of ${input}` : "a name of exact-match, format, length, or a module's path",
    received: JSON.stringify(input),
    fix: needsSettings ? `write { name: ${input}, ... }` : "write ./rewards.mjs for a module beside the config",
  });
}

async function openReward(input: Exclude<RewardInput, string>): Promise<WeightedReward> {
  const { weight } = input;
  if ("model" in input) return { name: basename(input.model), weight, of: await openRewardModel(input.model) };
  if ("module" in input) {
    const file = basename(input.module, extname(input.module));
    const name = input.export === "default" ? file : `${file}#${input.export}`;
    return { name, weight, of: eachBy(name, await importReward(input)) };
  }
  return { name: input.name, weight, of: eachBy(input.name, builtIn(input)) };
}

function builtIn(input: Extract<RewardInput, { name: string }>): Reward {
  if (input.name === "exact-match") return exactMatch(input.answer);
  if (input.name === "length") return lengthPenalty(input.limit);
  return formatReward(input.pattern);
}

/** 1 where the final answer of a completion is that of a column. @throws DataError for a row without it */
export function exactMatch(column = "answer"): Reward {
  return (_, completion, row) => {
    const answer = row[column];
    if (typeof answer === "string" || typeof answer === "number" || typeof answer === "bigint")
      return Number(isSameAnswer(finalAnswer(completion), finalAnswer(String(answer))));
    throw new DataError({
      where: `column ${column}`,
      expected: "the answer, a text or a number",
      received: `${answer === undefined ? "none" : typeof answer} in a row with ${listedNames(column, Object.keys(row))}`,
      fix: "name the column: rewards: [{ name: exact-match, answer: solution }]",
    });
  };
}

/** 1 where a completion fits a pattern. @throws OptionError for what is no regular expression */
export function formatReward(pattern: string): Reward {
  let expression: RegExp;
  try {
    expression = new RegExp(pattern, "su");
  } catch (cause) {
    throw new OptionError({
      where: "config, method.rewards, format",
      expected: "a regular expression",
      received: (cause as Error).message,
      fix: "correct the pattern",
      cause,
    });
  }
  return (_, completion) => Number(expression.test(completion));
}

/** 0 up to so many characters, falling to -1 at twice as many. As DAPO does, arXiv:2503.14476, 3.4. */
export function lengthPenalty(limit: number): Reward {
  return (_, completion) => -Math.min(1, Math.max(0, completion.length / limit - 1)) || 0;
}

async function importReward(input: { module: string; export: string }): Promise<Reward> {
  const { module, export: name } = input;
  const path = resolve(module);
  let exports: Record<string, unknown>;
  try {
    exports = await import(pathToFileURL(path).href);
  } catch (cause) {
    throw new DataError({
      where: `config, method.rewards: ${module}`,
      expected: "a JavaScript module",
      received: (cause as Error).message.split("\n")[0],
      fix: "correct it, or its path",
      cause,
    });
  }
  if (typeof exports[name] === "function") return exports[name] as Reward;
  throw new OptionError({
    where: `config, method.rewards: ${module}`,
    expected: name === "default" ? "a function as the default export" : `a function "${name}" among its exports`,
    received: listedNames(name, Object.keys(exports)) || "no exports",
    fix: "export default (prompt, completion, row) => 1;",
  });
}

/** Asks a function for each completion. */
function eachBy(name: string, reward: Reward): WeightedReward["of"] {
  return (texts) => Promise.all(texts.map((text) => asked(name, reward, text)));
}

async function asked(name: string, reward: Reward, { prompt, completion, row, place }: RewardedText): Promise<number> {
  let value: unknown;
  try {
    value = await reward(prompt, completion, row);
  } catch (cause) {
    throw wrong(name, place, { received: `an error: ${(cause as Error)?.message ?? String(cause)}`, cause });
  }
  if (typeof value === "number" && Number.isFinite(value)) return value;
  const shown = JSON.stringify(completion.slice(0, 60));
  throw wrong(name, place, { received: `${String(value)} for ${shown}` });
}

const wrong = (name: string, place: string, parts: { received: string; cause?: unknown }): DataError =>
  new DataError({
    where: `reward ${name}, ${place}`,
    expected: "a finite number",
    fix: "have the reward answer each completion with a number, whatever it looks like",
    ...parts,
  });

/** The rewards of some completions. */
export interface RewardedTexts {
  /** Sums by weights. */
  totals: number[];
  /** Each reward before its weight. */
  parts: ReadonlyMap<string, readonly number[]>;
}

/** All rewards of some completions. @throws DataError for a reward that fails, or is no finite number */
export async function rewardsOf(
  rewards: readonly WeightedReward[],
  texts: readonly RewardedText[],
): Promise<RewardedTexts> {
  const totals = texts.map(() => 0);
  const parts = new Map<string, readonly number[]>();
  for (const { name, weight, of } of rewards) {
    const values = await of(texts);
    values.forEach((value, i) => {
      totals[i] += weight * value;
    });
    parts.set(name, values);
  }
  return { totals, parts };
}
