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

/** What a report shows besides what other files of a run say; kept in report.json, so that it can be written again. */
export interface ReportExtras {
  hardware?: Hardware;
  /** Samples of generation, in the order of steps. */
  samples?: readonly Sample[];
  confusion?: Confusion;
}

const extrasPath = (folder: string): string => join(folder, "report.json");

/** @throws DataError for a file that is no such object */
export async function readExtras(folder: string): Promise<ReportExtras> {
  const path = extrasPath(folder);
  if (!(await exists(path))) return {};
  const json = await readJson(path);
  const { samples = [], confusion, hardware } = json;
  const isFine =
    Array.isArray(samples) &&
    samples.every((sample) => isObject(sample) && typeof sample.text === "string") &&
    (confusion === undefined || (isObject(confusion) && isConfusion(confusion as unknown as Confusion))) &&
    (hardware === undefined || isObject(hardware));
  if (isFine) return json as ReportExtras;
  throw new DataError({
    where: path,
    expected: "samples, a confusion matrix and hardware of a run",
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

/** @throws WriteError */
export const saveExtras = (folder: string, extras: ReportExtras): Promise<void> =>
  writeJson(extrasPath(folder), extras);
