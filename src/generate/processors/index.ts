/** What changes the logits of the next token before one is picked, a small function for each idea. */
import type { FollowedSettings } from "../generation-config.ts";
import { allowedTokens } from "./allowed-tokens.ts";
import { badWords } from "./bad-words.ts";
import { diversityPenalty } from "./diversity-penalty.ts";
import { dry } from "./dry.ts";
import { forcedTokens } from "./forced-tokens.ts";
import { removeInvalidValues } from "./invalid-values.ts";
import { leastLength } from "./least-length.ts";
import { lengthDecay } from "./length-decay.ts";
import { logitBias } from "./logit-bias.ts";
import { occurrencePenalties } from "./occurrence-penalties.ts";
import type { LogitsProcessor } from "./processor.ts";
import { renormalize } from "./renormalize.ts";
import { noEncoderRepeatNgrams, noRepeatNgrams } from "./repeated-ngrams.ts";
import { encoderRepetitionPenalty, repetitionPenalty } from "./repetition-penalty.ts";
import { sequenceBias } from "./sequence-bias.ts";
import { suppressedTokens, tokensSuppressedAtFirst } from "./suppressed-tokens.ts";
import { type TimeRule, timesInOrder } from "./timestamps.ts";

export type { LogitsProcessor, Progress } from "./processor.ts";
export type { TimeRule } from "./timestamps.ts";

/** The settings that change logits. */
export interface GenerationRules
  extends Omit<FollowedSettings, "limits" | "maxNewTokens" | "maxLength" | "maxTime" | "stopStrings"> {
  /** Of speech models: tokens that say times come in pairs and in order. @default they are tokens as others */
  times?: TimeRule;
}

/**
 * The processors that some settings ask for, in the order of transformers; those of a caller come last, but for the
 * normalization of everything. One list serves one text, or the hypotheses of one.
 */
export function processorsOf(rules: GenerationRules, added: readonly LogitsProcessor[] = []): LogitsProcessor[] {
  const { eosTokenId: ends, forcedBosTokenId, forcedEosTokenId, beginSuppressTokens = [] } = rules;
  const isForced = forcedBosTokenId !== undefined || forcedEosTokenId.length > 0;
  const { minLength = 0, minNewTokens = 0, suppressTokens = [], badWordsIds = [] } = rules;
  const list: (LogitsProcessor | false)[] = [
    ...biasesAndPenalties(rules),
    badWordsIds.length > 0 && badWords(badWordsIds, ends),
    minLength + minNewTokens > 0 && leastLength(minLength, minNewTokens, ends),
    rules.allowedTokenIds !== undefined && allowedTokens(rules.allowedTokenIds),
    isForced && forcedTokens(forcedBosTokenId, forcedEosTokenId),
    rules.removeInvalidValues === true && removeInvalidValues,
    rules.exponentialDecayLengthPenalty !== undefined && lengthDecay(rules.exponentialDecayLengthPenalty, ends),
    suppressTokens.length > 0 && suppressedTokens(suppressTokens),
    beginSuppressTokens.length > 0 && tokensSuppressedAtFirst(beginSuppressTokens, forcedBosTokenId !== undefined),
    rules.times !== undefined && timesInOrder(rules.times),
    ...added,
    rules.renormalizeLogits === true && renormalize,
  ];
  return list.filter((processor) => processor !== false);
}

function biasesAndPenalties(rules: GenerationRules): (LogitsProcessor | false)[] {
  const { repetitionPenalty: penalty = 1, encoderRepetitionPenalty: encoderPenalty = 1 } = rules;
  const { noRepeatNgramSize = 0, encoderNoRepeatNgramSize = 0 } = rules;
  const { presencePenalty = 0, frequencyPenalty = 0, dryMultiplier = 0, diversityPenalty: diversity = 0 } = rules;
  return [
    rules.sequenceBias !== undefined && sequenceBias(rules.sequenceBias),
    rules.logitBias !== undefined && logitBias(rules.logitBias),
    diversity > 0 && diversityPenalty(diversity),
    encoderPenalty !== 1 && encoderRepetitionPenalty(encoderPenalty),
    penalty !== 1 && repetitionPenalty(penalty),
    (presencePenalty !== 0 || frequencyPenalty !== 0) && occurrencePenalties(presencePenalty, frequencyPenalty),
    dryMultiplier > 0 &&
      dry({
        multiplier: dryMultiplier,
        base: rules.dryBase ?? DEFAULT_DRY_BASE,
        allowedLength: rules.dryAllowedLength ?? DEFAULT_DRY_LENGTH,
        lastTokens: rules.dryPenaltyLastN ?? Number.POSITIVE_INFINITY,
        breakers: rules.drySequenceBreakerIds ?? [],
      }),
    noRepeatNgramSize > 0 && noRepeatNgrams(noRepeatNgramSize),
    encoderNoRepeatNgramSize > 0 && noEncoderRepeatNgrams(encoderNoRepeatNgramSize),
  ];
}

/** Those of llama.cpp and text-generation-webui. */
const DEFAULT_DRY_BASE = 1.75;
const DEFAULT_DRY_LENGTH = 2;
