import { costOf, NANOS, type PriceTable } from "../gateway/index.ts";
import { type Statistics, statistics, table } from "../load-test/index.ts";
import type { Result } from "./results.ts";
import type { Target } from "./target.ts";

/** A result with its quality, from 0 to 1; undefined where there is no verdict. */
export type ScoredResult = Result & { score: number | undefined };

/** How good, fast and dear one target was. */
export interface TargetReport {
  name: string;
  model: string;
  answers: number;
  errors: number;
  /** The first error, for whoever looks for its reason. */
  firstError: string | undefined;
  /** Mean of the scores; undefined without any. */
  quality: number | undefined;
  /** Answers that have a score. */
  scored: number;
  ttftMs: Statistics;
  totalMs: Statistics;
  inputTokens: number;
  outputTokens: number;
  /** Of all requests at a time together; undefined where all answers were there before. */
  outputTokensPerSecond: number | undefined;
  /** Without what caches of prompts spare; undefined where the price or the tokens are not known. */
  cost: number | undefined;
}

/** What a comparison has found, target by target. */
export interface CompareReport {
  /** What quality is. */
  quality: string;
  prompts: number;
  isInterrupted: boolean;
  currency: string | undefined;
  targets: TargetReport[];
}

/** What the results of a target come to. @param seconds in which answers came */
export function summarized(
  target: Target,
  results: readonly ScoredResult[],
  seconds: number,
  prices: PriceTable | undefined,
): TargetReport {
  const { name, model } = target;
  const answers = results.flatMap((result) => ("text" in result ? [result] : []));
  const errors = results.flatMap((result) => ("error" in result ? [result.error] : []));
  const scores = results.flatMap(({ score }) => score ?? []);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const price = prices?.find([`${name}/${model}`, model]);
  const isCounted = answers.every(({ inputTokens }) => inputTokens !== undefined);
  const inputTokens = sum(answers.map((answer) => answer.inputTokens ?? 0));
  const outputTokens = sum(answers.map((answer) => answer.outputTokens));
  return {
    name,
    model,
    answers: answers.length,
    errors: errors.length,
    firstError: errors[0],
    quality: scores.length > 0 ? sum(scores) / scores.length : undefined,
    scored: scores.length,
    ttftMs: statistics(answers.map(({ ttftMs }) => ttftMs)),
    totalMs: statistics(answers.map(({ totalMs }) => totalMs)),
    inputTokens,
    outputTokens,
    outputTokensPerSecond: seconds > 0 ? outputTokens / seconds : undefined,
    cost:
      price && isCounted ? costOf(price, { input: inputTokens, cached: 0, output: outputTokens }) / NANOS : undefined,
  };
}

const decimal = (value: number | undefined, digits: number) => (value === undefined ? "-" : value.toFixed(digits));

/** A report in Markdown, which terminals show as a table too. */
export function formatCompareReport({ quality, prompts, isInterrupted, currency, targets }: CompareReport): string {
  const head = [
    "upstream",
    "model",
    "answers",
    "errors",
    "quality",
    "TTFT p50 (ms)",
    "p90",
    "total p50 (ms)",
    "p90",
    "input",
    "output",
    "tokens/s",
    "cost",
  ];
  const rows = targets.map((one) => [
    one.name,
    one.model.replace(/[|\s]+/g, " "),
    String(one.answers),
    String(one.errors),
    decimal(one.quality, 3),
    ...[one.ttftMs.p50, one.ttftMs.p90, one.totalMs.p50, one.totalMs.p90].map((value) => decimal(value, 0)),
    String(one.inputTokens),
    String(one.outputTokens),
    decimal(one.outputTokensPerSecond, 1),
    one.cost === undefined ? "-" : `${one.cost.toFixed(6)} ${currency ?? ""}`.trim(),
  ]);
  const notes = targets.flatMap(({ name, errors, firstError, scored, answers }) => [
    ...(firstError === undefined
      ? []
      : [`- ${name}: ${errors} failed, the first with: ${firstError.replace(/[\s|]+/g, " ")}`]),
    ...(quality !== "none" && scored < answers
      ? [`- ${name}: ${answers - scored} answers have no verdict, and are not in the quality`]
      : []),
  ]);
  const ending = isInterrupted ? " Interrupted: this is what there was by then." : "";
  const measured = quality === "none" ? "quality not measured" : `quality by ${quality} (0 to 1)`;
  const title = `${prompts} prompts, ${measured}.${ending}`;
  return `${[title, table(head, rows, [0, 1]), ...(notes.length > 0 ? [notes.join("\n")] : [])].join("\n\n")}\n`;
}
