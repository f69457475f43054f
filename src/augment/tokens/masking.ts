import { checkOptions, IGNORED_LABEL, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import type { Draws } from "../draws.ts";

/** Tokens of a text, as `Tokenizer.encode` gives them. */
export interface MaskableTokens {
  ids: readonly number[];
  /** 1 for tokens that are never masked. */
  specialTokensMask: readonly number[];
  /** Word of each token, null for special ones: of whole words. */
  wordIds?: readonly (number | null)[];
  /** Which of two texts a token belongs to, whose words are counted from 0 each. @default one text */
  sequenceIds?: readonly (number | null)[];
}

/** What is masked, and by what. */
export interface MaskTokensOptions {
  /** The id of the mask. */
  maskTokenId: number;
  /** Ids that a random one is drawn from: 0 .. vocabSize - 1. */
  vocabSize: number;
  /** Share of the tokens, or words, that the model is asked for. @default 0.15 */
  probability?: number;
  /** Share of those that the mask stands for. @default 0.8 */
  maskShare?: number;
  /** Share of those that a random token stands for; the rest stay as they are. @default 0.1 */
  randomShare?: number;
  /** Whether the tokens of a word are asked for together. @default false */
  wholeWords?: boolean;
}

/** Ids for a model, and what it is asked for. */
export interface MaskedTokens {
  inputIds: number[];
  /** The id that was there, -100 where nothing is asked. */
  labels: number[];
}

/**
 * Masks tokens for a masked language model. Devlin et al. 2018, arXiv:1810.04805, section 3.1; each token or word by
 * itself, as transformers' DataCollatorForLanguageModeling.
 * @throws OptionError for unknown options, or whole words without wordIds
 *
 * @example
 * const tokens = { ids: [1, 7, 8, 9, 2], specialTokensMask: [1, 0, 0, 0, 1] };
 * const options = { maskTokenId: 3, vocabSize: 10, probability: 1, maskShare: 1, randomShare: 0 };
 * const { inputIds } = maskTokens(tokens, options, drawsOf(0));
 * inputIds; // [1, 3, 3, 3, 2]
 */
export function maskTokens(tokens: MaskableTokens, options: MaskTokensOptions, draws: Draws): MaskedTokens {
  const names = ["maskTokenId", "vocabSize", "probability", "maskShare", "randomShare", "wholeWords"];
  checkOptions("maskTokens", options, names);
  const {
    maskTokenId,
    vocabSize,
    probability = 0.15,
    maskShare = 0.8,
    randomShare = 0.1,
    wholeWords = false,
  } = options;
  const { fraction, wholeNumber, positiveInteger } = numberRules;
  requireNumbers(
    "maskTokens",
    { maskTokenId, vocabSize, probability, maskShare, randomShare, bothShares: maskShare + randomShare },
    {
      ...({ maskTokenId: wholeNumber, vocabSize: positiveInteger, probability: fraction } as const),
      ...({ maskShare: fraction, randomShare: fraction, bothShares: fraction } as const),
    },
  );
  const { ids, specialTokensMask } = tokens;
  const units = unitsOf(tokens, wholeWords);
  const [picks, kinds, replacements] = [0, 1, 2].map((part) => draws.fold(part));
  const isPicked = Array.from({ length: (units.at(-1) ?? -1) + 1 }, () => picks.isLikely(probability));
  const inputIds = [...ids];
  const labels = ids.map((id, i) => {
    const [kind, replacement] = [kinds.uniform(), replacements.integer(vocabSize)];
    if (specialTokensMask[i] || !isPicked[units[i]]) return IGNORED_LABEL;
    if (kind < maskShare) inputIds[i] = maskTokenId;
    else if (kind < maskShare + randomShare) inputIds[i] = replacement;
    return id;
  });
  return { inputIds, labels };
}

/** The number of each token, or of the word that it is a part of. @throws OptionError for lists of several lengths */
function unitsOf({ ids, specialTokensMask, wordIds, sequenceIds }: MaskableTokens, wholeWords: boolean): number[] {
  const lists = [specialTokensMask, ...(wordIds && wholeWords ? [wordIds] : [])];
  if (lists.some(({ length }) => length !== ids.length) || (wholeWords && !wordIds))
    throw new OptionError({
      where: "maskTokens",
      expected: `${ids.length} numbers in specialTokensMask${wholeWords ? " and in wordIds" : ""}, as there are ids`,
      received: `${specialTokensMask.length}${wholeWords ? ` and ${wordIds?.length ?? "none"}` : ""}`,
      fix: "give what Tokenizer.encode gives",
    });
  if (!wholeWords || !wordIds) return ids.map((_, i) => i);
  let unit = -1;
  return ids.map((_, i) => {
    const isNew = i === 0 || wordIds[i] !== wordIds[i - 1] || sequenceIds?.[i] !== sequenceIds?.[i - 1];
    if (isNew || wordIds[i] === null) unit++;
    return unit;
  });
}
