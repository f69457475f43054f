import { basename, dirname, join } from "node:path";
import { OptionError } from "../base/index.ts";
import { openPrepared, type PreparedData, prepareData, TextCorpus } from "../data/index.ts";
import { commandLine, exists, FolderLock, writeJson } from "../files/index.ts";
import { findCheckpoint } from "./checkpoint.ts";
import { CONFIG_FILE, checkRunConfig, type RunConfig, readRunConfig } from "./run-config.ts";
import {
  beginAnew,
  claimFolder,
  foldersToSkip,
  forgetEarlier,
  forgetUnbegun,
  refuseOtherText,
  settleRun,
} from "./run-folder.ts";

/** What is said of a run besides what its training says. */
export type RunNote = { type: "note"; text: string };

/** How a run is prepared, and what becomes of one that is there already. */
export interface RunHooks {
  /** Ends the preparation at once. */
  signal?: AbortSignal;
  /**
   * Called while the data is prepared, with what is being done, in words, and the share of it that is done, 0 to 1.
   */
  onPreparing?: (stage: string, fraction: number) => void;
  /**
   * Begin anew where there is a run already. It is moved aside when everything is checked and the new data is prepared,
   * and removed when the new run has saved its first checkpoint. @default false
   */
  restart?: boolean;
  /**
   * Go on with the tokens that the run stored, whatever has become of the text that they were made of. @default false
   */
  storedText?: boolean;
}

/** Trains what a folder has prepared. Its "checkpoint" events tell that the earlier run of a restart can go. */
export type TrainPrepared<E> = (config: RunConfig, data: PreparedData) => AsyncIterable<E>;

/**
 * A whole training run on a text in one folder: prepares the data, and has it trained or gone on with. Writes run.json
 * and data/; a kill at any moment leaves what the next call goes on from.
 * @throws OptionError when the folder belongs to a run with other options or another text; DataError for unusable text,
 *   a damaged checkpoint, and a folder that another process trains in; WriteError when the disk is full; what `train`
 *   throws
 */
export async function* trainInFolder<E extends { type: string }>(
  folder: string,
  config: RunConfig,
  { train, ...hooks }: RunHooks & { train: TrainPrepared<E> },
): AsyncGenerator<E | RunNote, void, void> {
  checkRunConfig(config);
  const isNew = !(await exists(folder));
  const corpus = config.text === undefined ? undefined : await openText(folder, config.text);
  const lock = await FolderLock.acquire(folder);
  try {
    const prepared = await prepareLocked(folder, config, corpus, { ...hooks, isNew });
    for (const text of new Set(prepared.notes)) yield { type: "note", text };
    for await (const event of train(prepared.config, prepared.data)) {
      yield event;
      const text = event.type === "checkpoint" ? await forgetEarlier(folder) : undefined;
      if (text) yield { type: "note", text };
    }
  } finally {
    await lock.release();
  }
}

const openText = (folder: string, text: string) => TextCorpus.open(text, { skip: foldersToSkip(folder, text) });

/** The run of the folder, ready to be trained: as it was begun, or anew. */
async function prepareLocked(
  folder: string,
  asked: RunConfig,
  askedCorpus: TextCorpus | undefined,
  hooks: RunHooks & { isNew: boolean },
): Promise<{ config: RunConfig; data: PreparedData; notes: readonly string[] }> {
  await settleRun(folder);
  const stored = await readRunConfig(folder);
  const isRestart = hooks.restart === true && stored !== undefined;
  if (!isRestart) await claimFolder(folder, asked);
  const config = { ...asked, text: asked.text ?? stored?.text };
  const corpus = askedCorpus ?? (hooks.storedText ? undefined : await corpusOfRun(folder, config.text, isRestart));
  const notes: string[] = [];
  if (isRestart) {
    await beginAnew(folder, requireText(folder, config, corpus), (staging) =>
      prepareRun(staging, config, corpus, { ...hooks, notes }),
    );
  }
  const data = await prepareRun(folder, config, corpus, { ...hooks, notes }).catch(async (error) => {
    if (hooks.isNew) await forgetUnbegun(folder);
    throw error;
  });
  return { config, data, notes };
}

/** The text that a run was begun with, where it still is. One that can no longer be read has changed. */
async function corpusOfRun(
  folder: string,
  text: string | undefined,
  isRestart: boolean,
): Promise<TextCorpus | undefined> {
  if (text === undefined || !(await exists(text))) return undefined;
  return openText(folder, text).catch((error) => (isRestart ? Promise.reject(error) : refuseOtherText(folder, text)));
}

/** @throws OptionError where there is no text to begin with */
function requireText(folder: string, { text }: RunConfig, corpus: TextCorpus | undefined): string {
  if (text !== undefined && corpus) return text;
  const received =
    text === undefined
      ? "none, and no run that has one"
      : `none, and ${text}, with which the run was begun, is not there any more`;
  const runs = dirname(folder) === "runs" ? [] : ["--runs", dirname(folder)];
  const fix = `give --text: ${commandLine("kindling", "train", "--name", basename(folder), ...runs, "--restart", "--text", "my.txt")}`;
  throw new OptionError({ where: "--restart", expected: "a text", received, fix });
}

/**
 * Writes run.json and, where it is not there yet, data/. @throws OptionError when the run was trained on another text
 */
async function prepareRun(
  folder: string,
  config: RunConfig,
  corpus: TextCorpus | undefined,
  hooks: RunHooks & { notes: string[] },
): Promise<PreparedData> {
  const path = join(folder, "data");
  const canGoOn = (await findCheckpoint(join(folder, "checkpoint"))) !== undefined;
  const earlier = canGoOn || !corpus ? await openPrepared(path) : undefined;
  if (canGoOn && earlier && corpus && earlier.fingerprint.corpus !== (await corpus.sha256()))
    refuseOtherText(folder, config.text as string);
  await writeJson(join(folder, CONFIG_FILE), config); // first, so that the folder is known for a run's from now on
  if (earlier) return earlier;
  if (!corpus)
    throw new OptionError({
      where: folder,
      expected: "a text",
      received: "none, and no run that has one",
      fix: "give --text",
    });
  const { onPreparing: onProgress, signal, notes } = hooks;
  const { tokenizer, vocabSize, contextLength } = config;
  const sizes = { tokenizer, vocabSize, contextLength };
  return prepareData(corpus, path, { ...sizes, onProgress, onNote: (note) => notes.push(note), signal });
}
