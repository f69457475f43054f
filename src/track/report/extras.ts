import { join } from "node:path";
import { DataError, isObject } from "../../base/index.ts";
import { exists, readJson, writeJson } from "../../files/index.ts";
import type { Hardware } from "../hardware.ts";

/** A text that the model wrote after a step. */
export interface Sample {
  step: number;
  name: string;
  text: string;
}

/** How often each class was taken for each. */
export interface Confusion {
  labels: readonly string[];
  /** A row for each true class, a column for each answer. */
  counts: readonly (readonly number[])[];
}

/** An example of which a classifier gave the wrong class. */
export interface Mistake {
  /** Where it stands, such as "reviews.jsonl:17", or the path of a picture. */
  place: string;
  /** The example, or its beginning. */
  text?: string;
  /** The example, small, as a PNG in a data URL. */
  picture?: string;
  label: string;
  answer: string;
  /** Of the answer, 0 to 1. */
  probability: number;
}

/** What a classifier answers in the end. */
export interface ClassAnswers {
  confusion: Confusion;
  /** The surest ones first. */
  mistakes: readonly Mistake[];
}

/** What a report shows besides what other files of a run say; kept in report.json, so that it can be written again. */
export interface ReportExtras extends Partial<ClassAnswers> {
  hardware?: Hardware;
  /** Samples of generation, in the order of steps. */
  samples?: readonly Sample[];
}

const extrasPath = (folder: string): string => join(folder, "report.json");

/** @throws DataError for a file that is no such object */
export async function readExtras(folder: string): Promise<ReportExtras> {
  const path = extrasPath(folder);
  if (!(await exists(path))) return {};
  const json = await readJson(path);
  const { samples = [], mistakes = [], confusion, hardware } = json;
  const isFine =
    Array.isArray(samples) &&
    samples.every((sample) => isObject(sample) && typeof sample.text === "string") &&
    Array.isArray(mistakes) &&
    mistakes.every(isMistake) &&
    (confusion === undefined || (isObject(confusion) && isConfusion(confusion as unknown as Confusion))) &&
    (hardware === undefined || isObject(hardware));
  if (isFine) return json as ReportExtras;
  throw new DataError({
    where: path,
    expected: "samples, a confusion matrix, mistakes and hardware of a run",
    received: "another file",
    fix: "move it elsewhere",
  });
}

/** Whether there is a row and a column for each label. */
export const isConfusion = ({ labels, counts }: Confusion): boolean =>
  Array.isArray(labels) &&
  Array.isArray(counts) &&
  counts.length === labels.length &&
  counts.every((row) => Array.isArray(row) && row.length === labels.length);

const isMistake = (value: unknown): boolean =>
  isObject(value) &&
  [value.place, value.label, value.answer].every((text) => typeof text === "string") &&
  [value.text, value.picture].every((text) => text === undefined || typeof text === "string") &&
  typeof value.probability === "number";

/** @throws WriteError */
export const saveExtras = (folder: string, extras: ReportExtras): Promise<void> =>
  writeJson(extrasPath(folder), extras);
