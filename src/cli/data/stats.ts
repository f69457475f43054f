/** `kindling data stats`: what a data set is. */
import { KindlingError } from "../../base/index.ts";
import {
  Distribution,
  languageDetector,
  type Row,
  recogniseFormat,
  rowText,
  StatsCollector,
  type Summary,
} from "../../data/index.ts";
import { Tokenizer } from "../../tokenizers/index.ts";
import { formatCount, tableOf } from "../terminal.ts";
import { type ReadFlags, Reading } from "./reading.ts";

export interface StatsFlags extends ReadFlags {
  tokenizer?: string;
  languages?: boolean;
  json?: boolean;
}

/** Rows by which the format is told. */
const SAMPLE = 64;

/** Reads all rows once, and prints what they are. */
export async function statsCommand(files: string[], flags: StatsFlags): Promise<void> {
  const reading = new Reading(files, flags);
  const stats = new StatsCollector();
  const sample: Row[] = [];
  const tokenizer = flags.tokenizer === undefined ? undefined : await Tokenizer.open(flags.tokenizer);
  const tokens = new Distribution();
  const detect = flags.languages ? await languageDetector() : undefined;
  const languages = new Map<string, number>();
  for await (const { row } of reading.rows()) {
    stats.add(row);
    if (sample.length < SAMPLE) sample.push(row);
    if (tokenizer) tokens.add((await tokenizer.encode(rowText(row), { addSpecialTokens: false })).length);
    if (detect) {
      const { language } = detect(rowText(row));
      languages.set(language, (languages.get(language) ?? 0) + 1);
    }
  }
  const report = {
    ...stats.stats(),
    badRows: { count: reading.bad.count, first: reading.bad.first },
    format: formatOf(sample) ?? null,
    ...(tokenizer && { tokens: tokens.summary() }),
    ...(detect && { languages: Object.fromEntries([...languages].sort(([, a], [, b]) => b - a)) }),
  };
  if (flags.json) {
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    return;
  }
  print(report);
  reading.report();
}

/** The format, or none where rows are in none of the known ones. */
function formatOf(rows: readonly Row[]) {
  try {
    return recogniseFormat(rows);
  } catch (error) {
    if (error instanceof KindlingError) return undefined;
    throw error;
  }
}

type Report = ReturnType<StatsCollector["stats"]> & {
  badRows: { count: number };
  format: { format: string; columns: Readonly<Record<string, string>> } | null;
  tokens?: Summary | undefined;
  languages?: Readonly<Record<string, number>>;
};

const shown = (value: number) => (Number.isInteger(value) ? String(value) : value.toPrecision(4));
const counts = (values: Readonly<Record<string, number>>) =>
  Object.entries(values)
    .slice(0, 8)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");

function print({ rows, columns, duplicates, characters, badRows, format, tokens, languages }: Report): void {
  const mapping =
    format && Object.entries(format.columns).map(([part, name]) => (part === name ? name : `${part}=${name}`));
  const lines: string[][] = [
    ["rows", `${rows}${badRows.count > 0 ? `, and ${badRows.count} bad ones` : ""}`],
    ["format", format ? `${format.format} (${mapping?.join(", ")})` : "not recognised"],
    ["characters", formatCount(characters)],
    ["duplicates", `${duplicates} (${rows === 0 ? 0 : Number(((100 * duplicates) / rows).toFixed(2))} %)`],
  ];
  if (tokens)
    lines.push([
      "tokens",
      `${formatCount(tokens.mean * tokens.count)}; a row ${shown(tokens.mean)}, 95 % up to ${tokens.p95}, most ${tokens.max}`,
    ]);
  if (languages) lines.push(["languages", counts(languages)]);
  const header = ["column", "types", "length or value", "values"];
  const table = Object.entries(columns).map(([name, { types, lengths, numbers, values }]) => {
    const range = lengths ?? numbers;
    return [
      name,
      counts(types),
      range ? `${shown(range.min)} to ${shown(range.max)}, mean ${shown(range.mean)}` : "",
      values ? counts(values) : "",
    ];
  });
  process.stdout.write(`${tableOf(lines)}\n${tableOf([header, ...table])}`);
}
