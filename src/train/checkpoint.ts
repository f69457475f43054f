import { stat } from "node:fs/promises";
import { join } from "node:path";
import { folderCandidates, readJson, readSafetensors, type StoredTensor, writeFolderAtomic, writeJson, writeSafetensors } from "../files/index.ts";
import { DataError } from "../ir/index.ts";
import { type CausalLM, loadPretrained, savePretrained } from "../models/index.ts";
import { CheckpointError } from "../nn/index.ts";
import type { Variable } from "../tensor/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";

/** What training must remember besides the numbers of the model and the optimizer. */
export interface TrainingState {
  /** Steps done. */
  step: number;
  validationLoss: number | null;
  /** Seconds of training in all sessions. */
  elapsedSeconds: number;
}

/** Variables that go with the model: those of the optimizer, and of what else is learned on the way. */
export interface SavedState {
  readonly state: ReadonlyMap<string, Variable>;
}

const OPTIMIZER = "optimizer.safetensors";
const STATE = "training_state.json";

/**
 * Saves everything needed to go on: the model in Hugging Face layout with its tokenizer, the optimizer's state and the
 * position. The checkpoint that was there before stays until the new one is complete and on disk.
 * @throws DataError when the disk is full or cannot be written; the previous checkpoint is then still there
 */
export async function saveCheckpoint(
  folder: string,
  parts: { model: CausalLM; optimizer: SavedState; tokenizer: Tokenizer; state: TrainingState },
): Promise<void> {
  const { model, optimizer, tokenizer, state } = parts;
  try {
    await writeFolderAtomic(folder, async (temporary) => {
      await savePretrained(model, temporary);
      await tokenizer.save(temporary);
      const tensors = new Map<string, StoredTensor>();
      for (const [name, variable] of optimizer.state) tensors.set(name, { dtype: variable.dtype, shape: variable.shape, data: await variable.read() });
      await writeSafetensors(join(temporary, OPTIMIZER), tensors, {});
      await writeJson(join(temporary, STATE), state);
    });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === undefined) throw cause;
    throw new DataError({
      where: `checkpoint ${folder}`,
      expected: "to write it",
      received: code === "ENOSPC" ? "a full disk" : message,
      fix: "free space or choose another --runs folder; a previous checkpoint is still there",
      cause,
    });
  }
}

/** The folder of the newest complete checkpoint, or undefined when there is none. */
export async function findCheckpoint(folder: string): Promise<string | undefined> {
  for (const candidate of folderCandidates(folder)) {
    const info = await stat(join(candidate, STATE)).catch(() => undefined);
    if (info?.isFile()) return candidate;
  }
  return undefined;
}

/**
 * Loads a checkpoint into a model and its optimizer.
 * @throws DataError, CheckpointError or ShapeError when it is damaged or belongs to another model
 */
export async function loadCheckpoint(folder: string, { model, optimizer }: { model: CausalLM; optimizer: SavedState }): Promise<TrainingState> {
  const json = await readJson(join(folder, STATE));
  const { step } = json;
  if (!Number.isSafeInteger(step) || (step as number) < 0) {
    throw new DataError({
      where: join(folder, STATE),
      expected: "a step number",
      received: JSON.stringify(step) ?? "none",
      fix: "delete the run's folder and train again",
    });
  }
  await loadPretrained(model, folder);
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
  for (const [name, variable] of optimizer.state) variable.set((tensors.get(name) as StoredTensor).data);
  return {
    step: step as number,
    validationLoss: typeof json.validationLoss === "number" ? json.validationLoss : null,
    elapsedSeconds: Number(json.elapsedSeconds) || 0,
  };
}
