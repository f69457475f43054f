import { readFile } from "node:fs/promises";
import { DataError, isObject } from "../../base/index.ts";
import { readJson, withReadErrors, writeJson } from "../../files/index.ts";
import { type MonitorRecord, recordOfRow } from "./record.ts";
import { quantile } from "./statistics.ts";
import { characterCount, scriptOf, unknownShare, wordsOf } from "./text-features.ts";

/** A feature with numbers: how they are spread in the reference. */
export interface NumericReference {
  /** Limits between bins, each with about a tenth of the values; bin i has values up to and with edge i. */
  edges: readonly number[];
  /** Of the bins, one more than edges. */
  counts: readonly number[];
  /** The values, evenly thinned where they are many, in order. */
  values: readonly number[];
}

/** What requests and answers of a training set are like. */
export interface Profile {
  version: 1;
  /** How many. */
  rows: number;
  numeric: Readonly<Record<string, NumericReference>>;
  /** How often each category came, by feature. */
  categories: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Words of the inputs, the most frequent. */
  vocabulary: readonly string[];
}

/** How a profile is made, and a window measured: the same way for both. */
export interface FeatureOptions {
  /** Counts the tokens of a text. @default no feature of tokens */
  countTokens?: (text: string) => number | Promise<number>;
}

const BINS = 10;
const MOST_VALUES = 1000;
const MOST_WORDS = 20_000;
/** A category that comes more rarely is one with the other rare ones. */
const MOST_CATEGORIES = 50;
/** The name for categories that the reference does not list. */
export const OTHER = "(other)";

/** A record's features by name: numbers, and categories. */
export interface Features {
  numeric: Record<string, number>;
  categories: Record<string, string>;
}

/** What is measured of a record. @param vocabulary @default none, and no share of unknown words */
export async function featuresOf(
  { input, output, label, numbers }: MonitorRecord,
  { countTokens }: FeatureOptions,
  vocabulary?: ReadonlySet<string>,
): Promise<Features> {
  const numeric: Record<string, number> = { ...numbers };
  const categories: Record<string, string> = {};
  for (const [side, text] of [
    ["input", input],
    ["output", output],
  ] as const) {
    if (text === undefined) continue;
    numeric[`${side}Characters`] = characterCount(text);
    if (countTokens) numeric[`${side}Tokens`] = await countTokens(text);
    categories[`${side}Script`] = scriptOf(text);
  }
  const unknown = vocabulary && input !== undefined ? unknownShare(input, vocabulary) : undefined;
  if (unknown !== undefined) numeric.unknownWords = unknown;
  if (label !== undefined) categories.label = label;
  return { numeric, categories };
}

/**
 * What the rows of a training set are like. The vocabulary is of every other row, and the share of unknown words is
 * measured on the rest: on the rows that it was made of, it would be nothing.
 * @throws DataError for no rows
 */
export async function makeProfile(rows: readonly object[], options: FeatureOptions = {}): Promise<Profile> {
  if (rows.length === 0)
    throw new DataError({
      where: "makeProfile",
      expected: "rows of a training set",
      received: "none",
      fix: "give it rows",
    });
  const records = rows.map((row) => recordOfRow(row as Readonly<Record<string, unknown>>));
  const vocabulary = vocabularyOf(records.filter((_, i) => i % 2 === 0));
  const known = new Set(vocabulary);
  const numeric = new Map<string, number[]>();
  const categories = new Map<string, Map<string, number>>();
  for (const [i, record] of records.entries()) {
    const features = await featuresOf(record, options, i % 2 === 1 ? known : undefined);
    for (const [name, value] of Object.entries(features.numeric)) {
      const values = numeric.get(name);
      if (values) values.push(value);
      else numeric.set(name, [value]);
    }
    for (const [name, value] of Object.entries(features.categories)) {
      const counts = categories.get(name) ?? new Map<string, number>();
      counts.set(value, (counts.get(value) ?? 0) + 1);
      categories.set(name, counts);
    }
  }
  return {
    version: 1,
    rows: rows.length,
    numeric: Object.fromEntries([...numeric].map(([name, values]) => [name, referenceOf(values)])),
    categories: Object.fromEntries([...categories].map(([name, counts]) => [name, mostFrequent(counts)])),
    vocabulary,
  };
}

function vocabularyOf(records: readonly MonitorRecord[]): string[] {
  const counts = new Map<string, number>();
  for (const { input } of records)
    for (const word of wordsOf(input ?? "")) counts.set(word, (counts.get(word) ?? 0) + 1);
  return byCount(counts)
    .slice(0, MOST_WORDS)
    .map(([word]) => word);
}

const byCount = (counts: ReadonlyMap<string, number>) =>
  [...counts].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));

function mostFrequent(counts: ReadonlyMap<string, number>): Record<string, number> {
  const sorted = byCount(counts);
  const rest = sorted.slice(MOST_CATEGORIES).reduce((sum, [, count]) => sum + count, 0);
  return Object.fromEntries([...sorted.slice(0, MOST_CATEGORIES), ...(rest > 0 ? [[OTHER, rest] as const] : [])]);
}

function referenceOf(values: readonly number[]): NumericReference {
  const sorted = [...values].sort((a, b) => a - b);
  const tenths = Array.from({ length: BINS - 1 }, (_, i) => quantile(sorted, (i + 1) / BINS));
  const edges = [...new Set(tenths)];
  const length = Math.min(sorted.length, MOST_VALUES);
  const thinned = Array.from({ length }, (_, i) => sorted[Math.floor(((i + 0.5) * sorted.length) / length)]);
  return { edges, counts: countsOf(sorted, edges), values: thinned };
}

/** How many values lie in each bin. */
export function countsOf(values: readonly number[], edges: readonly number[]): number[] {
  const counts = new Array<number>(edges.length + 1).fill(0);
  for (const value of values) {
    const bin = edges.findIndex((edge) => value <= edge);
    counts[bin < 0 ? edges.length : bin]++;
  }
  return counts;
}

/** The rows of a JSON Lines file. @throws DataError naming a line that is no object */
export async function readRows(path: string): Promise<Readonly<Record<string, unknown>>[]> {
  const text = await withReadErrors(path, "a JSON Lines file", () => readFile(path, "utf8"));
  return text.split("\n").flatMap((line, i) => {
    if (line.trim() === "") return [];
    try {
      const row: unknown = JSON.parse(line);
      if (isObject(row)) return [row];
    } catch {} // said below
    throw new DataError({
      where: `${path}, line ${i + 1}`,
      expected: "an object of JSON",
      received: line.slice(0, 60),
      fix: "correct the line",
    });
  });
}

/** @throws WriteError */
export const saveProfile = (path: string, profile: Profile): Promise<void> => writeJson(path, profile);

/** @throws DataError for a file that is no profile */
export async function readProfile(path: string): Promise<Profile> {
  const json = await readJson(path);
  const isLists = (reference: unknown) =>
    isObject(reference) && [reference.edges, reference.counts, reference.values].every(Array.isArray);
  const isFine =
    json.version === 1 &&
    isObject(json.numeric) &&
    Object.values(json.numeric).every(isLists) &&
    isObject(json.categories) &&
    Object.values(json.categories).every(isObject) &&
    Array.isArray(json.vocabulary);
  if (isFine) return json as unknown as Profile;
  throw new DataError({
    where: path,
    expected: "a profile of version 1",
    received: `a file with ${Object.keys(json).slice(0, 5).join(", ") || "nothing"}`,
    fix: "make it: kindling monitor profile data.jsonl --output profile.json",
  });
}
