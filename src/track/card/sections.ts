import { confusedPairs } from "../report/confusion.ts";
import type { Confusion } from "../report/extras.ts";
import { inGib, inTime, shortNumber } from "../words.ts";
import type { CardData, CardResult, ModelCard } from "./description.ts";
import { usageOf } from "./usage.ts";

/** What each card says of itself. */
export const TRAINED_WITH = "Trained with Kindling, in TypeScript";

/** The sections of a card, in their order; those of which nothing is known are left out. */
export const sectionsOf = (card: ModelCard): string[] =>
  [
    section("How to use it", usageOf(card)),
    section("Results", card.results && card.results.length > 0 && resultTable(card.results)),
    section("Confusion matrix", card.confusion && confusionTable(card.confusion)),
    section("Data", card.data && card.data.length > 0 && dataTable(card.data)),
    section("Training", trainingOf(card)),
    section("Configuration", card.config && Object.keys(card.config).length > 0 && configTable(card.config)),
    section("Time, energy and cost", costOf(card)),
    section(
      "Limits",
      card.limits && card.limits.length > 0 && card.limits.map((limit) => `- ${oneLine(limit)}`).join("\n"),
    ),
  ].flatMap((text) => text ?? []);

const section = (title: string, text: string | false | undefined): string | undefined =>
  text ? `## ${title}\n\n${text}` : undefined;

const oneLine = (text: string) => text.trim().replace(/\s+/g, " ");
/** A text in a cell of a table. */
const cell = (text: string) => oneLine(text).replace(/[\\|]/g, "\\$&");

function table(rows: readonly (readonly string[])[]): string {
  const line = (row: readonly string[]) => `| ${row.map(cell).join(" | ")} |`;
  const [header, ...body] = rows;
  return [line(header), `| ${header.map(() => "---").join(" | ")} |`, ...body.map(line)].join("\n");
}

function resultTable(results: readonly CardResult[]): string {
  const hasInterval = results.some(({ interval }) => interval);
  const rows = results.map(({ task, dataset, metric, interval }) => [
    task.name ?? task.type,
    `${dataset.name}${dataset.split === undefined ? "" : ` (${dataset.split})`}`,
    metric.name ?? metric.type,
    shortNumber(metric.value),
    ...(hasInterval ? [interval ? intervalOf(interval) : ""] : []),
  ]);
  return table([["task", "data", "metric", "value", ...(hasInterval ? ["confidence interval"] : [])], ...rows]);
}

const intervalOf = ({ low, high, confidence }: NonNullable<CardResult["interval"]>) =>
  `${shortNumber(low)} to ${shortNumber(high)} (${shortNumber(100 * confidence)} %)`;

/** Up to so many classes a card has the whole matrix. */
const MOST_CLASSES = 10;

/** The matrix, or of many classes those that were taken for others the most often. */
function confusionTable(confusion: Confusion): string {
  const { labels, counts } = confusion;
  const percent = (share: number) => `${shortNumber(Number((100 * share).toPrecision(3)))} %`;
  if (labels.length > MOST_CLASSES) {
    const rows = confusedPairs(confusion).map(({ label, answer, count, share }) => [
      label,
      answer,
      String(count),
      percent(share),
    ]);
    const text = `Of ${labels.length} classes, those that were taken for another the most often:`;
    if (rows.length === 0) return `Of ${labels.length} classes, none was taken for another.`;
    return `${text}\n\n${table([["true class", "taken for", "count", "share of the class"], ...rows])}`;
  }
  const rows = counts.map((row, i) => {
    const all = row.reduce((total, count) => total + count, 0);
    return [labels[i], ...row.map((count) => (count === 0 ? "0" : `${count} (${percent(count / all)})`))];
  });
  const text = "Rows are the true classes, columns what the model answered; shares are of the rows.";
  return `${text}\n\n${table([["", ...labels], ...rows])}`;
}

function dataTable(data: readonly CardData[]): string {
  const rows = data.map(({ name, hubId, license, counts = {}, sha256 }) => [
    hubId === undefined ? name : `${name} (${hubId})`,
    Object.entries(counts)
      .map(([unit, count]) => `${count.toLocaleString("en")} ${unit}`)
      .join(", "),
    license ?? "not known",
    sha256?.slice(0, 16) ?? "",
  ]);
  return table([["data", "size", "licence", "sha256 begins with"], ...rows]);
}

function trainingOf({ method, baseModels = [], parameters, steps }: ModelCard): string {
  const from = baseModels.length > 0 ? `begun from ${baseModels.join(", ")}` : "begun from random weights";
  const facts = [
    `- ${method === undefined ? "Training" : oneLine(method)}, ${from}`,
    ...(parameters
      ? [
          `- ${parameters.all.toLocaleString("en")} parameters, of which ${parameters.trained.toLocaleString("en")} were trained`,
        ]
      : []),
    ...(steps === undefined ? [] : [`- ${steps.toLocaleString("en")} steps`]),
    `- ${TRAINED_WITH}`,
  ];
  return facts.join("\n");
}

const configTable = (config: NonNullable<ModelCard["config"]>): string =>
  table([
    ["option", "value"],
    ...Object.entries(config).map(([name, value]) => [
      name,
      typeof value === "number" ? shortNumber(value) : String(value),
    ]),
  ]);

function costOf({ hardware, seconds, energy }: ModelCard): string | undefined {
  const facts = [
    ...(hardware
      ? [
          `- Hardware: ${hardware.accelerator ? `${hardware.accelerator}, ` : ""}${hardware.processor}, ${hardware.cores} cores, ${inGib(hardware.memoryBytes)} of memory (${hardware.system})`,
        ]
      : []),
    ...(seconds === undefined ? [] : [`- Time of training: ${inTime(seconds)}`]),
    ...(energy
      ? [
          `- Energy: ${shortNumber(energy.kwh)} kWh; CO2: ${shortNumber(energy.grams)} g; cost: ${shortNumber(energy.cost)} ${energy.currency}`,
          `- These three are an estimate by the time and the power of the hardware (arXiv:1910.09700): ${energy.formula}`,
        ]
      : []),
  ];
  return facts.length > 0 ? facts.join("\n") : undefined;
}
