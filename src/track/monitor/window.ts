import type { LogEntry } from "./record.ts";
import { quantile } from "./statistics.ts";

/** What a server did in a window, in numbers by name; undefined where nothing says so. */
export interface WindowMeasures {
  /** Requests. */
  requests: number;
  /** Shares of requests: with a status of 500 and more, of 400 to 499. */
  errorRate: number;
  refusedRate: number;
  latencyMsP50: number | undefined;
  latencyMsP95: number | undefined;
  latencyMsP99: number | undefined;
  /** Up to the first token. */
  ttftMsP95: number | undefined;
  /** Mean tokens of answers. */
  outputTokens: number | undefined;
  /** Share of answers that ended because they were long enough. */
  truncatedShare: number | undefined;
  /** Share of answers that are the same as one before in the window. Needs the texts of answers. */
  repeatedShare: number | undefined;
  /** Share of answered requests whose answer is empty. Needs the texts of answers. */
  emptyShare: number | undefined;
}

const isAnswered = ({ status }: LogEntry) => status < 400;

/** Measures a window of requests. @param hasTexts whether the log has the texts of answers */
export function measureWindow(entries: readonly LogEntry[], hasTexts: boolean): WindowMeasures {
  const answered = entries.filter(isAnswered);
  const latencies = sorted(answered.map(({ latencyMs }) => latencyMs));
  const firstTokens = sorted(answered.map(({ firstTokenMs }) => firstTokenMs));
  const tokens = sorted(answered.map(({ outputTokens }) => outputTokens));
  const reasons = answered.flatMap(({ finishReason }) => finishReason ?? []);
  const answers = answered.flatMap(({ output }) => output ?? []);
  const share = (count: number, all: number) => (all > 0 ? count / all : undefined);
  const at = (values: readonly number[], q: number) => (values.length > 0 ? quantile(values, q) : undefined);
  return {
    requests: entries.length,
    errorRate: share(entries.filter(({ status }) => status >= 500).length, entries.length) ?? 0,
    refusedRate: share(entries.filter(({ status }) => status >= 400 && status < 500).length, entries.length) ?? 0,
    latencyMsP50: at(latencies, 0.5),
    latencyMsP95: at(latencies, 0.95),
    latencyMsP99: at(latencies, 0.99),
    ttftMsP95: at(firstTokens, 0.95),
    outputTokens: share(
      tokens.reduce((sum, count) => sum + count, 0),
      tokens.length,
    ),
    truncatedShare: share(reasons.filter((reason) => reason.split(" ").includes("length")).length, reasons.length),
    repeatedShare: share(answers.length - new Set(answers).size, answers.length),
    emptyShare: hasTexts ? share(answered.length - answers.length, answered.length) : undefined,
  };
}

const sorted = (values: readonly (number | undefined)[]): number[] =>
  values.flatMap((value) => value ?? []).sort((a, b) => a - b);
