/** Where alarms and measures go. */
import { writeFileAtomic } from "../../files/index.ts";
import { JsonClient } from "../json-http.ts";
import type { Alarm, WindowReport } from "./monitor.ts";

/** Sends alarms to an address as `{"source": "kindling monitor", "alarms": [...]}`. @throws DataError */
export async function sendAlarms(address: string, alarms: readonly Alarm[], signal: AbortSignal): Promise<void> {
  const url = new URL(address);
  const client = new JsonClient(new URL(url.origin), { timeoutMs: 10_000 });
  try {
    const body = { source: "kindling monitor", time: new Date().toISOString(), alarms };
    await client.send({ path: `${url.pathname}${url.search}`, body, signal });
  } finally {
    client.close();
  }
}

/** What a monitor has seen so far. */
export interface MonitorTotals {
  windows: number;
  alarms: number;
  /** Of the regression set, the last time. */
  score?: number;
}

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const label = (text: string) =>
  text.replace(/[\\"\n]/g, (character) => (character === "\n" ? "\\n" : `\\${character}`));

/** Measures in Prometheus' text format. */
export function prometheusText({ windows, alarms, score }: MonitorTotals, report?: WindowReport): string {
  const lines: string[] = [];
  const metric = (
    name: string,
    type: "gauge" | "counter",
    help: string,
    samples: readonly (readonly [string, number])[],
  ) => {
    if (samples.length === 0) return;
    lines.push(`# HELP kindling_monitor_${name} ${help}`, `# TYPE kindling_monitor_${name} ${type}`);
    for (const [labels, value] of samples) lines.push(`kindling_monitor_${name}${labels} ${value}`);
  };
  metric("windows_total", "counter", "Windows of requests that were judged.", [["", windows]]);
  metric("alarms_total", "counter", "Alarms.", [["", alarms]]);
  if (score !== undefined)
    metric("regression_score", "gauge", "Share of the regression set that is right.", [["", score]]);
  if (report) {
    metric("window_end_seconds", "gauge", "Time of the last request of the last window.", [["", report.toMs / 1000]]);
    for (const [name, value] of Object.entries(report.measures))
      if (value !== undefined) metric(snake(name), "gauge", "Of the last window.", [["", value]]);
    const drift = (value: (result: WindowReport["drift"][number]) => number) =>
      report.drift.map((result) => [`{feature="${label(result.feature)}"}`, value(result)] as const);
    metric(
      "psi",
      "gauge",
      "Population stability index of the last window.",
      drift(({ psi }) => psi),
    );
    metric(
      "jensen_shannon",
      "gauge",
      "Jensen-Shannon distance of the last window.",
      drift((result) => result.jensenShannon),
    );
    metric(
      "drift_p_value",
      "gauge",
      "P-value of the last window's test.",
      drift(({ test }) => test.pValue),
    );
  }
  return `${lines.join("\n")}\n`;
}

/** Writes them whole, so that a collector never reads half. @throws WriteError */
export const writePrometheus = (path: string, totals: MonitorTotals, report?: WindowReport): Promise<void> =>
  writeFileAtomic(path, prometheusText(totals, report));
