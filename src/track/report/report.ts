import { join } from "node:path";
import { checkOptions, OptionError } from "../../base/index.ts";
import { writeFileAtomic } from "../../files/index.ts";
import { type EnergyAssumptions, type EnergyEstimate, estimateEnergy } from "../energy.ts";
import { judgedBy, lowest, type RunRecord, readRun } from "../runs/run-record.ts";
import { inGib, inTime, shortNumber } from "../words.ts";
import { type Curve, chartHtml } from "./chart.ts";
import { confusionHtml, mistakesHtml } from "./confusion.ts";
import { isConfusion, type ReportExtras, readExtras, type Sample, saveExtras } from "./extras.ts";
import { escaped, page, section, tableHtml } from "./html.ts";

/** What a report shows besides what the run's folder says. */
export interface ReportOptions extends ReportExtras {
  /** What the estimate of energy and cost stands on. */
  energy?: EnergyAssumptions;
}

const optionNames: readonly (keyof ReportOptions)[] = ["hardware", "samples", "confusion", "mistakes", "energy"];

/**
 * Writes report.html into a run's folder: one page that needs no network, with curves, options, the best checkpoint,
 * samples, hardware and an estimate of energy and cost. What is named here is kept in report.json, and shown again when
 * the report is written anew.
 * @returns the path of the page
 * @throws OptionError for wrong options; DataError for a folder that is no run's; WriteError
 */
export async function writeReport(folder: string, options: ReportOptions = {}): Promise<string> {
  checkOptions("writeReport", options, optionNames);
  const { energy: assumptions, ...named } = options;
  if (named.confusion && !isConfusion(named.confusion)) {
    throw new OptionError({
      where: "writeReport",
      expected: "a confusion matrix with a row and a column for each label",
      received: `${named.confusion.labels.length} labels, ${named.confusion.counts.length} rows`,
      fix: "give as many of each",
    });
  }
  const record = await readRun(folder);
  const extras = { ...(await readExtras(folder)), ...named };
  if (Object.keys(named).length > 0) await saveExtras(folder, extras);
  const path = join(folder, "report.html");
  await writeFileAtomic(path, reportHtml(record, extras, assumptions));
  return path;
}

/** The page of a run. */
export function reportHtml(record: RunRecord, extras: ReportExtras = {}, assumptions?: EnergyAssumptions): string {
  const { name, state, method, model } = record;
  const energy = energyOf(record, extras, assumptions);
  const parts = [
    `<header><h1>${escaped(name)}</h1><p class="faint">${escaped(`${method} of ${model}, ${state}`)}</p></header>`,
    tiles(record, energy),
    section("Curves", `<div class="charts">${charts(record)}</div>`),
    section("Confusion matrix", extras.confusion && confusionHtml(extras.confusion)),
    section("Mistaken examples", mistakesHtml(extras.mistakes ?? [])),
    section("Samples", samplesHtml(extras)),
    section("Options", optionsHtml(record)),
    section("Hardware, energy and cost", hardwareHtml(record, extras, energy)),
  ];
  return page(`${name}: report`, parts.join("\n"));
}

function energyOf(
  { seconds }: RunRecord,
  { hardware }: ReportExtras,
  assumptions: EnergyAssumptions | undefined,
): EnergyEstimate | undefined {
  if (seconds === undefined || !hardware) return undefined;
  return estimateEnergy({ seconds, cores: hardware.cores }, assumptions);
}

function tiles(record: RunRecord, energy: EnergyEstimate | undefined): string {
  const { curves, step, steps, seconds } = record;
  const judge = judgedBy(record);
  const best = judge === undefined ? undefined : lowest(curves.get(judge) ?? []);
  const last = (name: string | undefined) => (name === undefined ? undefined : curves.get(name)?.at(-1)?.value);
  const facts: [string, string | undefined][] = [
    ["steps", steps === undefined ? String(step) : `${step} of ${steps}`],
    ["time of training", seconds === undefined ? undefined : inTime(seconds)],
    ["last loss", shortNumber(last("train/loss"))],
    ["last validation loss", curves.has("validation/loss") ? shortNumber(last("validation/loss")) : undefined],
    [`best ${judge?.replace("/", " ")}`, best && `${shortNumber(best.value)} at step ${best.step}`],
    ["energy, by estimate", energy && `${shortNumber(Number(energy.kwh.toPrecision(3)))} kWh`],
  ];
  const shown = facts.flatMap(([name, value]) =>
    value === undefined
      ? []
      : `<div class="tile"><span class="faint">${escaped(name)}</span><b>${escaped(value)}</b></div>`,
  );
  return `<div class="tiles">${shown.join("")}</div>`;
}

/** Names that stand first, in this order. */
const firstCharts = ["loss", "learningRate", "gradientNorm"];
const isSpeed = (name: string) => name.endsWith("PerSecond");
const titles: Readonly<Record<string, string>> = {
  loss: "Loss",
  learningRate: "Learning rate",
  gradientNorm: "Norm of the gradients",
};

/** "tokensPerSecond" -> "Tokens per second", "train/f1" -> "F1" */
export function chartTitle(name: string): string {
  const words = name.replace(
    /([a-z])([A-Z])/g,
    (_, before: string, letter: string) => `${before} ${letter.toLowerCase()}`,
  );
  return titles[name] ?? words.charAt(0).toUpperCase() + words.slice(1);
}

/** Measures in the order of their charts: the names of curves without "train/" and "validation/". */
export function measuresOf(records: readonly Pick<RunRecord, "curves">[]): string[] {
  const names = new Set(records.flatMap(({ curves }) => [...curves.keys()]).map((name) => name.replace(/^\w+\//, "")));
  const rank = (name: string) => (firstCharts.includes(name) ? firstCharts.indexOf(name) : isSpeed(name) ? 3 : 4);
  return [...names].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

const charts = ({ curves }: RunRecord): string =>
  measuresOf([{ curves }])
    .map((measure) => {
      const both = ["train", "validation"].flatMap((group): Curve[] => {
        const points = curves.get(`${group}/${measure}`);
        return points ? [{ name: group === "train" ? "training" : "validation", points }] : [];
      });
      return chartHtml(chartTitle(measure), both);
    })
    .join("");

/** Samples by step: the last step's are open. */
function samplesHtml({ samples = [] }: ReportExtras): string {
  const steps = new Map<number, Sample[]>();
  for (const sample of samples) steps.set(sample.step, [...(steps.get(sample.step) ?? []), sample]);
  return [...steps]
    .map(([step, ofStep], i) => {
      const texts = ofStep.map(
        ({ name, text }) => `<p class="faint">${escaped(name)}</p><pre>${escaped(text) || " "}</pre>`,
      );
      return `<details${i === steps.size - 1 ? " open" : ""}><summary>step ${step}</summary>${texts.join("")}</details>`;
    })
    .join("");
}

const optionsHtml = ({ config }: RunRecord): string =>
  tableHtml([["option", "value"], ...Object.entries(config).map(([name, value]) => [name, String(value)])]);

function hardwareHtml(
  { seconds }: RunRecord,
  { hardware }: ReportExtras,
  energy: EnergyEstimate | undefined,
): string | undefined {
  if (!hardware) return undefined;
  const { processor, cores, memoryBytes, system, accelerator } = hardware;
  const rows = [
    ...(accelerator === undefined ? [] : [["accelerator", accelerator]]),
    ["processor", `${processor}, ${cores} cores`],
    ["memory", inGib(memoryBytes)],
    ["system", system],
    ...(seconds === undefined ? [] : [["time of training", inTime(seconds)]]),
    ...(energy
      ? [
          ["energy", `${shortNumber(energy.kwh)} kWh`],
          ["CO2", `${shortNumber(energy.grams)} g`],
          ["cost", `${shortNumber(energy.cost)} ${energy.currency}`],
        ]
      : []),
  ];
  const note = energy
    ? `<p class="faint">Energy, CO2 and cost are estimates by time and power (arXiv:1910.09700): ${escaped(energy.formula)}.</p>`
    : "";
  return tableHtml([["what", "value"], ...rows]) + note;
}
