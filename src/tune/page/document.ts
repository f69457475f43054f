import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { parameterImportance } from "../importance.ts";
import { bestTrial, paretoFront, type TrialRecord } from "../records.ts";
import type { Scalar } from "../space.ts";
import type { StoredStudy } from "../store.ts";
import { short } from "./axes.ts";
import {
  curveChart,
  escaped,
  historyChart,
  importanceChart,
  objectiveChart,
  parallelChart,
  parameterChart,
} from "./charts.ts";
import { style } from "./style.ts";

const script = readFileSync(new URL("./browser/script.mjs", import.meta.url), "utf8");
const hashOf = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** Nothing but what stands in the page, and the study that it asks for. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `script-src ${hashOf(script)}`,
  "style-src 'unsafe-inline'", // the opacity of lines
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/**
 * The trials of a study as a page that needs nothing else: history, importance, parameters, curves, a table.
 * @param options isLive: it asks its server for what is new @default false
 */
export function studyPage(study: StoredStudy, { isLive = false }: { isLive?: boolean } = {}): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(nameOf(study))} · trials · Kindling</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body${isLive ? " data-live" : ""}>
<main>${studyContent(study)}</main>
<script type="module">${script}</script>
</body>
</html>
`;
}

const nameOf = ({ folder }: StoredStudy) => basename(resolve(folder));
/** Wide charts are read by scrolling where there is no room, with the keyboard too. */
const scrolled = (chart: string) => (chart === "" ? "" : `<div class="scroll" tabindex="0">${chart}</div>`);
const section = (title: string, content: string) =>
  content === "" ? "" : `<section><h2>${escaped(title)}</h2>${content}</section>`;

/** What changes of the page while the study runs. */
export function studyContent(study: StoredStudy): string {
  const { space, trials, direction, objectives = {} } = study;
  const importance = parameterImportance(study);
  const hasValues = trials.some(({ value }) => value !== undefined);
  const parameters = Object.entries(space).map(([name, parameter]) => parameterChart(study, name, parameter));
  const charts = [
    hasValues ? section(`History: the value that the study ${direction}s`, scrolled(historyChart(study))) : "",
    ...Object.entries(hasValues ? objectives : {}).map(([name, each]) =>
      section(`The value over ${name}, to ${each}: the Pareto front`, scrolled(objectiveChart(study, name))),
    ),
    section("Curves: what trials reported at each step", scrolled(curveChart(study))),
    importance ? section("Importance of parameters, by a random forest", importanceChart(importance)) : "",
    hasValues ? section("Parameters together, better trials stronger", scrolled(parallelChart(study))) : "",
  ].join("");
  return [
    head(study),
    best(study),
    charts === "" ? "" : `<div class="charts">${charts}</div><br>`,
    hasValues ? section("Parameters, each by itself", `<div class="parts">${parameters.join("")}</div>`) : "",
    section("Trials", `<div class="scroll">${table(study)}</div>`),
  ].join("\n");
}

function head(study: StoredStudy): string {
  const { trials, direction, objectives = {} } = study;
  const others = Object.entries(objectives).map(([name, each]) => `<li>${each} ${escaped(name)}</li>`);
  const counts = (["running", "complete", "pruned", "failed"] as const).flatMap((state) => {
    const count = trials.filter((trial) => trial.state === state).length;
    return count > 0 ? [`<li><b>${count}</b> ${state}</li>`] : [];
  });
  const all = `<li><b>${trials.length}</b> trials</li>`;
  return `<h1>${escaped(nameOf(study))}</h1><ul class="facts">${all}${counts.join("")}<li>${direction}</li>${others.join("")}</ul>`;
}

function best(study: StoredStudy): string {
  const trial = bestTrial(study);
  if (!trial) return `<p class="soft">No trial is complete yet.</p>`;
  const values = Object.entries(trial.values).map(
    ([name, value]) => `<code>${escaped(name)}=${escaped(String(value))}</code>`,
  );
  return `<div class="best"><strong>${short(trial.value)}</strong> <span class="soft">the best, trial ${trial.number}</span><br>${values.join(" ")}</div>`;
}

interface Column {
  name: string;
  isNumber: boolean;
  cell: (trial: TrialRecord) => Scalar | undefined;
}

function table(study: StoredStudy): string {
  const { space, trials, objectives } = study;
  const front = new Set<TrialRecord>(objectives ? paretoFront(study) : []);
  const measured = [
    ...new Set(trials.flatMap(({ metrics = {}, constraints = {} }) => Object.keys({ ...metrics, ...constraints }))),
  ];
  const column = (name: string, isNumber: boolean, cell: Column["cell"]): Column => ({ name, isNumber, cell });
  const hasErrors = trials.some(({ error }) => error !== undefined);
  const columns: Column[] = [
    column("trial", true, ({ number }) => number),
    column("state", false, ({ state }) => state),
    column("value", true, ({ value }) => value),
    ...(objectives ? [column("front", false, (trial) => (front.has(trial) ? "yes" : ""))] : []),
    ...(trials.some(({ budget }) => budget !== undefined) ? [column("budget", true, ({ budget }) => budget)] : []),
    ...Object.entries(space).map(([name, { type }]) => column(name, type !== "choice", ({ values }) => values[name])),
    ...measured.map((name) => column(name, true, ({ metrics, constraints }) => ({ ...metrics, ...constraints })[name])),
    column("steps", true, ({ reports }) => reports.at(-1)?.step),
    column("seconds", true, ({ startTime, endTime }) =>
      endTime === undefined ? undefined : (endTime - startTime) / 1000,
    ),
  ];
  const heads = columns.map(
    ({ name, isNumber }) =>
      `<th scope="col"${isNumber ? ' class="number"' : ""}><button type="button">${escaped(name)}</button></th>`,
  );
  const rows = trials.map((trial) => {
    const cells = columns.map(({ isNumber, cell }) => {
      const value = cell(trial);
      const sortable = typeof value === "number" ? ` data-number="${value}"` : "";
      return `<td${isNumber ? ' class="number"' : ""}${sortable}>${escaped(short(value))}</td>`;
    });
    const error = hasErrors ? `<td class="error">${escaped(trial.error ?? "")}</td>` : "";
    return `<tr data-trial="${trial.number}">${cells.join("")}${error}</tr>`;
  });
  const errorHead = hasErrors ? `<th scope="col">error</th>` : "";
  return `<table><thead><tr>${heads.join("")}${errorHead}</tr></thead><tbody>${rows.join("")}</tbody></table>`;
}
