import { DataError, isObject, OptionError } from "../../base/index.ts";
import { JsonClient } from "../json-http.ts";
import type { Alarm } from "./monitor.ts";
import { readRows } from "./profile.ts";

/** How an answer is compared with what is expected. */
export type ReplayMetric = "exact" | "contains" | "regex";

/** A prompt whose answer is known. */
export interface ReplayCase {
  /** In reports. @default the number of the case */
  id: string;
  messages: readonly { role: string; content: string }[];
  expected: string;
  metric: ReplayMetric;
  maxTokens: number;
}

/** What a server answered to all cases. */
export interface ReplayResult {
  /** The share of cases that were answered rightly. */
  score: number;
  failures: { id: string; expected: string; answer: string }[];
}

const metrics: readonly ReplayMetric[] = ["exact", "contains", "regex"];
const MOST_TOKENS = 256;

/**
 * Reads cases, each a line such as `{"prompt": "2+2?", "expected": "4"}`, with `messages` for `prompt`, and `metric`
 * ("exact", the default, but for space around; "contains"; "regex"), `id` and `max_tokens`.
 * @throws DataError naming the line that is wrong
 */
export async function readReplayCases(path: string): Promise<ReplayCase[]> {
  const rows = await readRows(path);
  return rows.map((row, i) => {
    const { prompt, messages, expected, metric = "exact", id = i + 1, max_tokens: maxTokens = MOST_TOKENS } = row;
    const said = Array.isArray(messages) ? messages : [{ role: "user", content: prompt }];
    const isFine =
      said.every((message) => isObject(message) && typeof message.content === "string") &&
      typeof expected === "string" &&
      metrics.includes(metric as ReplayMetric) &&
      (metric !== "regex" || isExpression(expected));
    if (isFine)
      return { id: String(id), messages: said, expected, metric: metric as ReplayMetric, maxTokens: Number(maxTokens) };
    throw new DataError({
      where: `${path}, case ${i + 1}`,
      expected: `a prompt or messages, a text "expected", and a metric of ${metrics.join(", ")}`,
      received: JSON.stringify(row).slice(0, 80),
      fix: "correct the line",
    });
  });
}

function isExpression(text: string): boolean {
  try {
    new RegExp(text, "u");
    return true;
  } catch {
    return false;
  }
}

/** Where cases are asked. */
export interface ReplayTarget {
  /** Of an OpenAI-compatible API, such as "http://127.0.0.1:8080/v1". */
  url: string;
  model: string;
  apiKey?: string;
}

/**
 * Asks a server each case, one after another, by the likeliest tokens.
 * @throws OptionError for no cases; DataError when the server is away or refuses; the signal's reason
 */
export async function replay(
  cases: readonly ReplayCase[],
  { url, model, apiKey }: ReplayTarget,
  signal: AbortSignal = new AbortController().signal,
): Promise<ReplayResult> {
  if (cases.length === 0)
    throw new OptionError({ where: "replay", expected: "a case or more", received: "none", fix: "write some" });
  const client = new JsonClient(new URL(url), { timeoutMs: 120_000 });
  const headers: Record<string, string> = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  const failures: ReplayResult["failures"] = [];
  try {
    for (const { id, messages, expected, metric, maxTokens } of cases) {
      signal.throwIfAborted();
      const body = { model, messages, temperature: 0, max_tokens: maxTokens };
      const answer = answerOf(await client.ask({ path: "/chat/completions", body, headers, signal }));
      if (!isRight(answer, expected, metric)) failures.push({ id, expected, answer });
    }
  } finally {
    client.close();
  }
  return { score: (cases.length - failures.length) / cases.length, failures };
}

function answerOf(json: unknown): string {
  const [choice] = isObject(json) && Array.isArray(json.choices) ? json.choices : [];
  const content = isObject(choice) && isObject(choice.message) ? choice.message.content : undefined;
  if (typeof content === "string") return content;
  throw new DataError({
    where: "replay",
    expected: "an answer with choices[0].message.content",
    received: JSON.stringify(json)?.slice(0, 120) ?? "nothing",
    fix: "name the address of an OpenAI-compatible API, up to /v1",
  });
}

function isRight(answer: string, expected: string, metric: ReplayMetric): boolean {
  if (metric === "contains") return answer.includes(expected);
  if (metric === "regex") return new RegExp(expected, "u").test(answer);
  return answer.trim() === expected.trim();
}

/** The alarm of a score that is too low. */
export function regressionAlarm({ score, failures }: ReplayResult, limit: number): Alarm | undefined {
  if (score >= limit) return undefined;
  const which = failures
    .slice(0, 5)
    .map(({ id }) => id)
    .join(", ");
  const message = `the score of the regression set is ${Number(score.toPrecision(4))}, below ${limit}; wrong are ${which}${failures.length > 5 ? " and others" : ""}`;
  return { kind: "regression", what: "score", value: score, limit, message };
}
