/** Training on a text of one's own, by few options: a preset of pretraining. */
import { basename, join } from "node:path";
import type { PreparedData } from "../../data/index.ts";
import { type RunConfig, type RunHooks, type RunNote, trainInFolder } from "../../train/index.ts";
import { resolveConfig } from "../config/read.ts";
import { preparedStream, type StreamConfig } from "../parts/token-stream.ts";
import { assemble } from "../plan.ts";
import { pretrain } from "../pretrain.ts";
import { type MethodEvent, type MethodRunOptions, trainPrepared } from "../run.ts";

/** What happens in a run: its training's events, and notes for the reader. */
export type TextRunEvent = MethodEvent | RunNote;

/** How a run is watched and ended, and what becomes of one that is there already. */
export interface TextRunHooks extends RunHooks, Pick<MethodRunOptions, "cancelSignal"> {
  /** Stops after the step under way, with a checkpoint; before training begins, at once. */
  signal?: AbortSignal;
}

/** The config of pretraining that the options of a run stand for: a GPT-2 of their sizes, on one stream of tokens. */
export function presetOf(config: RunConfig, folder: string): Record<string, unknown> {
  const { contextLength, hiddenSize, numLayers, numHeads, dropout } = config;
  const { steps, batchSize, precision, clipNorm, seed, maxSeconds } = config;
  return {
    method: { name: pretrain.name, textFiles: "stream" },
    output: folder,
    model: {
      new: {
        ...{ model_type: "gpt2", n_positions: contextLength, n_embd: hiddenSize, n_layer: numLayers, n_head: numHeads },
        ...{ embd_pdrop: dropout, attn_pdrop: dropout, resid_pdrop: dropout },
      },
    },
    tokenizer: config.tokenizer === "bpe" ? { train: "bpe", vocabSize: config.vocabSize } : { train: "char" },
    data: { train: config.text ?? join(folder, "data"), validationShare: 0.1, maxLength: contextLength },
    optimizer: { learningRate: config.learningRate, weightDecay: config.weightDecay, betas: [0.9, 0.95] },
    schedule: { name: "cosine", warmupSteps: config.warmupSteps },
    training: { steps, batchSize, precision, clipNorm, seed, ...(maxSeconds > 0 && { maxSeconds }) },
    evaluation: { interval: config.evaluationInterval },
    checkpoints: { interval: config.checkpointInterval, keepBest: false },
  };
}

/**
 * A whole training run on a text, in one folder: prepares the data, trains or goes on, and saves the model to
 * folder/model in Hugging Face layout. Writes run.json, metrics.jsonl, data/, checkpoint/ and model/. A kill at any
 * moment leaves what the next call goes on from.
 * @throws OptionError when the folder belongs to a run with other options or another text; DataError for unusable text,
 *   a damaged checkpoint, and a folder that another process trains in; WriteError when the disk is full; DivergedError
 */
export function runTraining(
  folder: string,
  config: RunConfig,
  hooks: TextRunHooks = {},
): AsyncGenerator<TextRunEvent, void, void> {
  const { cancelSignal, ...preparing } = hooks;
  const train = (settled: RunConfig, data: PreparedData) => trainText(folder, settled, data, hooks);
  return trainInFolder<TextRunEvent>(folder, config, { ...preparing, train });
}

async function* trainText(
  folder: string,
  config: RunConfig,
  data: PreparedData,
  { signal, cancelSignal }: TextRunHooks,
): AsyncGenerator<TextRunEvent, void, void> {
  const methods = new Map([[pretrain.name, pretrain]]);
  const resolved = await resolveConfig(presetOf(config, folder), {
    ...{ methods, where: "train", folder: ".", name: basename(folder) },
  });
  const notes: string[] = [];
  const onWarning = (warning: { notes: readonly string[] }) => void notes.push(...warning.notes);
  const prepared = await preparedStream(resolved.config as typeof resolved.config & StreamConfig, data, {
    folder,
    signal,
    onWarning,
  });
  try {
    for (const text of notes) yield { type: "note", text };
    const assembled = assemble(resolved.config, prepared);
    try {
      yield* trainPrepared(resolved, prepared, assembled, { signal, cancelSignal, onWarning });
    } finally {
      for (const variable of assembled.optimizer.state.values()) variable.dispose();
    }
  } finally {
    await prepared.close();
    prepared.model.dispose();
  }
}
