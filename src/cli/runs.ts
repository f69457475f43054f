/** `kindling runs`: the runs of a folder, compared, and their reports. */
import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { OptionError } from "../base/index.ts";
import { withWriteErrors } from "../files/index.ts";
import type { RunRecord, RunSummaryRow } from "../track/index.ts";
import { runFolder } from "../train/index.ts";
import { number } from "./parse-values.ts";
import { drawCurves, formatSeconds, tableOf } from "./terminal.ts";

const importTrack = () => import("../track/index.ts");

const EXAMPLES = `
Examples:
  kindling runs
  kindling runs compare small large               # numbers, options that differ, curves
  kindling runs compare small large --html both.html
  kindling runs report small                      # runs/small/report.html, from what the run has written`;

interface RunsFlags {
  runs: string;
  json?: boolean;
}

interface ReportFlags {
  runs: string;
  wattsPerCore?: number;
  acceleratorWatts?: number;
  gramsPerKwh?: number;
  pricePerKwh?: number;
  currency?: string;
}

/** Declares `kindling runs`. */
export function addRuns(program: Command): void {
  const runs = program
    .command("runs")
    .description("Show the runs: state, method, model, steps, losses, time.")
    .option("--runs <folder>", "folder of all runs", "runs")
    .option("--json", "as JSON")
    .addHelpText("after", EXAMPLES)
    .action((flags: RunsFlags) => listRuns(flags));
  runs
    .command("compare")
    .argument("<names...>", "two runs or more")
    .description("Show runs beside one another: numbers, options that differ, curves of the loss.")
    .option("--html <file>", "write a page with the curves of all numbers")
    .action((names: string[], _, command: Command) => compareCommand(names, command.optsWithGlobals()));
  runs
    .command("report")
    .argument("<name>", "a run")
    .description("Write report.html into the run's folder anew.")
    .option("--watts-per-core <w>", "power of a logical core, for the estimate of energy (default: 5)", number)
    .option("--accelerator-watts <w>", "power of accelerators (default: 0)", number)
    .option("--grams-per-kwh <g>", "CO2 of electricity (default: 475)", number)
    .option("--price-per-kwh <p>", "price of electricity (default: 0.15)", number)
    .option("--currency <name>", "of the price (default: USD)")
    .action((name: string, _, command: Command) => reportCommand(name, command.optsWithGlobals()));
}

async function listRuns({ runs, json }: RunsFlags): Promise<void> {
  const { readRuns, summaryRow } = await importTrack();
  const rows = (await readRuns(runs)).map(summaryRow);
  if (json) process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  else if (rows.length === 0) process.stdout.write(`no run in ${runs}. First: kindling train --text my.txt\n`);
  else process.stdout.write(runTable(rows));
}

const numberColumns = [4, 5, 6, 7, 8];
const loss = (value: number | null) => value?.toFixed(4) ?? "-";

function runTable(rows: readonly RunSummaryRow[]): string {
  const header = ["name", "state", "method", "model", "steps", "loss", "validation", "best", "time"];
  const lines = rows.map((row) => [
    row.name,
    row.state,
    row.method,
    row.model,
    row.steps === null ? String(row.step) : `${row.step}/${row.steps}`,
    loss(row.lastLoss),
    loss(row.lastValidationLoss),
    row.bestLoss === null ? "-" : `${loss(row.bestLoss)} at ${row.bestStep}`,
    row.seconds === null ? "-" : formatSeconds(row.seconds),
  ]);
  return tableOf([header, ...lines], numberColumns);
}

async function recordsOf(names: readonly string[], runs: string): Promise<RunRecord[]> {
  const { readRun } = await importTrack();
  return Promise.all(names.map((name) => readRun(runFolder(runs, name))));
}

async function compareCommand(
  names: readonly string[],
  { runs, json, html }: RunsFlags & { html?: string },
): Promise<void> {
  if (names.length < 2) {
    throw new OptionError({
      where: "runs compare",
      expected: "two runs or more",
      received: names.join(", "),
      fix: "name another; kindling runs shows what there is",
    });
  }
  const { compareRuns, comparisonHtml } = await importTrack();
  const records = await recordsOf(names, runs);
  const comparison = compareRuns(records);
  if (html !== undefined) await withWriteErrors(html, () => writeFile(html, comparisonHtml(records)));
  if (json) {
    process.stdout.write(`${JSON.stringify(comparison, null, 2)}\n`);
    return;
  }
  process.stdout.write(runTable(comparison.runs));
  const options = Object.entries(comparison.differences).map(([name, values]) => [
    name,
    ...values.map((value) => String(value ?? "-")),
  ]);
  process.stdout.write(
    options.length > 0 ? `\n${tableOf([["option", ...names], ...options])}` : "\nthe same options\n",
  );
  for (const curve of ["train/loss", "validation/loss"]) {
    const curves = records.map(({ name, curves }) => ({
      name,
      points: (curves.get(curve) ?? []).map(({ step, value }) => ({ step, loss: value })),
    }));
    const { columns, isTTY: hasColours } = process.stdout;
    const chart = drawCurves(curves, { columns, hasColours });
    if (chart !== "") process.stdout.write(`\n${curve.replace("/", " ")}\n${chart}\n`);
  }
  if (html !== undefined) process.stdout.write(`\nwrote ${html}\n`);
}

async function reportCommand(name: string, { runs, ...flags }: ReportFlags): Promise<void> {
  const { wattsPerCore, acceleratorWatts, gramsPerKwh, pricePerKwh, currency } = flags;
  const { writeReport } = await importTrack();
  const energy = { wattsPerCore, acceleratorWatts, gramsPerKwh, pricePerKwh, currency };
  const named = Object.fromEntries(Object.entries(energy).filter(([, value]) => value !== undefined));
  process.stdout.write(`wrote ${await writeReport(runFolder(runs, name), { energy: named })}\n`);
}
