import { isCount, isId, isIds, isNumber, isSequence } from "./setting-values.ts";

/**
 * What a caller can ask for that generation_config.json has no key for; names and defaults are those of vLLM, and of
 * llama.cpp where it has none.
 */
export interface PenaltySettings {
  /**
   * Taken once from the logit of each token that was written; below 0 favours them. OpenAI's, as in vLLM. @default 0
   */
  presencePenalty?: number;
  /** Taken from the logit of a token for each time that it was written. OpenAI's, as in vLLM. @default 0 */
  frequencyPenalty?: number;
  /** Added to the logits of tokens, by their ids. OpenAI's. @default nothing */
  logitBias?: Readonly<Record<number, number>>;
  /** Nothing but these tokens is picked, so name one that ends the text too. @default all */
  allowedTokenIds?: readonly number[];
  /**
   * How strongly tokens are discouraged that would make a repetition longer (DRY): this times `dryBase` to the number
   * of its tokens beyond `dryAllowedLength` is taken from their logits. Weidmann 2024, as in llama.cpp. @default 0
   */
  dryMultiplier?: number;
  /** With `dryMultiplier`: by how much the penalty grows with each token. @default 1.75 */
  dryBase?: number;
  /** With `dryMultiplier`: the longest repetition, in tokens, that may grow without a penalty above it. @default 2 */
  dryAllowedLength?: number;
  /** With `dryMultiplier`: in how many last tokens, of the prompt too, repetitions are looked for. @default all */
  dryPenaltyLastN?: number;
  /**
   * With `dryMultiplier`: texts that no repetition goes beyond. They need a tokenizer: `generateText` follows them, and
   * takes a new line, ":", a quotation mark and "*" by default.
   */
  drySequenceBreakers?: readonly string[];
  /** The same as tokens. @default none */
  drySequenceBreakerIds?: readonly number[];
}

const isPenalty = (value: unknown) => isNumber(value) && value >= -2 && value <= 2;
const isBiases = (value: unknown) =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  Object.entries(value).every(([id, bias]) => isId(Number(id)) && isNumber(bias));
const isTexts = (value: unknown) =>
  Array.isArray(value) && value.every((text) => typeof text === "string" && text !== "");

/** What each may be. */
export const penaltyRules: Record<keyof PenaltySettings, [expected: string, isFine: (value: unknown) => boolean]> = {
  presencePenalty: ["a number from -2 to 2", isPenalty],
  frequencyPenalty: ["a number from -2 to 2", isPenalty],
  logitBias: ["an object of token ids and numbers", isBiases],
  allowedTokenIds: ["token ids, at least one", isSequence],
  dryMultiplier: ["a number of at least 0", (value) => isNumber(value) && value >= 0],
  dryBase: ["a number of at least 1", (value) => isNumber(value) && value >= 1],
  dryAllowedLength: ["a number of tokens of at least 1", isCount],
  dryPenaltyLastN: ["a number of tokens of at least 1", isCount],
  drySequenceBreakers: ["texts that are not empty", isTexts],
  drySequenceBreakerIds: ["token ids", isIds],
};

/** Names of all `PenaltySettings`. */
export const penaltyNames = Object.keys(penaltyRules) as readonly (keyof PenaltySettings)[];

/** The first setting that has no effect, for it goes with `dryMultiplier`. */
export const idleDrySetting = (settings: PenaltySettings): string | undefined =>
  settings.dryMultiplier
    ? undefined
    : penaltyNames.find((name) => name.startsWith("dry") && name !== "dryMultiplier" && settings[name] !== undefined);
