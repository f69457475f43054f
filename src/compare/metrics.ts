import { z } from "zod";
import { DataError } from "../base/index.ts";
import type { Prompt } from "./prompts.ts";

/** Measures of an answer that need no other model. */
export const metricNames = ["exact", "contains", "regex", "f1", "json-schema"] as const;
/** One of `metricNames`. */
export type MetricName = (typeof metricNames)[number];

/** How good an answer is, from 0 to 1. */
export type Metric = (answer: string, prompt: Prompt) => number;

const best = (answer: string, { expected }: Prompt, score: (answer: string, expected: string) => number) =>
  Math.max(...expected.map((one) => score(answer, one)));

/** Metrics by name. */
export const metrics: Readonly<Record<MetricName, Metric>> = {
  /** The same text, white space at its ends aside. */
  exact: (answer, prompt) => best(answer, prompt, (text, right) => Number(text.trim() === right.trim())),
  /** The right text stands in it, in any case. */
  contains: (answer, prompt) =>
    best(answer, prompt, (text, right) => Number(text.toLowerCase().includes(right.toLowerCase()))),
  /** It has a place that the expression of `expected` fits. */
  regex: (answer, prompt) => best(answer, prompt, (text, right) => Number(new RegExp(right, "u").test(text))),
  f1: (answer, prompt) => best(answer, prompt, tokenF1),
  /** It is JSON, in a fence or not, that the prompt's schema allows. */
  "json-schema": (answer, { schema = {} }) => Number(followsSchema(answer, schema)),
};

/** Words without case, punctuation and English articles, as in SQuAD; each character of Chinese and Japanese. */
function wordsOf(text: string): string[] {
  const plain = text
    .toLowerCase()
    .replace(/[\p{P}\p{S}]/gu, " ")
    .replace(/\b(a|an|the)\b/g, " ");
  return (
    plain.match(
      /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|[^\s\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]+/gu,
    ) ?? []
  );
}

/** The harmonic mean of precision and recall over words. Rajpurkar et al. 2016, arXiv:1606.05250. */
function tokenF1(answer: string, right: string): number {
  const [words, rightWords] = [wordsOf(answer), wordsOf(right)];
  if (words.length === 0 || rightWords.length === 0) return Number(words.length === rightWords.length);
  const left = new Map<string, number>();
  for (const word of rightWords) left.set(word, (left.get(word) ?? 0) + 1);
  let common = 0;
  for (const word of words) {
    const count = left.get(word) ?? 0;
    if (count > 0) common++;
    left.set(word, count - 1);
  }
  return (2 * common) / (words.length + rightWords.length);
}

function followsSchema(answer: string, schema: object): boolean {
  const [, fenced] = /^\s*```(?:json)?\s*\n(.*)\n\s*```\s*$/s.exec(answer) ?? [];
  try {
    return z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).safeParse(JSON.parse(fenced ?? answer))
      .success;
  } catch {
    return false;
  }
}

/** @throws DataError for a prompt that lacks what the metric needs, or has what it cannot read */
export function checkMetric(name: MetricName, prompts: readonly Prompt[]): void {
  for (const { id, expected, schema } of prompts) {
    const refuse = (wanted: string, received: string, cause?: unknown) =>
      new DataError({
        where: `prompt ${id}`,
        expected: `${wanted} for the metric ${name}`,
        received,
        fix: "add it, or choose another metric",
        cause,
      });
    if (name === "json-schema") {
      if (schema === undefined) throw refuse("a schema", "none");
      try {
        z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]);
      } catch (cause) {
        throw refuse("a schema that can be read", (cause as Error).message, cause);
      }
    } else if (expected.length === 0) throw refuse("expected", "none");
    if (name !== "regex") continue;
    for (const pattern of expected) {
      try {
        new RegExp(pattern, "u");
      } catch (cause) {
        throw refuse("regular expressions", (cause as Error).message, cause);
      }
    }
  }
}
