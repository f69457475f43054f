import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { DataError, isObject } from "../../base/index.ts";
import { exists, FolderLock, readJson } from "../../files/index.ts";
import type { ConfigValue } from "../tracker.ts";

/** A number at a step. */
export interface CurvePoint {
  step: number;
  value: number;
}

/**
 * Whether a process trains it now; all is done and a model saved; it was stopped and can go on; nothing is done yet.
 */
export type RunState = "running" | "finished" | "stopped" | "not begun";

/** A run, by what lies in its folder. */
export interface RunRecord {
  name: string;
  folder: string;
  state: RunState;
  /** Such as "pretraining" or "lora". */
  method: string;
  /** What is trained: the base model, or the type of a new one; "-" where neither is known yet. */
  model: string;
  /** Options by name, those inside others with dots between. */
  config: Readonly<Record<string, ConfigValue>>;
  /** Numbers by name, as trackers have them: "train/loss", "validation/loss", "train/learningRate" ... */
  curves: ReadonlyMap<string, readonly CurvePoint[]>;
  /** Steps done. */
  step: number;
  /** Steps that were asked for, where that is known. */
  steps: number | undefined;
  /** Of training in all sessions, up to the last checkpoint. */
  seconds: number | undefined;
}

/** Names of a validation loss and of the training's, the one that a run is judged by first. */
const LOSSES = ["validation/loss", "train/loss"];

/** The lowest point of a curve, the first of several. */
export const lowest = (points: readonly CurvePoint[]): CurvePoint | undefined =>
  points.reduce<CurvePoint | undefined>((best, point) => (best && best.value <= point.value ? best : point), undefined);

/** The curve by which a run is judged: validation where there is one. */
export const judgedBy = ({ curves }: RunRecord): string | undefined => LOSSES.find((name) => curves.has(name));

/** The runs in a folder, by name; what is no run is passed over. */
export async function readRuns(folder: string): Promise<RunRecord[]> {
  const names = (await readdir(folder).catch(() => [])).sort();
  const records = await Promise.all(
    names.map(async (name) =>
      (await isRun(join(folder, name))) ? readRun(join(folder, name)).catch(passOver) : undefined,
    ),
  );
  return records.flatMap((record) => record ?? []);
}

const isRun = (folder: string) => exists(join(folder, "run.json"));

function passOver(error: unknown): undefined {
  if (!(error instanceof DataError)) throw error;
}

/** @throws DataError for a folder without run.json, or with another file of that name */
export async function readRun(folder: string): Promise<RunRecord> {
  const json = await readJson(join(folder, "run.json"));
  const config = flattened(json);
  const curves = curvesOf(await readFile(join(folder, "metrics.jsonl"), "utf8").catch(() => ""));
  const training = await readJson(join(folder, "checkpoint", "training_state.json")).catch(() => undefined);
  const steps = typeof config.steps === "number" ? config.steps : undefined;
  const logged = Math.max(0, ...[...curves.values()].map((points) => points.at(-1)?.step ?? 0));
  const step = curves.size > 0 ? logged : Number(training?.step ?? 0);
  const model = await readJson(join(folder, "model", "config.json")).catch(() => undefined);
  return {
    name: basename(folder),
    folder,
    state: await stateOf(folder, {
      step,
      steps,
      hasModel: model !== undefined || (await exists(join(folder, "model", "adapter_config.json"))),
      hasTimeLimit: Boolean(config.maxSeconds ?? config["training.maxSeconds"]),
    }),
    method: textOf(config, ["method", "method.name", "task"]) ?? "pretraining",
    model: textOf(config, ["model", "baseModel", "base", "model.name"]) ?? String(model?.model_type ?? "-"),
    config,
    curves,
    step,
    steps,
    seconds: typeof training?.elapsedSeconds === "number" ? training.elapsedSeconds : undefined,
  };
}

const textOf = (config: Readonly<Record<string, ConfigValue>>, names: readonly string[]): string | undefined =>
  names.map((name) => config[name]).find((value) => typeof value === "string" && value !== "") as string | undefined;

interface Progress {
  step: number;
  steps: number | undefined;
  hasModel: boolean;
  hasTimeLimit: boolean;
}

async function stateOf(folder: string, { step, steps, hasModel, hasTimeLimit }: Progress): Promise<RunState> {
  if (await FolderLock.holder(folder)) return "running";
  if (hasModel && (hasTimeLimit || steps === undefined || step >= steps)) return "finished";
  return step > 0 ? "stopped" : "not begun";
}

/** Options of any depth by one name each; lists as JSON. */
function flattened(value: Readonly<Record<string, unknown>>, prefix = ""): Record<string, ConfigValue> {
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, entry]): [string, ConfigValue][] => {
      const name = `${prefix}${key}`;
      if (isObject(entry)) return Object.entries(flattened(entry, `${name}.`));
      if (entry === null || ["string", "number", "boolean"].includes(typeof entry))
        return [[name, entry as ConfigValue]];
      return [[name, JSON.stringify(entry) ?? null]];
    }),
  );
}

/** The curves in a file of metrics; a torn line is passed over, and of two numbers for one step the later counts. */
function curvesOf(text: string): Map<string, CurvePoint[]> {
  const curves = new Map<string, Map<number, number>>();
  for (const line of text.split("\n")) {
    const entry = entryOf(line);
    if (!entry) continue;
    const { step, validationLoss, metrics, loss, ...rest } = entry;
    const group = typeof validationLoss === "number" ? "validation" : "train";
    const values = { loss: validationLoss ?? loss, ...rest, ...(isObject(metrics) ? metrics : {}) };
    for (const [key, value] of Object.entries(values)) {
      if (typeof value !== "number") continue;
      const name = `${group}/${key}`;
      const points = curves.get(name) ?? new Map<number, number>();
      points.set(Number(step), value);
      curves.set(name, points);
    }
  }
  const sorted = (points: ReadonlyMap<number, number>) =>
    [...points].map(([step, value]) => ({ step, value })).sort((a, b) => a.step - b.step);
  return new Map([...curves].map(([name, points]) => [name, sorted(points)]));
}

function entryOf(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const entry = JSON.parse(line);
    return isObject(entry) && Number.isSafeInteger(entry.step) ? entry : undefined;
  } catch {
    return undefined; // torn by a kill, or the end of the file
  }
}
