import type { ConfigValue } from "../tracker.ts";
import { judgedBy, lowest, type RunRecord } from "./run-record.ts";

/** What is said of a run in a list. */
export interface RunSummaryRow {
  name: string;
  state: string;
  method: string;
  model: string;
  step: number;
  steps: number | null;
  lastLoss: number | null;
  lastValidationLoss: number | null;
  /** Of the validation, or without one of the training. */
  bestLoss: number | null;
  bestStep: number | null;
  seconds: number | null;
}

/** The numbers of a run in one row. */
export function summaryRow(record: RunRecord): RunSummaryRow {
  const { name, state, method, model, step, steps, seconds, curves } = record;
  const last = (curve: string) => curves.get(curve)?.at(-1)?.value ?? null;
  const judge = judgedBy(record);
  const best = judge === undefined ? undefined : lowest(curves.get(judge) ?? []);
  return {
    name,
    state,
    method,
    model,
    step,
    steps: steps ?? null,
    lastLoss: last("train/loss"),
    lastValidationLoss: last("validation/loss"),
    bestLoss: best?.value ?? null,
    bestStep: best?.step ?? null,
    seconds: seconds ?? null,
  };
}

/** Several runs beside one another. */
export interface RunComparison {
  runs: RunSummaryRow[];
  /** Options that are not the same in all runs: a value for each run, undefined where it has none. */
  differences: Record<string, (ConfigValue | undefined)[]>;
}

/** What differs between runs, and their numbers side by side. @param records two or more */
export function compareRuns(records: readonly RunRecord[]): RunComparison {
  const names = [...new Set(records.flatMap(({ config }) => Object.keys(config)))].sort();
  const differences = names.flatMap((name): [string, (ConfigValue | undefined)[]][] => {
    const values = records.map(({ config }) => config[name]);
    return values.every((value) => value === values[0]) ? [] : [[name, values]];
  });
  return { runs: records.map(summaryRow), differences: Object.fromEntries(differences) };
}
