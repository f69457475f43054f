/** Augmentation of texts and their tokens. */
export {
  type BackTranslationOptions,
  backTranslation,
  type TextAugmentation,
  type Translate,
  type TranslationCache,
} from "./back-translation.ts";
export { type MaskableTokens, type MaskedTokens, type MaskTokensOptions, maskTokens } from "./masking.ts";
export {
  type CorruptedSpans,
  type CorruptSpansOptions,
  corruptedLengths,
  corruptSpans,
  type SpanNoise,
} from "./spans.ts";
export { deleteWords, replaceSynonyms, swapWords, type WordNoise } from "./words.ts";
