import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type PreparedData, prepareData, TextCorpus, TokenDataset, type TokenizerKind } from "../data/index.ts";
import { readJson, writeJson } from "../files/index.ts";
import { checkOptions, type FloatDType, OptionError } from "../ir/index.ts";
import { GPT2LMHeadModel, savePretrained } from "../models/index.ts";
import { AdamW, cosineSchedule } from "../optim/index.ts";
import { randomKey } from "../tensor/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import { findCheckpoint } from "./checkpoint.ts";
import { type TrainEvent, train } from "./trainer.ts";

/** Everything that decides what a run computes; kept in run.json. */
export interface RunConfig {
  /** File or folder of UTF-8 text. */
  text: string;
  tokenizer: TokenizerKind;
  /** Tokens of the BPE vocabulary. */
  vocabSize: number;
  contextLength: number;
  hiddenSize: number;
  numLayers: number;
  numHeads: number;
  dropout: number;
  batchSize: number;
  steps: number;
  /** Training ends after this many seconds, whatever the steps. 0: no limit. */
  maxSeconds: number;
  learningRate: number;
  warmupSteps: number;
  weightDecay: number;
  clipNorm: number;
  /** Dtype of products; weights and optimizer state stay in f32. */
  precision: FloatDType;
  seed: number;
  evaluationInterval: number;
  checkpointInterval: number;
}

/** A small GPT that learns from a book in minutes on two cores. */
export const defaultRunConfig: Omit<RunConfig, "text"> = {
  tokenizer: "bpe",
  vocabSize: 1024,
  contextLength: 128,
  hiddenSize: 192,
  numLayers: 4,
  numHeads: 6,
  dropout: 0,
  batchSize: 12,
  steps: 2000,
  maxSeconds: 0,
  learningRate: 2e-3,
  warmupSteps: 100,
  weightDecay: 0.1,
  clipNorm: 1,
  precision: "f32",
  seed: 1337,
  evaluationInterval: 100,
  checkpointInterval: 500,
};

export type RunEvent = TrainEvent | { type: "ready"; parameters: number; trainTokens: number; vocabSize: number } | { type: "saved"; path: string };

export interface RunHooks {
  signal?: AbortSignal;
  onPreparing?: (stage: string, fraction: number) => void;
}

const CONFIG_FILE = "run.json";

/** The config of a run that was started in this folder, or undefined. */
export async function readRunConfig(folder: string): Promise<RunConfig | undefined> {
  const exists = await stat(join(folder, CONFIG_FILE)).catch(() => undefined);
  return exists ? ((await readJson(join(folder, CONFIG_FILE))) as unknown as RunConfig) : undefined;
}

/** Where a finished run keeps its model, or undefined when it has none. */
export async function finishedModel(folder: string): Promise<string | undefined> {
  const path = join(folder, "model");
  const info = await stat(join(path, "model.safetensors")).catch(() => undefined);
  return info ? path : undefined;
}

/** Checks ranges. @throws OptionError naming the option */
export function checkRunConfig(config: RunConfig): void {
  checkOptions("train", config, ["text", ...Object.keys(defaultRunConfig)]);
  const require = (isFine: boolean, expected: string, received: unknown, fix = "correct the option") => {
    if (!isFine) throw new OptionError({ where: "train", expected, received: String(received), fix });
  };
  for (const name of [
    "vocabSize",
    "contextLength",
    "hiddenSize",
    "numLayers",
    "numHeads",
    "batchSize",
    "steps",
    "evaluationInterval",
    "checkpointInterval",
  ] as const) {
    require(Number.isInteger(config[name]) && config[name] > 0, `${name} to be a positive integer`, config[name]);
  }
  for (const name of ["learningRate", "clipNorm"] as const) require(config[name] > 0, `${name} above 0`, config[name]);
  for (const name of ["warmupSteps", "weightDecay", "maxSeconds"] as const) require(config[name] >= 0, `${name} of at least 0`, config[name]);
  require(config.dropout >= 0 && config.dropout < 1, "dropout from 0 to below 1", config.dropout);
  require(config.tokenizer === "bpe" || config.tokenizer === "char", "tokenizer to be bpe or char", config.tokenizer);
  require(["f32", "bf16", "f16"].includes(config.precision), "precision to be f32, bf16 or f16", config.precision);
  const near = Math.ceil(config.hiddenSize / config.numHeads) * config.numHeads;
  require(config.hiddenSize % config.numHeads ===
    0, "hiddenSize to be a multiple of numHeads", `${config.hiddenSize} and ${config.numHeads}`, `use --width ${near}`);
}

/** Options that may change when a run is resumed. */
const changeable = new Set(["steps", "maxSeconds", "evaluationInterval", "checkpointInterval"]);

/**
 * A whole training run in one folder: prepares the data, trains or resumes, and saves the model to folder/model in Hugging
 * Face layout. Writes run.json, metrics.jsonl, data/, checkpoint/ and model/.
 * @throws OptionError when the folder belongs to a run with other options; DataError for unusable text; DivergedError
 */
export async function* runTraining(folder: string, config: RunConfig, hooks: RunHooks = {}): AsyncGenerator<RunEvent, void, void> {
  checkRunConfig(config);
  const corpus = await TextCorpus.open(config.text);
  await claimFolder(folder, config);
  const data = await prepareData(corpus, join(folder, "data"), { ...config, onProgress: hooks.onPreparing, signal: hooks.signal });
  await writeJson(join(folder, CONFIG_FILE), config);
  const { model, optimizer } = buildModel(config, data.tokenizer);
  yield { type: "ready", parameters: model.parameterCount(), trainTokens: data.trainTokens, vocabSize: data.tokenizer.vocabSize };
  const datasets = await openDatasets(data, config);
  let isComplete = false;
  try {
    const { warmupSteps, steps, learningRate, batchSize, contextLength, clipNorm, precision, seed } = config;
    const { evaluationInterval, checkpointInterval } = config;
    const events = train({
      ...{ steps, batchSize, contextLength, clipNorm, precision, seed, evaluationInterval, checkpointInterval },
      ...datasets,
      model,
      optimizer,
      folder,
      tokenizer: data.tokenizer,
      schedule: cosineSchedule({ learningRate, warmupSteps: Math.min(warmupSteps, steps), totalSteps: steps }),
      maxSeconds: config.maxSeconds || undefined,
      signal: hooks.signal,
    });
    for await (const event of events) {
      if (event.type === "finished") isComplete = event.reason !== "aborted";
      yield event;
    }
    if (isComplete) {
      const path = join(folder, "model");
      await savePretrained(model, path);
      await data.tokenizer.save(path);
      yield { type: "saved", path };
    }
  } finally {
    await datasets.trainData.close();
    await datasets.validationData.close();
    model.dispose();
    for (const variable of optimizer.state.values()) variable.dispose();
  }
}

async function claimFolder(folder: string, config: RunConfig): Promise<void> {
  const stored = await readRunConfig(folder);
  if (!stored) {
    const entries = await readdir(folder).catch(() => []);
    const foreign = entries.filter((entry) => !["data", "run.json"].includes(entry));
    if (foreign.length === 0) return;
    throw new OptionError({
      where: folder,
      expected: "an empty folder or one of a run",
      received: `a folder with ${foreign[0]}`,
      fix: "choose another --name",
    });
  }
  const earlier: RunConfig = { ...defaultRunConfig, ...stored }; // options that were added since
  const changed = (Object.keys(config) as (keyof RunConfig)[]).filter((key) => !changeable.has(key) && earlier[key] !== config[key]);
  if (changed.length === 0) return;
  if (!(await findCheckpoint(join(folder, "checkpoint")))) {
    await rm(join(folder, "data"), { recursive: true, force: true }); // nothing was trained yet
    return;
  }
  throw new OptionError({
    where: folder,
    expected: "the options this run was started with",
    received: changed.map((key) => `${key} ${config[key]} instead of ${earlier[key]}`).join(", "),
    fix: "choose another --name, or --restart to begin anew",
  });
}

/** How texts are drawn from a model unless one says otherwise: small models repeat themselves when they always take the likeliest token. */
const drawing = { do_sample: true, temperature: 0.8, top_k: 50 };

function buildModel(config: RunConfig, tokenizer: Tokenizer) {
  const { hiddenSize, numLayers, numHeads, contextLength, dropout, seed, weightDecay } = config;
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
  const optimizer = new AdamW(model.namedParameters(), { betas: [0.9, 0.95], weightDecay });
  return { model, optimizer };
}

async function openDatasets({ trainPath, validationPath, tokenizer }: PreparedData, { contextLength, seed }: RunConfig) {
  const options = { contextLength, vocabSize: tokenizer.vocabSize, seed };
  const trainData = await TokenDataset.open(trainPath, options);
  return { trainData, validationData: await TokenDataset.open(validationPath, options) };
}
