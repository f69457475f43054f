/** `kindling list`, `show` and `rm`: the models of this machine, runs and what was pulled. */
import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { DataError, KindlingError, OptionError } from "../base/index.ts";
import { cachedRepositories, removeRepository } from "../hub/index.ts";
import { inspectModel } from "../models/index.ts";
import { findCheckpoint, finishedModel, type RunConfig, readRunConfig, removeRun, runFolder } from "../train/index.ts";
import { inspectCommand } from "./inspect.ts";
import { INTERRUPTED } from "./interrupt.ts";
import { trainingOptions } from "./option-names.ts";
import { formatBytes, formatCount, tableOf } from "./terminal.ts";

interface Entry {
  name: string;
  /** "run", or which hub it is of. */
  kind: string;
  folder: string;
  /** Where a model lies that can be opened, or none yet. */
  model: string | undefined;
  remove: () => Promise<void>;
}

/** Runs in their folder, then what the caches of the hubs hold. */
async function entries(runs: string): Promise<Entry[]> {
  const library: Entry[] = [];
  for (const name of (await readdir(runs).catch(() => [])).sort()) {
    const entry = await runEntry(runs, name).catch((error) => {
      if (error instanceof KindlingError) return undefined; // a folder of another kind
      throw error;
    });
    if (entry) library.push(entry);
  }
  for (const source of ["huggingface", "modelscope"] as const) {
    for (const { id, folder, snapshots } of await cachedRepositories({ source })) {
      library.push({
        name: id,
        kind: source,
        folder,
        model: snapshots[0],
        remove: () => removeRepository(id, { source }),
      });
    }
  }
  return library;
}

async function runEntry(runs: string, name: string): Promise<Entry | undefined> {
  const folder = runFolder(runs, name);
  if (!(await readRunConfig(folder))) return undefined;
  const model = (await finishedModel(folder)) ?? (await findCheckpoint(join(folder, "checkpoint")));
  return { name, kind: "run", folder, model, remove: () => removeRun(folder) };
}

/** @throws OptionError for what cannot be a name, DataError where there is none */
async function entryOf(name: string, runs: string): Promise<Entry> {
  const match = (await entries(runs)).find((entry) => entry.name === name);
  if (match) return match;
  if (!name.includes("/")) runFolder(runs, name); // says what is wrong with a name
  throw new DataError({
    where: name,
    expected: `a run in ${runs}, or a pulled repository`,
    received: "none",
    fix: "kindling list shows what there is",
  });
}

/** Bytes of all files, and when the last of them was written. Links are not followed: blobs of a cache count once. */
async function measure(folder: string): Promise<{ bytes: number; changed: Date }> {
  let [bytes, changed] = [0, 0];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const info = await lstat(join(entry.parentPath, entry.name)).catch(() => undefined); // a run may be at work
    bytes += info?.size ?? 0;
    changed = Math.max(changed, info?.mtimeMs ?? 0);
  }
  return { bytes, changed: new Date(changed) };
}

/** "2026-11-26 09:05", of this place. */
function formatTime(time: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${two(time.getHours())}:${two(time.getMinutes())}`;
}

/** How many a model has; null where it has saved none or they cannot be read. */
const parametersOf = async (model: string | undefined): Promise<number | null> =>
  model
    ? inspectModel(model)
        .then(({ parameters }) => parameters)
        .catch(() => null)
    : null;

/** `kindling list`: name, kind, parameters, size and last change. */
export async function listCommand({ runs, json }: { runs: string; json?: boolean }): Promise<void> {
  const library = await entries(runs);
  const rows = await Promise.all(
    library.map(async ({ name, kind, folder, model }) => ({
      name,
      kind,
      parameters: await parametersOf(model),
      folder,
      ...(await measure(folder)),
    })),
  );
  if (json) {
    process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  } else if (rows.length === 0) {
    process.stdout.write(
      `no run in ${runs}, and nothing pulled. First: kindling train --text my.txt, or kindling pull owner/name\n`,
    );
  } else {
    const table = rows.map((row) => [
      row.name,
      row.kind,
      row.parameters === null ? "-" : formatCount(row.parameters),
      formatBytes(row.bytes),
      formatTime(row.changed),
    ]);
    process.stdout.write(tableOf([["name", "kind", "parameters", "size", "changed"], ...table], [2, 3]));
  }
}

/**
 * `kindling show`: what `inspect` says of a model; of a run also the options it was trained with and its last losses.
 */
export async function showCommand(name: string, { runs }: { runs: string }): Promise<void> {
  const { kind, folder, model } = await entryOf(name, runs);
  if (model) await inspectCommand(model, { runs });
  else process.stdout.write(`${folder}: nothing saved yet\n`);
  if (kind !== "run") return;
  const config = (await readRunConfig(folder)) as RunConfig;
  const options = Object.entries(trainingOptions).filter(([name]) => config[name as keyof RunConfig] !== undefined);
  process.stdout.write(
    `\ntrained with  ${options.map(([name, option]) => `${option} ${config[name as keyof RunConfig]}`).join(" ")}\n`,
  );
  const { step, loss, validationLoss } = await lastMetrics(join(folder, "metrics.jsonl"));
  const shown = (value: number | undefined) => value?.toFixed(4) ?? "-";
  process.stdout.write(
    `step          ${step ?? 0} of ${config.steps}: loss ${shown(loss)}, validation loss ${shown(validationLoss)}\n`,
  );
}

/** The last of each number in a file of metrics; nothing where there is none, and a torn line is passed over. */
async function lastMetrics(path: string): Promise<Partial<Record<string, number>>> {
  const text = await readFile(path, "utf8").catch(() => "");
  const last: Record<string, number> = {};
  for (const line of text.split("\n")) {
    try {
      Object.assign(last, JSON.parse(line));
    } catch {} // written halfway
  }
  return last;
}

/** `kindling rm`: removes a run or a pulled model, after asking. */
export async function removeCommand(
  name: string,
  { runs, yes = false }: { runs: string; yes?: boolean },
): Promise<void> {
  const { folder, kind, remove } = await entryOf(name, runs);
  const { bytes } = await measure(folder);
  if (
    !yes &&
    !(await confirm(
      `remove ${kind === "run" ? "the run" : "the pulled model"} ${name} (${folder}, ${formatBytes(bytes)})?`,
    ))
  ) {
    process.stdout.write("nothing is removed\n");
    process.exitCode = INTERRUPTED;
    return;
  }
  await remove();
  process.stdout.write(`removed ${folder}\n`);
}

async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new OptionError({
      where: "rm",
      expected: "--yes, or a terminal in which to ask",
      received: "neither",
      fix: "add --yes",
    });
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } catch {
    return false; // Ctrl-C or Ctrl-D
  } finally {
    terminal.close();
  }
}
