import { asciiPunctuation, splitAtSpace } from "../metrics/index.ts";
import type { Likelihood } from "./language-model.ts";
import { type AskedDoc, NO_CHOICE } from "./prompts.ts";
import { pythonRegex } from "./python-text.ts";
import type { EvalTask, TaskMetric } from "./task.ts";

/** What a row gives to a metric: a number, or what all rows together make one of. */
export type MetricItem =
  | number
  /** A log probability and what it is spread over. */
  | readonly [logprob: number, weight: number]
  | { gold: number | readonly number[]; prediction: number; probabilities: readonly number[] }
  | { references: readonly string[]; prediction: string };

/** What a model has answered to the requests of a row. */
export type Answer = Likelihood | string;

/** What a row gives to each metric of its task. @param text what a filter has read, where a text was written */
export function judge(
  task: EvalTask,
  asked: AskedDoc,
  answers: readonly Answer[],
  text: string,
): Map<string, MetricItem> {
  const wanted = new Map(task.metrics.map((metric) => [metric.metric, metric]));
  if (task.outputType === "generate_until")
    return new Map([...wanted].map(([name, metric]) => [name, textItem(metric, asked, text)]));
  const likelihoods = answers as readonly Likelihood[];
  const items = judges[task.outputType](asked, likelihoods);
  return new Map([...wanted.keys()].map((name) => [name, items[name]]));
}

const judges = {
  loglikelihood: (_: AskedDoc, [{ logprob, isGreedy }]: readonly Likelihood[]) =>
    ({ perplexity: logprob, acc: Number(isGreedy) }) as Record<string, MetricItem>,
  loglikelihood_rolling({ references: [text] }: AskedDoc, [{ logprob }]: readonly Likelihood[]) {
    const bytes: MetricItem = [logprob, new TextEncoder().encode(text).length];
    return {
      word_perplexity: [logprob, splitAtSpace(text).length],
      byte_perplexity: bytes,
      bits_per_byte: bytes,
    } as Record<string, MetricItem>;
  },
  multiple_choice: choiceItems,
};

/** The place of the largest; of equals the first. */
function largestAt(values: readonly number[]): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

function choiceItems({ gold, choices = [] }: AskedDoc, all: readonly Likelihood[]): Record<string, MetricItem> {
  const likelihoods = all.slice(0, choices.length); // behind them the choices by themselves, where they were asked for
  const logprobs = likelihoods.map(({ logprob }) => logprob);
  const alone = all.slice(choices.length).map(({ logprob }) => logprob);
  const isGold = (place: number) => Number(typeof gold === "number" ? place === gold : gold.includes(place));
  const perLength = (lengthOf: (text: string) => number) => logprobs.map((one, i) => one / lengthOf(choices[i]));
  const largest = Math.max(...logprobs);
  const powers = logprobs.map((one) => Math.exp(one - largest));
  const sum = powers.reduce((total, one) => total + one, 0);
  const prediction = largestAt(logprobs);
  const golds = typeof gold === "number" ? [gold] : gold;
  const item = { gold, prediction, probabilities: powers.map((one) => one / sum) };
  return {
    acc: isGold(prediction),
    acc_norm: isGold(largestAt(perLength((text) => [...text].length))),
    acc_bytes: isGold(largestAt(perLength((text) => new TextEncoder().encode(text).length))),
    acc_mutual_info: isGold(largestAt(logprobs.map((one, i) => one - alone[i]))),
    exact_match: Number(golds.some((place) => place !== NO_CHOICE && likelihoods[place].isGreedy)),
    f1: item,
    mcc: item,
    brier_score: item,
  };
}

function textItem(metric: TaskMetric, { references }: AskedDoc, prediction: string): MetricItem {
  if (metric.score) return metric.score(prediction, references);
  if (metric.metric !== "exact_match") return { references, prediction };
  const text = comparable(metric, prediction);
  return Number(references.some((reference) => comparable(metric, reference) === text));
}

function comparable(metric: TaskMetric, text: string): string {
  let rest = (metric.regexesToIgnore ?? []).reduce((out, pattern) => out.replace(pythonRegex(pattern, "g"), ""), text);
  if (metric.ignoreCase) rest = rest.toLowerCase();
  if (metric.ignorePunctuation) rest = [...rest].filter((character) => !asciiPunctuation.includes(character)).join("");
  return metric.ignoreNumbers ? rest.replace(/[0-9]/g, "") : rest;
}
