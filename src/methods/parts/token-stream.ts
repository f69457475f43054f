/**
 * Texts as one stream of tokens, which the run's folder keeps with the tokenizer that was trained for it: the run goes
 * on without the texts.
 */
import { join } from "node:path";
import { OptionError } from "../../base/index.ts";
import { openPrepared, type PreparedData, prepareData, TextCorpus, TokenDataset } from "../../data/index.ts";
import { exists } from "../../files/index.ts";
import { findCheckpoint, foldersToSkip } from "../../train/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { AnyPreparedMethod, MethodContext } from "../method.ts";
import { adapted } from "./adapters.ts";
import { openModel, requireLength } from "./models.ts";
import { withPerplexity } from "./perplexity.ts";
import { type ObjectiveSettings, textTask } from "./text-objectives.ts";
import { previewTexts } from "./text-preview.ts";
import { DEFAULT_VOCABULARY, type TextObjective, type TrainedTokenizer } from "./trained-tokenizer.ts";

/** A config of pretraining. */
export type StreamConfig = SharedConfig & { method: ObjectiveSettings & { objective: TextObjective } };

/** Batches of a measurement, spread evenly over the tokens for validation. */
const EVALUATION_BATCHES = 8;

/**
 * How texts are drawn from a new model unless one says otherwise: small models repeat themselves when they always take
 * the likeliest token.
 */
const drawing = { do_sample: true, temperature: 0.8, top_k: 50 };

/** What a stream is made of. @throws OptionError for settings that it has not */
function requireStream(config: StreamConfig): { text: string; tokenizer: TrainedTokenizer } {
  const { method, data, model, tokenizer } = config;
  const refusal = (field: string, received: unknown, expected: string, fix: string) =>
    new OptionError({
      where: `config, ${field}`,
      expected,
      received: JSON.stringify(received) ?? "none",
      fix: `${fix}, or leave method.textFiles out`,
    });
  const { objective, packing = "concatenate" } = method;
  const { train, validation, validationShare } = data;
  const isNew = typeof model === "object" && "new" in model;
  const hasSize = typeof tokenizer === "object" && tokenizer.train === "char" && tokenizer.vocabSize !== undefined;
  const rules: [isFine: boolean, ...Parameters<typeof refusal>][] = [
    [objective === "causal", "method.objective", objective, "causal with textFiles: stream", "write causal"],
    [packing === "concatenate", "method.packing", packing, "concatenate with textFiles: stream", "leave it out"],
    [validation === undefined, "data.validation", validation, "none: a share of the stream is kept", "leave it out"],
    [validationShare > 0, "data.validationShare", validationShare, "a share above 0 of the stream", "write 0.1"],
    [isNew, "model", model, "a new model for a new tokenizer", "write new: { model_type: gpt2 }"],
    [!hasSize, "tokenizer", tokenizer, "no vocabSize with char", "leave it out"],
  ];
  for (const [isFine, ...parts] of rules) if (!isFine) throw refusal(...parts);
  if (typeof train !== "string")
    throw refusal("data.train", train, "one text file or folder of them with textFiles: stream", "name it");
  if (typeof tokenizer !== "object")
    throw refusal("tokenizer", tokenizer, "one that is trained on the stream", "write train: bpe, or char");
  return { text: train, tokenizer };
}

/**
 * The tokens that the folder keeps, made where they are not there yet.
 * @throws OptionError when the run was begun with another text; DataError for one that is too short or cannot be read
 */
export async function openStream(config: StreamConfig, context: MethodContext): Promise<PreparedData> {
  const { text, tokenizer } = requireStream(config);
  const { folder, isAnew = false, onProgress, onWarning, signal } = context;
  const path = join(folder, "data");
  const isBegun = !isAnew && (await findCheckpoint(join(folder, "checkpoint"))) !== undefined;
  const stored = isBegun ? await openPrepared(path) : undefined;
  if (stored && !(await exists(text))) return stored;
  const skip = [...foldersToSkip(config.output ?? folder, text), folder];
  const corpus = await TextCorpus.open(text, { skip });
  if (stored && stored.fingerprint.corpus !== (await corpus.sha256()))
    throw new OptionError({
      where: text,
      expected: `the text that ${folder} was trained on`,
      received: "another: its content has changed",
      fix: "put the old text back, choose another output, or begin anew with --restart",
    });
  return prepareData(corpus, path, {
    tokenizer: tokenizer.train,
    vocabSize: tokenizer.vocabSize ?? DEFAULT_VOCABULARY,
    contextLength: config.data.maxLength,
    validationFraction: config.data.validationShare,
    onProgress,
    onNote: (note) => onWarning({ where: "data", notes: [note] }),
    signal,
  });
}

/** A new model, and windows of the stream. */
export async function preparedStream(
  config: StreamConfig,
  data: PreparedData,
  context: MethodContext,
): Promise<AnyPreparedMethod> {
  const { tokenizer, trainTokens, validationTokens, fingerprint } = data;
  const { maxLength } = config.data;
  const { batchSize = 16 } = config.training;
  const task = await textTask("causal", config.method, tokenizer);
  const end = tokenizer.endOfTextId; // one text begins where another ends
  const defaults = { ...task.configOf, bos_token_id: end, eos_token_id: end };
  const model = await openModel(config, { task: "causal-lm", defaults }, context);
  requireLength(model, maxLength);
  model.generationConfig = drawing;
  const objective = await adapted(config, { model, tokenizer }, (options) => task.objective(model, options));
  const [train, validation] = await openDatasets(data, config);
  return {
    model,
    tokenizer,
    objective: withPerplexity(objective),
    trainData: train,
    batchesPerEpoch: Math.ceil(train.windows / batchSize),
    validationData: validation.spread(config.evaluation.batches ?? EVALUATION_BATCHES),
    facts: { vocabulary: tokenizer.vocabSize, tokens: trainTokens, "validation tokens": validationTokens },
    fingerprint,
    preview: async (count) => previewTexts(await train.batch(0), tokenizer, { count, isInPlace: false }),
    sample: task.sample?.(model),
    async close() {
      await train.close();
      await validation.close();
    },
  };
}

/** Tokens to train on, and to validate with. */
async function openDatasets(
  { trainPath, validationPath, tokenizer }: PreparedData,
  { data: { maxLength: contextLength }, training: { batchSize = 16, seed } }: SharedConfig,
): Promise<[TokenDataset, TokenDataset]> {
  const options = { contextLength, batchSize, vocabSize: tokenizer.vocabSize, seed };
  const train = await TokenDataset.open(trainPath, options);
  try {
    return [train, await TokenDataset.open(validationPath, options)];
  } catch (error) {
    await train.close();
    throw error;
  }
}
