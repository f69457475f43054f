/** Spaces before punctuation and contractions, which tokenizers that split at these leave behind; in this order. */
const replacements: readonly (readonly [from: string, to: string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

/** A text without them. */
export const cleanedUp = (text: string): string =>
  replacements.reduce((out, [from, to]) => out.replaceAll(from, to), text);
