/** The objectives of pretraining: the model, the loss and the batches of each. */
import { OptionError } from "../../base/index.ts";
import type { CausalLM, MaskedLM, PretrainedModel, Seq2SeqLM } from "../../models/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import {
  type LanguageModelBatch,
  languageModel,
  type Objective,
  type SupervisedOptions,
  supervised,
} from "../../train/index.ts";
import type { PreparedMethod } from "../method.ts";
import { padIdOf, sampler } from "./causal.ts";
import {
  causalBatches,
  type MaskedBatch,
  maskedBatches,
  type TextBatches,
  type TextBatchOptions,
} from "./pretraining-batches.ts";
import { type SpanBatch, sentinelsOf, spanBatches } from "./span-batches.ts";
import type { AroundDocuments, MeasuredDocuments } from "./text-tokens.ts";
import type { TextObjective } from "./trained-tokenizer.ts";
import { wordNumbers } from "./words-of-tokens.ts";

/** What each objective may set. */
export interface ObjectiveSettings {
  packing?: "documents" | "concatenate" | "none";
  lossChunk?: number;
  maskProbability?: number;
  wholeWords?: boolean;
  noiseDensity?: number;
  meanSpanLength?: number;
}

/** What an objective makes of a tokenizer and a model. */
export interface TextTask<B> {
  task: "causal-lm" | "masked-lm" | "seq2seq-lm";
  /** How texts share a row unless one says otherwise. */
  packing: NonNullable<ObjectiveSettings["packing"]>;
  /** What stands around each document. */
  around: AroundDocuments;
  /** What config.json of a new model has of the tokenizer. */
  configOf: Readonly<Record<string, unknown>>;
  padId: number;
  objective(model: PretrainedModel, options: SupervisedOptions): Objective<B>;
  batches(documents: MeasuredDocuments, options: TextBatchOptions): TextBatches<B>;
  /** Whether bits of a byte can be told: each token is asked for once. */
  hasBits: boolean;
  sample?(model: PretrainedModel): PreparedMethod<B>["sample"];
}

const ownSettings: Readonly<Record<TextObjective, readonly (keyof ObjectiveSettings)[]>> = {
  causal: ["packing", "lossChunk"],
  masked: ["packing", "maskProbability", "wholeWords"],
  "span-corruption": ["packing", "noiseDensity", "meanSpanLength"],
};

/**
 * Checks that settings are the objective's own.
 * @throws OptionError for a setting of another objective, and for texts that share a row where a model cannot part them
 */
export function requireSettings(objective: TextObjective, settings: ObjectiveSettings): void {
  const known: readonly string[] = ownSettings[objective];
  const names = Object.values(ownSettings).flat();
  for (const name of new Set(names)) {
    if (settings[name] === undefined || known.includes(name)) continue;
    throw new OptionError({
      where: `config, method.${name}`,
      expected: `a setting of ${objective}: ${known.join(", ")}`,
      received: name,
      fix: "leave it out",
    });
  }
  if (objective === "causal" || settings.packing !== "documents") return;
  throw new OptionError({
    where: "config, method.packing",
    expected: `concatenate or none with ${objective}: such models have no mask between the texts of a row`,
    received: "documents",
    fix: "choose one of them; none is the default",
  });
}

/** What stands around a text by the tokenizer itself. */
async function aroundText(tokenizer: Tokenizer): Promise<AroundDocuments> {
  const { ids, specialTokensMask } = await tokenizer.encodeText("a");
  const first = specialTokensMask.indexOf(0);
  const last = specialTokensMask.lastIndexOf(0);
  return first < 0 ? { before: [], after: [] } : { before: ids.slice(0, first), after: ids.slice(last + 1) };
}

/** What an objective needs of a tokenizer. @throws OptionError for a tokenizer without the special tokens for it */
export async function textTask(
  objective: TextObjective,
  settings: ObjectiveSettings,
  tokenizer: Tokenizer,
  // biome-ignore lint/suspicious/noExplicitAny: what a batch is, is between an objective's source and its loss
): Promise<TextTask<any>> {
  requireSettings(objective, settings);
  const common = { vocab_size: tokenizer.vocabSize, ...idsOf(tokenizer) };
  if (objective === "causal") return causalTask(settings, tokenizer, common);
  return objective === "masked" ? maskedTask(settings, tokenizer, common) : spanTask(settings, tokenizer, common);
}

/** Ids of special tokens, by their keys in config.json. */
function idsOf(tokenizer: Tokenizer): Record<string, number> {
  const { bos, eos, pad } = tokenizer.special;
  const entries = Object.entries({ bos_token_id: bos, eos_token_id: eos, pad_token_id: pad });
  const ids = entries.map(([key, token]) => [key, token === undefined ? null : tokenizer.tokenToId(token)] as const);
  return Object.fromEntries(ids.filter((entry): entry is readonly [string, number] => entry[1] !== null));
}

async function causalTask(
  { lossChunk }: ObjectiveSettings,
  tokenizer: Tokenizer,
  configOf: Record<string, unknown>,
): Promise<TextTask<LanguageModelBatch>> {
  const { before } = await aroundText(tokenizer);
  const end = tokenizer.endOfTextId;
  return {
    task: "causal-lm",
    packing: "documents",
    around: { before, after: end === null ? [] : [end] },
    configOf,
    padId: padIdOf(tokenizer),
    objective: (model, options) =>
      languageModel(model as CausalLM, { ...options, ...(lossChunk !== undefined && { lossChunk }) }),
    batches: causalBatches,
    hasBits: true,
    sample: (model) => sampler(model as CausalLM, tokenizer, { isChat: false }),
  };
}

async function maskedTask(
  { packing, maskProbability = 0.15, wholeWords = false }: ObjectiveSettings,
  tokenizer: Tokenizer,
  configOf: Record<string, unknown>,
): Promise<TextTask<MaskedBatch>> {
  const { mask, sep } = tokenizer.special;
  const maskTokenId = mask === undefined ? null : tokenizer.tokenToId(mask);
  if (maskTokenId === null)
    throw new OptionError({
      where: "config, tokenizer",
      expected: "one with a mask, such as [MASK]",
      received: "one without",
      fix: "use that of an encoder such as BERT, or train one: tokenizer: { train: bpe }",
    });
  const { before, after } = await aroundText(tokenizer);
  const special = new Set(tokenizer.specialTexts.map((token) => tokenizer.tokenToId(token) as number));
  const between = sep === undefined ? null : tokenizer.tokenToId(sep);
  const masking = { maskTokenId, vocabSize: tokenizer.vocabSize, probability: maskProbability, wholeWords };
  const wordIds = wholeWords ? wordNumbers(tokenizer) : undefined;
  return {
    task: "masked-lm",
    packing: "none",
    // texts that share a row are parted by a token
    around: { before: [], after: packing === "concatenate" && between !== null ? [between] : [] },
    configOf,
    padId: padIdOf(tokenizer),
    objective: (model, options) => countingTokens(supervised<MaskedBatch>(model as MaskedLM, options)),
    batches: (documents, options) =>
      maskedBatches(documents, { ...options, before, after, special, masking, ...(wordIds && { wordIds }) }),
    hasBits: false,
  };
}

async function spanTask(
  { packing, noiseDensity = 0.15, meanSpanLength = 3 }: ObjectiveSettings,
  tokenizer: Tokenizer,
  configOf: Record<string, unknown>,
): Promise<TextTask<SpanBatch>> {
  const sentinels = sentinelsOf(tokenizer);
  const eosTokenId = tokenizer.endOfTextId;
  if (eosTokenId === null)
    throw new OptionError({
      where: "config, tokenizer",
      expected: "one with a token that ends a text",
      received: "one without",
      fix: "use that of T5 or a relative, or train one: tokenizer: { train: bpe }",
    });
  const padId = padIdOf(tokenizer);
  const noise = { noiseDensity, meanSpanLength };
  return {
    task: "seq2seq-lm",
    packing: "none",
    around: { before: [], after: packing === "concatenate" ? [eosTokenId] : [] },
    configOf: { ...configOf, decoder_start_token_id: padId },
    padId,
    objective: (model, options) => countingTokens(supervised<SpanBatch>(model as Seq2SeqLM, options)),
    batches: (documents, options) => spanBatches(documents, { ...options, noise, sentinels, eosTokenId }),
    hasBits: false,
  };
}

/** Throughput in tokens of the input. */
const countingTokens = <B extends { inputIds: { shape: readonly unknown[] } }>(
  objective: Objective<B>,
): Objective<B> => ({
  ...objective,
  unit: "tokens",
  count: ({ inputIds: { shape } }) => Number(shape[0]) * Number(shape[1]),
});
