import { join } from "node:path";
import { DataError } from "../base/index.ts";
import {
  commandLine,
  completeFolder,
  exists,
  readJson,
  readSafetensors,
  type StoredTensor,
  verifyChecksums,
  WriteError,
  writeChecksums,
  writeFolderAtomic,
  writeJson,
  writeSafetensors,
} from "../files/index.ts";
import { CheckpointError } from "../nn/index.ts";
import type { Variable } from "../tensor/index.ts";
import type { BestState } from "./best.ts";
import type { Objective } from "./objective.ts";

/** What training must remember besides the numbers of the model and the optimizer. */
export interface TrainingState {
  /** Steps done. */
  step: number;
  validationLoss: number | null;
  /** Step at which it was measured. */
  validationStep: number | null;
  /** Seconds of training in all sessions. */
  elapsedSeconds: number;
  /** What the run is trained on: sha256 by name. */
  fingerprint?: Readonly<Record<string, string>>;
  /** What was best, where something is measured. */
  best?: BestState;
  /** Steps whose batches were passed over after a leap of the loss. */
  skippedSteps?: number;
  /** How often training went back. */
  rollbacks?: number;
  /** The last losses, where leaps are looked for. */
  recentLosses?: readonly number[];
  /** Of a schedule that follows the validation. */
  schedule?: unknown;
}

const optionalState = [
  ...(["fingerprint", "best", "skippedSteps", "rollbacks", "recentLosses", "schedule"] as const),
] satisfies (keyof TrainingState)[];

/** What an objective keeps of itself. */
type Saved = Pick<Objective<never>, "save" | "load">;

/** Variables that go with it: those of the optimizer, and of what else is learned on the way. */
export interface SavedState {
  readonly state: ReadonlyMap<string, Variable>;
}

const OPTIMIZER = "optimizer.safetensors";
const STATE = "training_state.json";

/**
 * Saves everything needed to go on: what the objective saves, such as a model in Hugging Face layout with its
 * tokenizer, the optimizer's state, the position, and the sums of all files. The checkpoint that was there before stays
 * until the new one is complete and on disk.
 * @throws WriteError when the disk is full or cannot be written; the previous checkpoint is then still there
 */
export async function saveCheckpoint(
  folder: string,
  { objective, optimizer, state }: { objective: Pick<Saved, "save">; optimizer: SavedState; state: TrainingState },
): Promise<void> {
  try {
    await writeFolderAtomic(folder, async (temporary) => {
      await objective.save(temporary);
      const tensors = new Map<string, StoredTensor>();
      for (const [name, variable] of optimizer.state)
        tensors.set(name, { dtype: variable.dtype, shape: variable.shape, data: await variable.read() });
      await writeSafetensors(join(temporary, OPTIMIZER), tensors, {});
      await writeJson(join(temporary, STATE), state);
      await writeChecksums(temporary);
    });
  } catch (cause) {
    if (!(cause instanceof WriteError)) throw cause;
    const previous = (await findCheckpoint(folder)) ? "; the previous checkpoint is still there" : "";
    throw new WriteError({
      where: `checkpoint ${folder}`,
      expected: "to write it",
      received: cause.received,
      fix: `${cause.fix}${previous}`,
      cause,
    });
  }
}

/**
 * The folder of the newest checkpoint, or undefined when none was ever saved. Whether it is whole, `loadCheckpoint`
 * says.
 */
export function findCheckpoint(folder: string): Promise<string | undefined> {
  return completeFolder(folder);
}

/**
 * Loads a checkpoint into what an objective trains and its optimizer. Nothing is changed unless every file is the one
 * that was saved. With a `fingerprint` the checkpoint must be of that data.
 * @throws DataError, CheckpointError or ShapeError when a part is missing or damaged, or it belongs to another model or
 *   other data
 */
export async function loadCheckpoint(
  folder: string,
  {
    objective,
    optimizer,
    fingerprint,
  }: { objective: Pick<Saved, "load">; optimizer: SavedState } & Pick<TrainingState, "fingerprint">,
): Promise<TrainingState> {
  const state = await readTrainingState(folder);
  if (fingerprint) requireSameData(folder, fingerprint, state.fingerprint);
  const path = join(folder, OPTIMIZER);
  const { tensors } = await readSafetensors(path);
  const missing = [...optimizer.state.keys()].filter((name) => !tensors.has(name));
  if (missing.length > 0 || tensors.size !== optimizer.state.size) {
    throw new CheckpointError({
      where: path,
      expected: `the ${optimizer.state.size} tensors of the optimizer`,
      received: `${tensors.size}${missing[0] ? `, without ${missing[0]}` : ""}`,
      fix: "resume with the optimizer the run was started with",
    });
  }
  await objective.load(folder);
  for (const [name, variable] of optimizer.state) variable.set((tensors.get(name) as StoredTensor).data);
  return state;
}

/** @throws DataError naming what is not as it was when the checkpoint was made */
function requireSameData(
  checkpoint: string,
  current: Readonly<Record<string, string>>,
  saved: TrainingState["fingerprint"],
): void {
  const changed = Object.keys(current).filter((name) => current[name] !== saved?.[name]);
  if (changed.length === 0) return;
  throw new DataError({
    where: checkpoint,
    expected: "the data and the tokenizer that it was trained with",
    received: `another ${changed.join(", ")} (by sha256)`,
    fix: "put the old text back, choose another --name, or begin anew with --restart",
  });
}

/** How far a run came, by its checkpoint and as far as it can be read: for what is told of it. */
export async function trainingProgress(
  run: string,
): Promise<Pick<TrainingState, "step" | "elapsedSeconds"> | undefined> {
  const folder = await findCheckpoint(join(run, "checkpoint"));
  const json = folder && (await readJson(join(folder, STATE)).catch(() => undefined));
  return json && Number.isSafeInteger(json.step)
    ? { step: json.step as number, elapsedSeconds: Number(json.elapsedSeconds) || 0 }
    : undefined;
}

/** Where a checkpoint stands, after all its files were checked. @throws DataError when a part is missing or damaged */
async function readTrainingState(folder: string): Promise<TrainingState> {
  const fix = `put the part back, or begin anew with --restart${(await exists(join(folder, "model.safetensors"))) ? `; to use the model as it is: ${commandLine("kindling", "generate", folder)}` : ""}`;
  await verifyChecksums(folder, fix);
  const json = await readJson(join(folder, STATE));
  const { step, validationLoss, validationStep } = json;
  if (!Number.isSafeInteger(step) || (step as number) < 0) {
    throw new DataError({
      where: join(folder, STATE),
      expected: "a step number",
      received: JSON.stringify(step) ?? "none",
      fix,
    });
  }
  return {
    step: step as number,
    validationLoss: typeof validationLoss === "number" ? validationLoss : null,
    validationStep: typeof validationStep === "number" ? validationStep : null,
    elapsedSeconds: Number(json.elapsedSeconds) || 0,
    ...Object.fromEntries(optionalState.filter((name) => json[name] !== undefined).map((name) => [name, json[name]])),
  };
}
