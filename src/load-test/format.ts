import type { LoadReport } from "./report.ts";
import type { Statistics } from "./statistics.ts";

const count = (value: number) => value.toLocaleString("en-US", { maximumFractionDigits: 0 });
const decimal = (value: number | undefined) =>
  value === undefined ? "-" : value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

/** A table in Markdown, whose columns are of numbers but for those of words. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  ofWords: readonly number[] = [0],
): string {
  const widths = head.map((title, i) => Math.max(3, title.length, ...rows.map((row) => row[i].length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (ofWords.includes(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(" | ")} |`;
  const rule = `| ${widths.map((width, i) => (ofWords.includes(i) ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  return [line(head), rule, ...rows.map(line)].join("\n");
}

/** Text in a cell, whatever a server wrote. */
const cell = (text: string) => text.replace(/[\s|]+/g, " ").trim();

/** A report in Markdown. */
export function formatLoadReport(report: LoadReport): string {
  const parts = [headOf(report), table(["measure", "value"], totalsOf(report)), latencyTable(report)];
  if (report.errors.length > 0) {
    const rows = report.errors.map(({ status, code, count: times, message }) => [
      [status, code].filter(Boolean).join(" ") || "error",
      count(times),
      cell(message),
    ]);
    parts.push(table(["error", "requests", "message of the first"], rows, [0, 2]));
  }
  if (report.notes.length > 0) parts.push(report.notes.map((note) => `- ${note}`).join("\n"));
  return `${parts.join("\n\n")}\n`;
}

function headOf({ url, endpoint, model, load, isInterrupted }: LoadReport): string {
  const { rate, burstiness, concurrency, requests, durationSeconds, seed } = load;
  const process = burstiness === 1 ? "Poisson" : burstiness === "infinity" ? "even" : `burstiness ${burstiness}`;
  const pace = rate === undefined ? [] : [`${rate} a second (${process})`];
  const parts = [
    requests === undefined ? `requests for ${durationSeconds} s` : `${count(requests)} requests`,
    ...pace,
    ...(concurrency === undefined ? [] : [`at most ${concurrency} at a time`]),
    ...(rate === undefined && concurrency === undefined ? ["all at once"] : []),
    `seed ${seed}`,
  ];
  const ending = isInterrupted ? "\n\nInterrupted: this is what there was by then." : "";
  return `${model} at ${url}, ${endpoint}: ${parts.join(", ")}${ending}`;
}

function totalsOf(report: LoadReport): string[][] {
  const { requests, goodput } = report;
  const rows: [string, string][] = [
    ["successful requests", count(requests.successful)],
    ["failed requests", count(requests.failed)],
    ["cancelled requests", count(requests.cancelled)],
  ];
  if (requests.unfinished > 0) rows.push(["unfinished requests", count(requests.unfinished)]);
  if (requests.unsent > 0) rows.push(["planned, not sent", count(requests.unsent)]);
  rows.push(
    ["duration (s)", decimal(report.durationSeconds)],
    ["input tokens", count(report.inputTokens)],
    ["output tokens", count(report.outputTokens)],
  );
  if (report.cancelledTokens > 0) rows.push(["output tokens given up", count(report.cancelledTokens)]);
  rows.push(
    ["requests per second", decimal(report.requestThroughput)],
    ["input tokens per second", decimal(report.inputTokenThroughput)],
    ["output tokens per second", decimal(report.outputTokenThroughput)],
  );
  if (goodput) {
    rows.push(
      ["goodput (requests per second)", decimal(goodput.perSecond)],
      ["goodput (share of requests)", `${(goodput.share * 100).toFixed(1)}%`],
    );
  }
  return rows;
}

function latencyTable(report: LoadReport): string {
  const row = (name: string, { mean, p50, p90, p99 }: Statistics) => [name, ...[mean, p50, p90, p99].map(decimal)];
  const rows = [
    row("TTFT", report.ttftMs),
    row("TPOT", report.tpotMs),
    row("ITL", report.itlMs),
    row("E2E", report.e2eMs),
  ];
  // without a plan they are the same
  if (!report.load.isClosedLoop) {
    rows.push(
      row("TTFT since sent", report.ttftSinceSentMs),
      row("E2E since sent", report.e2eSinceSentMs),
      row("start delay", report.startDelayMs),
    );
  }
  return table(["latency (ms)", "mean", "P50", "P90", "P99"], rows);
}
