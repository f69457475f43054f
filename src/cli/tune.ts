/** `kindling tune`: searches for good settings, and shows what a search has come to. */
import { writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { commandLine, exists, withWriteErrors } from "../files/index.ts";
import type { StoredStudy, StudyFile, StudyResult, TrialRecord } from "../tune/index.ts";
import { typed } from "./command.ts";
import { abortOnInterrupt, INTERRUPTED } from "./interrupt.ts";
import { choice } from "./option-names.ts";
import { integer } from "./parse-values.ts";
import { dropUndefined } from "./sampling.ts";
import { ProgressLine, tableOf } from "./terminal.ts";

const importTune = () => import("../tune/index.ts");

interface TuneFlags {
  studies: string;
  trials?: number;
  concurrency?: number;
  dryRun?: boolean;
}

/** Declares `kindling tune`. */
export function addTune(program: Command): void {
  const tune = program
    .command("tune")
    .argument("<study>", "a study in YAML: a space, and what a trial runs")
    .description("Search for good settings: many trials of a command, a training or a module, the better ones longer.")
    .option("--studies <folder>", "folder of all studies; this one is <studies>/<its name>", "studies")
    .option("--trials <n>", "trials in all, those before included (default: the file's)", integer)
    .option("--concurrency <n>", "trials at a time (default: the file's, or 1)", integer)
    .option("--dry-run", "show what would be run, and end")
    .addHelpText(
      "after",
      `
Examples:
  kindling tune study.yaml --dry-run
  kindling tune study.yaml --concurrency 2     # Ctrl-C ends it; the same command goes on
  kindling tune ui studies/study               # the trials as a page, while it runs too
  kindling tune best studies/study
  kindling tune export studies/study --format csv

Exit codes: 0 done, 130 interrupted, 1 failed.`,
    )
    .action((path: string, flags: TuneFlags) => tuneCommand(path, flags));
  const study = (name: string) => tune.command(name).argument("<folder>", "the folder of a study");
  study("show")
    .description("Show the trials of a study, the best first.")
    .option("--limit <n>", "most trials", integer, 20)
    .addHelpText("after", "\nExamples:\n  kindling tune show studies/study --limit 50")
    .action(showStudy);
  study("best")
    .description("Print the best values as key=value words, or as JSON with all of the trial.")
    .option("--json", "as JSON")
    .addHelpText("after", "\nExamples:\n  kindling train config.yaml $(kindling tune best studies/study)")
    .action(bestCommand);
  study("export")
    .description("Print all trials.")
    .addOption(choice("--format <name>", "csv, or json with all reports", ["csv", "json"]).default("csv"))
    .addHelpText("after", "\nExamples:\n  kindling tune export studies/study > trials.csv")
    .action(exportCommand);
  study("ui")
    .description("Serve a page with the trials, which follows the study while it runs; or write it to a file.")
    .option("--port <n>", "port; 0 takes a free one", integer, 8090)
    .option("--html <file>", "write the page to this file, and end")
    .addHelpText(
      "after",
      "\nExamples:\n  kindling tune ui studies/study\n  kindling tune ui studies/study --html trials.html",
    )
    .action(pageCommand);
}

async function tuneCommand(path: string, { studies, dryRun, ...flags }: TuneFlags): Promise<void> {
  const { readStudyFile, tune } = await importTune();
  const file = await readStudyFile(path, { kindling: [process.execPath, process.argv[1]] });
  const store = join(studies, file.name);
  const options = { ...file.options, ...dropUndefined(flags), store };
  if (dryRun) {
    process.stdout.write(await planOf({ ...file, options }, store));
    return;
  }
  const line = new ProgressLine();
  const most = options.trials ?? options.sampler.size?.(options.space);
  const report = new TuneReport(line, most, (await trialsOf(store)).filter(({ state }) => state !== "running").length);
  const { signal, dispose } = abortOnInterrupt(() => line.print("ending the trials ..."));
  line.print(`study ${store}; its page: ${typed("tune", "ui", store)}`);
  try {
    const result = await tune({ ...options, signal, onEvent: ({ type, trial }) => report.show(type, trial) });
    line.end();
    process.stdout.write(await summaryOf(result, { store, path, objectives: Object.keys(options.objectives ?? {}) }));
    if (result.stopReason === "aborted") process.exitCode = INTERRUPTED;
    else if (!result.best) process.exitCode = 1;
  } finally {
    line.end();
    dispose();
  }
}

/** Of a study that need not have begun. */
async function trialsOf(store: string): Promise<readonly TrialRecord[]> {
  const { readStudy } = await importTune();
  return (await exists(join(store, "study.json"))) ? (await readStudy(store)).trials : [];
}

/** Shows trials as they begin and end. */
class TuneReport {
  private readonly line: ProgressLine;
  private readonly most: number | undefined;
  private readonly running = new Set<number>();
  private ended: number;

  /** @param ended trials that have ended before */
  constructor(line: ProgressLine, most: number | undefined, ended: number) {
    this.line = line;
    this.most = most;
    this.ended = ended;
  }

  show(type: "start" | "report" | "end", trial: TrialRecord): void {
    if (type === "start") this.running.add(trial.number);
    if (type === "end") {
      this.running.delete(trial.number);
      this.ended++;
      this.line.print(`trial ${trial.number}: ${outcomeOf(trial)}  ${wordsOf(trial.values)}`);
    }
    const of = this.most === undefined ? "" : ` of ${this.most}`;
    const last = trial.reports.at(-1);
    const step =
      last && type === "report" ? `, trial ${trial.number} at step ${last.step}: ${shortNumber(last.value)}` : "";
    this.line.show(`${this.ended} trials ended${of}, running: ${[...this.running].join(" ") || "none"}${step}`);
  }
}

const shortNumber = (value: number) => String(Number(value.toPrecision(6)));
const outcomeOf = ({ state, value, error }: TrialRecord) =>
  state === "complete" ? shortNumber(value as number) : state === "failed" ? `failed: ${error?.split("\n")[0]}` : state;
/** Values as `kindling train` takes them. */
const wordsOf = (values: TrialRecord["values"]) =>
  commandLine(...Object.entries(values).map(([name, value]) => `${name}=${value}`));

async function planOf({ name, options, example }: StudyFile, store: string): Promise<string> {
  const {
    space,
    direction,
    objectives = {},
    sampler,
    pruner,
    trials = sampler.size?.(space) ?? 100,
    concurrency = 1,
  } = options;
  const threads = Math.max(1, Math.floor(availableParallelism() / concurrency));
  const before = (await trialsOf(store)).length;
  const facts = [
    ["study", `${name}, in ${store}${before > 0 ? `, which has ${before} trials` : ""}`],
    [
      "goal",
      [`${direction} the value`, ...Object.entries(objectives).map(([name, each]) => `${each} ${name}`)].join(", "),
    ],
    ["sampler", sampler.name],
    ["pruner", pruner?.name ?? "none"],
    ["trials", `${trials} in all, ${concurrency} at a time, ${threads} threads each`],
    ...Object.entries(space).map(([parameter, { type, when, ...range }], i) => [
      i === 0 ? "space" : "",
      `${parameter}: ${type} ${JSON.stringify(range)}${when ? ` when ${when.parameter} is ${when.values.join(" or ")}` : ""}`,
    ]),
    ["a trial", commandLine(...example({ folder: join(store, "trials", "0000"), threads }))],
  ];
  return tableOf(facts);
}

async function summaryOf(
  { best, front, trials, stopReason }: StudyResult,
  { store, path, objectives }: { store: string; path: string; objectives: readonly string[] },
): Promise<string> {
  const reasons = {
    trials: "all trials are done",
    exhausted: "the sampler has no more",
    target: "the target is reached",
    patience: "no trial was better for long",
    time: "the time is over",
    aborted: "stopped",
  };
  const counts = (["complete", "pruned", "failed", "running"] as const).flatMap((state) => {
    const count = trials.filter((trial) => trial.state === state).length;
    return count > 0 ? [`${count} ${state === "running" ? "to be begun again" : state}`] : [];
  });
  const lines = [`${reasons[stopReason]}: ${trials.length} trials (${counts.join(", ") || "none"})`];
  if (best)
    lines.push(`best: ${shortNumber(best.value)}, trial ${best.number}`, wordsOf(best.values as TrialRecord["values"]));
  if (objectives.length > 0 && front.length > 0) {
    lines.push(`the Pareto front of the value and ${objectives.join(", ")}: ${front.length} trials`);
    lines.push(tableOf(trialRows(front as unknown as TrialRecord[], objectives), numberColumns(objectives)).trimEnd());
  }
  if (stopReason === "aborted" || stopReason === "time") lines.push(`to go on: ${typed("tune", path)}`);
  return `${lines.join("\n")}\n${typed("tune", "ui", store)} shows them\n`;
}

/** Trials with their values and further objectives, behind a head. */
const trialRows = (trials: readonly TrialRecord[], objectives: readonly string[]): string[][] => [
  ["trial", "value", ...objectives, "state", "values"],
  ...trials.map((trial) => [
    String(trial.number),
    ...[trial.value, ...objectives.map((name) => trial.metrics?.[name])].map((value) =>
      value === undefined ? "" : shortNumber(value),
    ),
    trial.state === "failed" ? outcomeOf(trial) : trial.state,
    wordsOf(trial.values),
  ]),
];
/** Columns of `trialRows` that stand to the right. */
const numberColumns = (objectives: readonly string[]) => [0, 1, ...objectives.map((_, i) => i + 2)];

async function showStudy(folder: string, { limit }: { limit: number }): Promise<void> {
  const { parameterImportance, paretoFront, readStudy } = await importTune();
  const study = await readStudy(folder);
  const objectives = Object.keys(study.objectives ?? {});
  if (objectives.length > 0) {
    const front = paretoFront(study).toSorted((a, b) => (a.value as number) - (b.value as number));
    process.stdout.write(`the Pareto front of the value and ${objectives.join(", ")}: ${front.length} trials\n`);
    process.stdout.write(`${tableOf(trialRows(front, objectives), numberColumns(objectives))}\n`);
  }
  const sign = study.direction === "minimize" ? 1 : -1;
  const rank = ({ value }: TrialRecord) => (value === undefined ? Number.POSITIVE_INFINITY : sign * value);
  const sorted = study.trials.toSorted((a, b) => (rank(a) === rank(b) ? a.number - b.number : rank(a) - rank(b)));
  process.stdout.write(tableOf(trialRows(sorted.slice(0, limit), objectives), numberColumns(objectives)));
  if (study.trials.length > limit) process.stdout.write(`and ${study.trials.length - limit} more\n`);
  const importance = Object.entries(parameterImportance(study) ?? {}).sort(([, a], [, b]) => b - a);
  const shares = importance.map(([name, share]) => `${name} ${(100 * share).toFixed(0)} %`);
  if (shares.length > 0) process.stdout.write(`importance: ${shares.join(", ")}\n`);
}

async function bestCommand(folder: string, { json }: { json?: boolean }): Promise<void> {
  const { bestTrial, readStudy } = await importTune();
  const trial = bestTrial(await readStudy(folder));
  if (!trial) {
    process.stderr.write("no trial is complete without breaking a constraint\n");
    process.exitCode = 1;
  } else process.stdout.write(json ? `${JSON.stringify(trial, null, 2)}\n` : `${wordsOf(trial.values)}\n`);
}

async function exportCommand(folder: string, { format }: { format: string }): Promise<void> {
  const { readStudy, studyCsv } = await importTune();
  const { folder: _, ...study }: StoredStudy = await readStudy(folder);
  process.stdout.write(format === "csv" ? studyCsv({ folder, ...study }) : `${JSON.stringify(study, null, 2)}\n`);
}

async function pageCommand(folder: string, { port, html }: { port: number; html?: string }): Promise<void> {
  const { readStudy, serveStudy, studyPage } = await importTune();
  if (html !== undefined) {
    const page = studyPage(await readStudy(folder));
    await withWriteErrors(html, () => writeFile(html, page));
    process.stdout.write(`wrote ${html}\n`);
    return;
  }
  const { signal, dispose } = abortOnInterrupt(() => {});
  const server = await serveStudy(folder, { port });
  process.stdout.write(`the trials of ${folder} are at ${server.url}; Ctrl-C ends\n`);
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  await server.close();
  dispose();
}
