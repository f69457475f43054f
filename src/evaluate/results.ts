import type { MetricResult } from "./aggregation.ts";
import type { Answer, MetricItem } from "./judging.ts";
import type { AskedDoc, EvalRequest } from "./prompts.ts";
import type { Doc, EvalTask } from "./task.ts";

/** What became of a row. */
export interface EvalSample {
  docId: number;
  doc: Doc;
  requests: readonly EvalRequest[];
  /** Of each request. */
  answers: readonly Answer[];
  /** The name of the filter, and what it has read where a text was written. */
  filter: string;
  filtered: string | undefined;
  target: AskedDoc["target"];
  /** What the row gives to each metric. */
  items: ReadonlyMap<string, MetricItem>;
}

/** The numbers of a task. */
export interface TaskResult {
  task: EvalTask;
  /** By the metric and the filter. */
  metrics: readonly (MetricResult & { metric: string; filter: string })[];
  /** Rows that there are, and that were judged. */
  rows: { original: number; effective: number };
  samples: readonly EvalSample[];
}

/** The numbers of tasks as lm-evaluation-harness writes them in results.json. */
export function jsonOf(
  results: readonly TaskResult[],
  { modelName, seed }: { modelName: string; seed: number },
): object {
  const byTask = <T>(of: (result: TaskResult) => T) =>
    Object.fromEntries(results.map((result) => [result.task.name, of(result)]));
  return {
    results: byTask(({ task, metrics, rows }) => ({
      name: task.name,
      alias: task.alias,
      sample_len: rows.effective,
      ...Object.fromEntries(
        metrics.flatMap(({ metric, filter, value, standardError = "N/A" }) => [
          [`${metric},${filter}`, value],
          [`${metric}_stderr,${filter}`, standardError],
        ]),
      ),
    })),
    versions: byTask(({ task }) => task.version ?? "Yaml"),
    "n-shot": byTask(({ task }) => task.numFewshot),
    higher_is_better: byTask(({ metrics }) =>
      Object.fromEntries(metrics.map(({ metric, higherIsBetter }) => [metric, higherIsBetter])),
    ),
    "n-samples": byTask(({ rows }) => rows),
    model_name: modelName,
    fewshot_seed: seed,
  };
}

/** What became of a row, as lm-evaluation-harness writes it in its file of samples. */
export function sampleOf({ docId, doc, requests, answers, filter, filtered, target, items }: EvalSample): object {
  const responses = answers.map((answer) => (typeof answer === "string" ? answer : [answer.logprob, answer.isGreedy]));
  return {
    doc_id: docId,
    doc,
    target,
    arguments: requests.map((request) => Object.values(request).slice(1)),
    resps: responses.map((response) => [response]),
    filtered_resps: filtered === undefined ? responses : [filtered],
    filter,
    metrics: [...items.keys()],
    ...Object.fromEntries(items),
  };
}

const headers = ["Tasks", "Version", "Filter", "n-shot", "Metric", "", "Value", "", "Stderr"];
/** Columns that are aligned at their ends. */
const rightAligned = [1, 3, 6, 8];

/** The numbers of tasks as a table in Markdown, the one that lm-evaluation-harness prints. */
export function formatResults(results: readonly TaskResult[]): string {
  const rows = results.flatMap(({ task, metrics }) =>
    metrics
      .toSorted((a, b) => (`${a.metric},${a.filter}` < `${b.metric},${b.filter}` ? -1 : 1))
      .map(({ metric, filter, value, standardError, higherIsBetter }, i) => [
        i === 0 ? task.alias : "",
        i === 0 ? String(task.version ?? "Yaml") : "",
        filter,
        String(task.numFewshot),
        metric,
        higherIsBetter ? "↑" : "↓",
        value.toFixed(4),
        "±",
        standardError === undefined ? "N/A" : standardError.toFixed(4),
      ]),
  );
  const widths = headers.map((header, i) => Math.max(3, header.length, ...rows.map((row) => row[i].length)));
  const padded = (cells: readonly string[]) =>
    cells.map((cell, i) => (rightAligned.includes(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])));
  const rule = widths.map((width, i) => (rightAligned.includes(i) ? `${"-".repeat(width - 1)}:` : "-".repeat(width)));
  const centred = headers.map((header, i) => {
    const left = header.length + Math.floor((widths[i] - header.length) / 2);
    return header.padStart(left).padEnd(widths[i]);
  });
  return [centred, rule, ...rows.map(padded)].map((cells) => `|${cells.join("|")}|\n`).join("");
}
