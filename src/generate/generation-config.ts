import { DataError, type ErrorParts, type KindlingError, OptionError } from "../base/index.ts";
import { idleDrySetting, type PenaltySettings, penaltyNames, penaltyRules } from "./penalty-settings.ts";
import { type BuiltWays, requireSearches, type SearchSettings, searchFields } from "./search-settings.ts";
import { type Field, isBoolean, isId, isIds, isPositive, isSequence } from "./setting-values.ts";
import { type SamplingLimits, samplingLimitNames } from "./warpers/index.ts";

/**
 * What generation_config.json can ask for and a caller can ask for in its place, named as there, and what only a caller
 * can. `generate` follows the option, or else the model's file, or else the default. Lengths are in tokens.
 */
export interface GenerationSettings extends SamplingLimits, PenaltySettings, SearchSettings {
  /**
   * Draw tokens, rather than take the likeliest. @default what the file says; true when a limit on what is drawn is
   * given, unless temperature is 0
   */
  doSample?: boolean;
  /** Most tokens to write. @default 128, or what there is room for */
  maxNewTokens?: number;
  /** Most tokens of the start and the answer together; `maxNewTokens` goes before it. */
  maxLength?: number;
  /** Seconds after which no further token is begun. */
  maxTime?: number;
  /** Least tokens, the start included, before the text may end. */
  minLength?: number;
  /** Least tokens to write before the text may end. */
  minNewTokens?: number;
  /** Texts that end the answer. They need a tokenizer: `generateText` follows them. */
  stopStrings?: readonly string[];
  /**
   * Divides positive and multiplies negative logits of tokens that there are already. Keskar et al. 2019,
   * arXiv:1909.05858. @default 1
   */
  repetitionPenalty?: number;
  /**
   * The same for tokens of the prompt or the text that is read, the other way: above 1 makes them likelier. @default 1
   */
  encoderRepetitionPenalty?: number;
  /** No sequence of so many tokens comes twice. @default 0, no limit */
  noRepeatNgramSize?: number;
  /** No sequence of so many tokens of the prompt, or the text that is read, comes again. @default 0, no limit */
  encoderNoRepeatNgramSize?: number;
  /** Sequences that are never completed. */
  badWordsIds?: readonly (readonly number[])[];
  /** Added to the logit of the last token of a sequence, where the others stand before it: [tokens, bias]. */
  sequenceBias?: readonly (readonly [readonly number[], number])[];
  /** The first token after a start of one. */
  forcedBosTokenId?: number;
  /** The last token, when the text reaches its greatest length. */
  forcedEosTokenId?: number | readonly number[];
  /** Tokens that are never picked. */
  suppressTokens?: readonly number[];
  /** Tokens that are not picked first. */
  beginSuppressTokens?: readonly number[];
  /** From so many new tokens on, the logit of the end grows by this factor a token: [tokens, factor]. */
  exponentialDecayLengthPenalty?: readonly [number, number];
  /** NaN becomes 0, and infinities the largest numbers. @default false */
  removeInvalidValues?: boolean;
  /** Logits become logarithms of probabilities, for `onLogits`. @default false */
  renormalizeLogits?: boolean;
}

const isPair = (value: unknown): value is unknown[] => Array.isArray(value) && value.length === 2;
const isBias = (value: unknown) => isPair(value) && isSequence(value[0]) && typeof value[1] === "number";
const count = "a number of tokens";

const fields: Record<Exclude<keyof GenerationSettings, keyof SamplingLimits | keyof PenaltySettings>, Field> = {
  doSample: ["do_sample", "true or false", isBoolean],
  maxNewTokens: ["max_new_tokens", `${count} of at least 0`, isId],
  maxLength: ["max_length", count, isId],
  maxTime: ["max_time", "seconds above 0", isPositive],
  minLength: ["min_length", count, isId],
  minNewTokens: ["min_new_tokens", count, isId],
  stopStrings: ["stop_strings", "texts", (value) => [value].flat().every((text) => typeof text === "string")],
  repetitionPenalty: ["repetition_penalty", "a number above 0", isPositive],
  encoderRepetitionPenalty: ["encoder_repetition_penalty", "a number above 0", isPositive],
  noRepeatNgramSize: ["no_repeat_ngram_size", count, isId],
  encoderNoRepeatNgramSize: ["encoder_no_repeat_ngram_size", count, isId],
  badWordsIds: ["bad_words_ids", "lists of token ids", (value) => Array.isArray(value) && value.every(isSequence)],
  sequenceBias: [
    "sequence_bias",
    "pairs of token ids and a number",
    (value) => Array.isArray(value) && value.every(isBias),
  ],
  forcedBosTokenId: ["forced_bos_token_id", "a token id", isId],
  forcedEosTokenId: ["forced_eos_token_id", "token ids", (value) => isId(value) || isIds(value)],
  suppressTokens: ["suppress_tokens", "token ids", isIds],
  beginSuppressTokens: ["begin_suppress_tokens", "token ids", isIds],
  exponentialDecayLengthPenalty: [
    "exponential_decay_length_penalty",
    "a number of tokens and a factor above 0",
    (value) => isPair(value) && isId(value[0]) && isPositive(value[1]),
  ],
  removeInvalidValues: ["remove_invalid_values", "true or false", isBoolean],
  renormalizeLogits: ["renormalize_logits", "true or false", isBoolean],
  ...searchFields,
};

/** The file's names of what limits what is drawn; the sampler knows the ranges. */
const limitKeys: Partial<Record<keyof SamplingLimits, string>> = {
  ...{ temperature: "temperature", topH: "top_h", topK: "top_k", topP: "top_p", minP: "min_p" },
  ...{ typicalP: "typical_p", epsilonCutoff: "epsilon_cutoff", etaCutoff: "eta_cutoff" },
};

/** Keys that would change the text in a way that is not built, with the values at which they do not. */
const refused: Record<string, (value: unknown, json: Readonly<Record<string, unknown>>) => boolean> = {
  dola_layers: () => false,
  constraints: () => false,
  guidance_scale: (value) => value === 1,
  watermarking_config: () => false,
  token_healing: (value) => value === false,
  cache_implementation: (value) => value !== "quantized",
};

/** Keys that change how fast a text comes, which form results have or how beams are weighed, and no text. */
const withoutEffect = [
  ...[
    "assistant_confidence_threshold",
    "assistant_early_exit",
    "assistant_ensemble_weight",
    "assistant_lookbehind",
    "is_assistant",
  ],
  ...[
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "target_lookbehind",
    "prompt_lookup_num_tokens",
    "max_matching_ngram_size",
  ],
  ...["speculation_type", "use_mtp", "use_cache", "cache_config", "max_cache_len", "low_memory", "prefill_chunk_size"],
  ...["compile_config", "disable_compile", "continuous_batching_config"],
  ...["output_attentions", "output_hidden_states", "output_logits", "output_scores", "return_dict_in_generate"],
  "pad_token_id", // one text at a time needs no padding
  "bos_token_id", // what a text begins with is the tokenizer's
];

/** Keys that are read where they are needed. */
const readElsewhere = ["eos_token_id", "decoder_start_token_id"];

/**
 * All keys that are followed, refused or known to change no text: those of transformers' GenerationConfig, as a test
 * sees to.
 */
export const generationConfigKeys: readonly string[] = [
  ...Object.values(fields).map(([key]) => key),
  ...Object.values(limitKeys),
  ...Object.keys(refused),
  ...withoutEffect,
  ...readElsewhere,
];

/** Names of the settings that a text can be asked for with. */
export const generationSettingNames: readonly string[] = [
  ...Object.keys(fields),
  ...samplingLimitNames,
  ...penaltyNames,
];

/** Settings as they are followed: ids as lists, and drawing decided. */
export interface FollowedSettings
  extends Omit<GenerationSettings, "doSample" | "forcedEosTokenId" | keyof SamplingLimits> {
  /** What limits the drawing; temperature 0 when nothing is drawn. */
  limits: SamplingLimits;
  forcedEosTokenId: readonly number[];
  /** Tokens that end the text, by the file. */
  eosTokenId: readonly number[];
  /** Of how many candidates contrastive search takes one; undefined without it. */
  contrastiveTopK?: number;
}

/** transformers' limit where neither the caller nor the file has one. */
const DEFAULT_TOP_K = 50;

/**
 * The settings for a text: those of the caller, then those of the model's generation_config.json.
 * @throws OptionError or DataError naming the option or the key, for a value that cannot be followed
 */
export function settingsOf(
  json: Readonly<Record<string, unknown>>,
  options: GenerationSettings = {},
  built: BuiltWays = {},
): FollowedSettings {
  refuseWhatIsNotBuilt(json);
  const settings: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields))
    settings[name] = settingOf(name as keyof typeof fields, field, json, options);
  Object.assign(settings, penaltiesOf(options));
  const { doSample, forcedEosTokenId, stopStrings, ...others } = settings as GenerationSettings;
  const eos = json.eos_token_id ?? [];
  if (!isId(eos) && !isIds(eos)) throw fault(DataError, "generation_config.json, eos_token_id", "token ids", eos);
  const contrastiveTopK = contrastiveTopKOf(json, options, { doSample, ...others });
  const limits = contrastiveTopK === undefined ? limitsOf(json, options, doSample) : { temperature: 0 };
  const isContrastive = contrastiveTopK !== undefined;
  requireSearches({ settings: others, asked: options, isGreedy: limits.temperature === 0, isContrastive, built });
  return {
    ...others,
    ...(isContrastive && { contrastiveTopK }),
    ...(stopStrings !== undefined && { stopStrings: [stopStrings].flat() }),
    forcedEosTokenId: [forcedEosTokenId ?? []].flat(),
    eosTokenId: [eos].flat(),
    limits,
  };
}

function fault(
  Kind: new (parts: ErrorParts) => KindlingError,
  where: string,
  expected: string,
  received: unknown,
): KindlingError {
  return new Kind({
    where,
    expected,
    received: JSON.stringify(received)?.slice(0, 60) ?? String(received),
    fix: "correct it",
  });
}

function settingOf(
  name: keyof typeof fields,
  [key, expected, isFine]: Field,
  json: Readonly<Record<string, unknown>>,
  options: GenerationSettings,
): unknown {
  const asked = options[name];
  if (asked !== undefined) {
    if (!isFine(asked)) throw fault(OptionError, "generate", `${name} to be ${expected}`, asked);
    return asked;
  }
  const stated = json[key] ?? undefined;
  if (stated !== undefined && !isFine(stated))
    throw fault(DataError, `generation_config.json, ${key}`, expected, stated);
  return stated;
}

/** What only a caller asks for. */
function penaltiesOf(options: GenerationSettings): PenaltySettings {
  const idle = idleDrySetting(options);
  if (idle !== undefined)
    throw new OptionError({
      where: "generate",
      expected: `${idle} with dryMultiplier`,
      received: `${idle} alone`,
      fix: `set dryMultiplier, or leave ${idle} out`,
    });
  const settings: Record<string, unknown> = {};
  for (const name of penaltyNames) {
    const [expected, isFine] = penaltyRules[name];
    const value = options[name];
    if (value === undefined) continue;
    if (!isFine(value)) throw fault(OptionError, "generate", `${name} to be ${expected}`, value);
    settings[name] = value;
  }
  return settings;
}

/** The topK of contrastive search, which draws nothing and follows one text; undefined where that is not asked for. */
function contrastiveTopKOf(
  json: Readonly<Record<string, unknown>>,
  options: GenerationSettings,
  { penaltyAlpha = 0, numBeams = 1, doSample }: GenerationSettings,
): number | undefined {
  const draws = samplingLimitNames.some((name) => options[name] !== undefined && name !== "topK");
  if (penaltyAlpha === 0 || numBeams > 1 || doSample || (draws && options.temperature !== 0)) return undefined;
  const topK = options.topK ?? json[limitKeys.topK as string] ?? DEFAULT_TOP_K;
  return isId(topK) && topK > 1 ? topK : undefined;
}

/** What is drawn from: a limit that the caller gives says that something is drawn. */
function limitsOf(
  json: Readonly<Record<string, unknown>>,
  options: GenerationSettings,
  stated: boolean | undefined,
): SamplingLimits {
  const asked = samplingLimitNames.filter((name) => options[name] !== undefined);
  if (options.temperature === 0) return { temperature: 0 };
  if (options.doSample === false && asked.length > 0) {
    const expected = `doSample with ${asked.join(", ")}`;
    throw new OptionError({
      where: "generate",
      expected,
      received: "doSample: false",
      fix: "leave them out to take the likeliest token each time",
    });
  }
  if (!(asked.length > 0 || stated)) return { temperature: 0 };
  // mirostat decides by itself how many tokens are left
  const names = samplingLimitNames.filter(
    (name) => !options.mirostat || name === "temperature" || asked.includes(name),
  );
  const limits: Record<string, unknown> = options.mirostat ? {} : { topK: DEFAULT_TOP_K };
  for (const name of names) {
    const key = limitKeys[name];
    const value = options[name] ?? (key === undefined ? undefined : json[key]) ?? undefined;
    if (value !== undefined) limits[name] = value;
  }
  return limits;
}

/** @throws OptionError naming a key of the file that would change the text and cannot be followed */
function refuseWhatIsNotBuilt(json: Readonly<Record<string, unknown>>): void {
  for (const [key, isHarmless] of Object.entries(refused)) {
    const value = json[key] ?? undefined;
    if (value === undefined || isHarmless(value, json)) continue;
    const received = JSON.stringify(value).slice(0, 60);
    const expected = "a way to write texts that is built";
    throw new OptionError({
      where: `generation_config.json, ${key}`,
      expected,
      received,
      fix: `remove ${key} from the file`,
    });
  }
}
