import { basename, dirname, join } from "node:path";
import { OptionError } from "../base/index.ts";
import { openPrepared, type PreparedData, prepareData, TextCorpus, TokenDataset } from "../data/index.ts";
import { commandLine, exists, FolderLock, writeJson } from "../files/index.ts";
import { GPT2LMHeadModel } from "../models/index.ts";
import { AdamW, cosineSchedule } from "../optim/index.ts";
import { randomKey } from "../tensor/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import { findCheckpoint } from "./checkpoint.ts";
import type { TrainEvent } from "./events.ts";
import { writeModelFolder } from "./model-folder.ts";
import { languageModel } from "./objectives/language-model.ts";
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
import { train } from "./trainer.ts";

/**
 * What happens in a run: its training's events; before them what it trains on, and notes for the reader; and where
 * the model was saved.
 */
export type RunEvent =
  | TrainEvent
  | { type: "ready"; parameters: number; trainTokens: number; vocabSize: number }
  | { type: "note"; text: string }
  | { type: "saved"; path: string };

/** How a run is watched and ended, and what becomes of one that is there already. */
export interface RunHooks {
  /** Stops after the step under way, with a checkpoint; before training begins, at once. */
  signal?: AbortSignal;
  /** See TrainOptions. */
  cancelSignal?: AbortSignal;
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

/**
 * A whole training run in one folder: prepares the data, trains or resumes, and saves the model to folder/model in
 * Hugging Face layout. Writes run.json, metrics.jsonl, data/, checkpoint/ and model/. A kill at any moment leaves what
 * the next call goes on from.
 * @throws OptionError when the folder belongs to a run with other options or another text; DataError for unusable text,
 *   a damaged checkpoint, and a folder that another process trains in; WriteError when the disk is full; DivergedError
 */
export async function* runTraining(
  folder: string,
  config: RunConfig,
  hooks: RunHooks = {},
): AsyncGenerator<RunEvent, void, void> {
  checkRunConfig(config);
  const isNew = !(await exists(folder));
  const corpus = config.text === undefined ? undefined : await openText(folder, config.text);
  const lock = await FolderLock.acquire(folder);
  try {
    yield* runLocked(folder, config, corpus, { ...hooks, isNew });
  } finally {
    await lock.release();
  }
}

const openText = (folder: string, text: string) => TextCorpus.open(text, { skip: foldersToSkip(folder, text) });

async function* runLocked(
  folder: string,
  asked: RunConfig,
  askedCorpus: TextCorpus | undefined,
  hooks: RunHooks & { isNew: boolean },
): AsyncGenerator<RunEvent, void, void> {
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
  for (const text of new Set(notes)) yield { type: "note", text };
  yield* trainPrepared(folder, config, data, hooks);
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

/** Batches of a measurement of the validation loss. */
const EVALUATION_BATCHES = 8;

async function* trainPrepared(
  folder: string,
  config: RunConfig,
  data: PreparedData,
  { signal, cancelSignal }: RunHooks,
): AsyncGenerator<RunEvent, void, void> {
  const model = buildModel(config, data.tokenizer);
  const objective = languageModel(model, { tokenizer: data.tokenizer });
  const optimizer = new AdamW(objective.trained, { betas: [0.9, 0.95], weightDecay: config.weightDecay });
  const [trainData, validationData] = await openDatasets(data, config);
  try {
    yield {
      type: "ready",
      parameters: model.parameterCount(),
      trainTokens: data.trainTokens,
      vocabSize: data.tokenizer.vocabSize,
    };
    const { warmupSteps, steps, learningRate, clipNorm, precision, seed } = config;
    const { evaluationInterval, checkpointInterval } = config;
    const events = train({
      ...{ steps, clipNorm, precision, seed, evaluationInterval, checkpointInterval },
      objective,
      optimizer,
      trainData,
      validationData: validationData.spread(EVALUATION_BATCHES),
      folder,
      fingerprint: data.fingerprint,
      schedule: cosineSchedule({ learningRate, warmupSteps: Math.min(warmupSteps, steps), totalSteps: steps }),
      maxSeconds: config.maxSeconds || undefined,
      signal,
      cancelSignal,
    });
    let isComplete = false;
    for await (const event of events) {
      if (event.type === "finished") isComplete = event.reason !== "aborted";
      yield event;
      const note = event.type === "checkpoint" ? await forgetEarlier(folder) : undefined;
      if (note) yield { type: "note", text: note };
    }
    if (isComplete)
      yield { type: "saved", path: await writeModelFolder(folder, (temporary) => objective.save(temporary)) };
  } finally {
    await trainData.close();
    await validationData.close();
    model.dispose();
    for (const variable of optimizer.state.values()) variable.dispose();
  }
}

/**
 * How texts are drawn from a model unless one says otherwise: small models repeat themselves when they always take the
 * likeliest token.
 */
const drawing = { do_sample: true, temperature: 0.8, top_k: 50 };

function buildModel(config: RunConfig, tokenizer: Tokenizer): GPT2LMHeadModel {
  const { hiddenSize, numLayers, numHeads, contextLength, dropout, seed } = config;
  const endId = tokenizer.endOfTextId;
  const model = new GPT2LMHeadModel(
    {
      vocabSize: tokenizer.vocabSize,
      maxPositionEmbeddings: contextLength,
      hiddenSize,
      numLayers,
      numHeads,
      embeddingDropout: dropout,
      attentionDropout: dropout,
      residualDropout: dropout,
      bosTokenId: endId,
      eosTokenId: endId,
    },
    randomKey(seed),
  );
  model.generationConfig = drawing;
  return model;
}

/** Tokens to train on, and to validate with. */
async function openDatasets(
  { trainPath, validationPath, tokenizer }: PreparedData,
  { contextLength, batchSize, seed }: RunConfig,
): Promise<[TokenDataset, TokenDataset]> {
  const options = { contextLength, batchSize, vocabSize: tokenizer.vocabSize, seed };
  return [await TokenDataset.open(trainPath, options), await TokenDataset.open(validationPath, options)];
}
