import { readdir, rename, rm, rmdir } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { DataError, OptionError } from "../base/index.ts";
import { commandLine, completeFolder, exists, FolderLock, settleFolder, withWriteErrors } from "../files/index.ts";
import { findCheckpoint } from "./checkpoint.ts";
import { changedOptions, type RunConfig, readRunConfig } from "./run-config.ts";

/** Folders of a run, and all that may lie in them. Nothing else is ever removed. */
const FOLDERS = ["data", "checkpoint", "model", "tensorboard"];
const folderNames = new RegExp(`^(${FOLDERS.join("|")})(\\.tmp|\\.old)?$`);
const topNames = "run\\.json|metrics\\.jsonl|report\\.(html|json)|tracked\\.(csv|jsonl)|(mlflow|wandb)\\.json";
const topFiles = new RegExp(`^(${topNames})(\\.tmp-\\d+)?$`);
const temporaryFile = new RegExp(`^(${topNames})\\.tmp-\\d+$`);
const partFiles =
  /^((config|generation_config|tokenizer|tokenizer_config|training_state|data|model\.safetensors\.index)\.json|(model|model-\d+-of-\d+|optimizer)\.safetensors|(train|validation)\.bin|SHA256SUMS|README\.md|events\.out\.tfevents\.\d+\.kindling)(\.tmp-\d+)?$/;
/** What file managers leave everywhere. */
const litter = /^(\.DS_Store|Thumbs\.db|desktop\.ini)$/;

/** Where `--restart` keeps the earlier run until the new one has saved. */
const asideOf = (folder: string) => `${folder}.before-restart`;
/** Where `--restart` prepares the new run. */
const stagingOf = (folder: string) => `${folder}.restart.tmp`;

const fileSystemEntries = (folder: string) => readdir(folder, { withFileTypes: true }).catch(() => []);

/** A path in the folder that is no part of a run, or undefined. */
async function foreignEntry(folder: string): Promise<string | undefined> {
  for (const entry of await fileSystemEntries(folder)) {
    if (litter.test(entry.name) || (entry.isFile() && topFiles.test(entry.name))) continue;
    if (!entry.isDirectory() || !folderNames.test(entry.name)) return entry.name;
    const parts = await fileSystemEntries(join(folder, entry.name));
    const foreign = parts.find((part) => !part.isFile() || !(partFiles.test(part.name) || litter.test(part.name)));
    if (foreign) return join(entry.name, foreign.name);
  }
  return undefined;
}

/** @throws DataError when a folder that is to be removed holds anything that no run writes */
async function requireOnlyRun(folder: string): Promise<void> {
  const foreign = await foreignEntry(folder);
  if (foreign === undefined) return;
  throw new DataError({
    where: folder,
    expected: "nothing but the files of a run, before it is removed",
    received: `${foreign}, which Kindling did not write`,
    fix: "move it elsewhere, or choose another --name",
  });
}

/**
 * Removes the files of a run, and the folder. @throws DataError, before anything is removed, when there are others;
 * WriteError
 */
async function removeFolder(folder: string): Promise<void> {
  if (!(await exists(folder))) return;
  await requireOnlyRun(folder);
  await withWriteErrors(folder, async () => {
    for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true });
    await rmdir(folder);
  });
}

/**
 * Removes a run for good: its folder, and what a restart left beside it.
 * @throws DataError when the folder is not a run's, holds other files, or is in use; nothing is removed then
 */
export async function removeRun(folder: string): Promise<void> {
  if (!(await readRunConfig(folder))) {
    throw new DataError({
      where: folder,
      expected: "the folder of a run",
      received: "one without run.json",
      fix: "check the name: kindling list",
    });
  }
  const lock = await FolderLock.acquire(folder);
  try {
    const folders = [stagingOf(folder), asideOf(folder), folder];
    for (const each of folders) await requireOnlyRun(each);
    for (const each of folders) await removeFolder(each);
  } finally {
    await lock.release();
  }
}

/** Where a finished run keeps its model, or undefined when it has none. */
export async function finishedModel(folder: string): Promise<string | undefined> {
  const path = await completeFolder(join(folder, "model"));
  const files = ["config.json", "model.safetensors", "tokenizer.json"];
  return path && (await Promise.all(files.map((name) => exists(join(path, name))))).every(Boolean) ? path : undefined;
}

const hasTrained = async (folder: string) =>
  Boolean((await findCheckpoint(join(folder, "checkpoint"))) ?? (await finishedModel(folder)));

/**
 * Puts right what a killed process left in a run's folder and beside it. At each moment of a restart one of the two
 * runs is whole: the earlier one at its place or aside, the new one once it is at its place.
 */
export async function settleRun(folder: string): Promise<void> {
  const aside = asideOf(folder);
  await removeFolder(stagingOf(folder));
  // the new run had not taken its place
  if (!(await exists(folder)) && (await exists(aside))) await withWriteErrors(folder, () => rename(aside, folder));
  if (!(await readRunConfig(folder))) return;
  for (const name of FOLDERS) await settleFolder(join(folder, name));
  for (const name of await readdir(folder))
    if (temporaryFile.test(name)) await withWriteErrors(folder, () => rm(join(folder, name)));
  if (await hasTrained(folder)) await forgetEarlier(folder);
}

/**
 * Begins a run anew: `prepare` fills a folder beside it, which then takes the place of the earlier run. That stays
 * aside until `forgetEarlier`.
 * @throws OptionError, DataError when the folder is not a run's own or the text lies in it, and what `prepare` throws;
 *   all is as it was then
 */
export async function beginAnew(
  folder: string,
  text: string,
  prepare: (staging: string) => Promise<unknown>,
): Promise<void> {
  if (isInside(folder, text)) {
    throw new OptionError({
      where: "--restart",
      expected: "a text outside of the run",
      received: text,
      fix: "move the text elsewhere",
    });
  }
  await requireOnlyRun(folder);
  if (await hasTrained(folder)) await requireOnlyRun(asideOf(folder)); // its place is needed
  try {
    await prepare(stagingOf(folder));
  } catch (error) {
    await removeFolder(stagingOf(folder)).catch(() => {}); // the first error is the one to report
    throw error;
  }
  await withWriteErrors(folder, async () => {
    if (!(await exists(asideOf(folder)))) await rename(folder, asideOf(folder));
    else await removeFolder(folder); // it was begun anew and never saved; what waits aside has more to lose
    await rename(stagingOf(folder), folder);
  });
}

/** Removes what a run wrote that was new and failed before it began: it is no run. */
export async function forgetUnbegun(folder: string): Promise<void> {
  // the error that ended it is the one to report
  if (!(await hasTrained(folder))) await removeFolder(folder).catch(() => {});
}

/** Whether a path lies in a folder, or is it. */
function isInside(folder: string, path: string): boolean {
  const way = relative(resolve(folder), resolve(path));
  return way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/** Folders inside of a text folder that are no text: this run, and others beside it. */
export function foldersToSkip(folder: string, text: string): string[] {
  const runs = dirname(resolve(folder));
  if (runs !== resolve(text) && isInside(text, runs)) return [runs];
  return [folder, asideOf(folder), stagingOf(folder), `${folder}.lock`];
}

/**
 * Removes the run from before a restart, now that the new one has saved. What else somebody put there keeps it; gives a
 * note then.
 */
export async function forgetEarlier(folder: string): Promise<string | undefined> {
  const foreign = await foreignEntry(asideOf(folder));
  if (foreign !== undefined) return `${asideOf(folder)} is kept, for ${foreign} in it is none of Kindling's`;
  await removeFolder(asideOf(folder));
  return undefined;
}

/**
 * Checks that a run with these options may be trained in the folder: a new or empty one, or one that was started with
 * the same options.
 * @throws OptionError, DataError
 */
export async function claimFolder(folder: string, config: RunConfig): Promise<void> {
  const stored = await readRunConfig(folder);
  if (!stored) {
    const foreign = (await fileSystemEntries(folder)).find(({ name }) => !litter.test(name) && !topFiles.test(name));
    if (!foreign) return;
    const received = `a folder with ${foreign.name}`;
    throw new OptionError({
      where: folder,
      expected: "an empty folder or one of a run",
      received,
      fix: "choose another --name",
    });
  }
  if (!(await hasTrained(folder))) return;
  const changed = changedOptions(stored, config);
  const fix = "choose another --name, or --restart to begin anew";
  if (changed.length > 0)
    throw new OptionError({
      where: folder,
      expected: "the options this run was started with",
      received: changed.join(", "),
      fix,
    });
  if (!(await findCheckpoint(join(folder, "checkpoint")))) {
    throw new DataError({ where: folder, expected: "a checkpoint beside the finished model", received: "none", fix });
  }
}

/** @throws OptionError: the text is not the one that the run was trained on */
export function refuseOtherText(folder: string, text: string): never {
  const runs = dirname(folder);
  const place = runs === "runs" ? [] : ["--runs", runs];
  throw new OptionError({
    where: text,
    expected: `the text that ${folder} was trained on`,
    received: "another: its content has changed",
    fix: `to go on with the old text: ${commandLine("kindling", "train", "--name", basename(folder), ...place, "--stored-text")}. To begin anew with this one: --restart instead, or choose another --name`,
  });
}
