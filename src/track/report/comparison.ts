import { compareRuns } from "../runs/compare-runs.ts";
import type { RunRecord } from "../runs/run-record.ts";
import { inTime, shortNumber } from "../words.ts";
import { type Curve, chartHtml } from "./chart.ts";
import { type Cell, escaped, page, section, tableHtml } from "./html.ts";
import { chartTitle, measuresOf } from "./report.ts";

const number = (value: string): Cell => ({ number: value });

/** A page with several runs: their numbers, the options in which they differ, and each curve of all in one chart. */
export function comparisonHtml(records: readonly RunRecord[]): string {
  const { runs, differences } = compareRuns(records);
  const header: Cell[] = [
    ...["run", "state", "method", "model"],
    ...["steps", "last loss", "last validation loss", "best loss", "at step", "time"].map(number),
  ];
  const numbers = runs.map((run): Cell[] => [
    ...[run.name, run.state, run.method, run.model],
    ...[run.step, run.lastLoss, run.lastValidationLoss, run.bestLoss, run.bestStep].map((value) =>
      number(shortNumber(value)),
    ),
    number(run.seconds === null ? "-" : inTime(run.seconds)),
  ]);
  const options = Object.entries(differences).map(([name, values]) => [
    name,
    ...values.map((value) => String(value ?? "-")),
  ]);
  const charts = measuresOf(records).flatMap((measure) =>
    ["train", "validation"].map((group) => {
      const curves = records.map(
        ({ name, curves }): Curve => ({ name, points: curves.get(`${group}/${measure}`) ?? [] }),
      );
      return chartHtml(`${chartTitle(measure)}${group === "train" ? "" : ", validation"}`, curves);
    }),
  );
  const names = records.map(({ name }) => name);
  const parts = [
    `<header><h1>${escaped(names.join(", "))}</h1></header>`,
    section("Numbers", tableHtml([header, ...numbers])),
    section("Options that differ", options.length > 0 ? tableHtml([["option", ...names], ...options]) : "<p>none</p>"),
    section("Curves", `<div class="charts">${charts.join("")}</div>`),
  ];
  return page(`Comparison of ${names.join(", ")}`, parts.join("\n"));
}
