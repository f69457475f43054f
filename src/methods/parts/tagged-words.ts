/** Sentences of words with tags, as a model learns them. */
import { DataError, IGNORED_LABEL, type OnWarning } from "../../base/index.ts";
import type { TaggedTokens } from "../../data/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import { type ClassChoice, numberOf } from "./class-choice.ts";
import type { TextForm } from "./encoded-texts.ts";
import { paddedIds } from "./padding.ts";
import { areEntityTags, hasBilouTags, TagWatch } from "./tag-watch.ts";
import type { TaggedBatch } from "./tagging-objective.ts";
import { type EncodedExample, encoderInputs, type TextTokens } from "./text-batches.ts";
import { wordEncoder } from "./word-encoder.ts";

/** A sentence with a label for each token. */
export interface Tagged extends TextTokens {
  labels: Int32Array;
  /** 1 for the first token of each word. */
  wordStarts: Uint8Array;
  /** The number of its row. */
  row: number;
}

/**
 * The labels of tokens from those of words: of the first token of each, or of all, where what follows the first goes on
 * with an entity that begins there. A word that an earlier token was of is not labelled again.
 * @param goesOn the label of the tokens that follow a first one with some label
 */
function labelsOfTokens(
  words: Int32Array,
  labels: readonly number[],
  { isEach, goesOn }: { isEach: boolean; goesOn: readonly number[] },
): { labels: Int32Array; wordStarts: Uint8Array } {
  const result = new Int32Array(words.length).fill(IGNORED_LABEL);
  const wordStarts = new Uint8Array(words.length);
  for (const [i, word] of words.entries()) {
    if (word < 0) continue;
    const isFirst = i === 0 || words[i - 1] !== word;
    if (isFirst) wordStarts[i] = 1;
    if (isFirst) result[i] = labels[word];
    else if (isEach) result[i] = goesOn[labels[word]];
  }
  return { labels: result, wordStarts };
}

/** For each tag the one that goes on with it: I-PER for B-PER; itself where there is none. */
const continuations = (names: readonly string[]): number[] =>
  names
    .map((name, id) => (name.startsWith("B-") ? Math.max(names.indexOf(`I-${name.slice(2)}`), -1) : id))
    .map((id, i) => (id < 0 ? i : id));

/** What sentences are encoded by. */
export interface TaggedEncoderOptions {
  tokenizer: Tokenizer;
  form: TextForm;
  choice: ClassChoice;
  /** Whether all tokens of a word are labelled. */
  isEach: boolean;
}

/** Encodes sentences, and watches whether tags are well formed; sentences without a labelled token are left out. */
export async function taggedEncoder({ tokenizer, form, choice, isEach }: TaggedEncoderOptions): Promise<{
  encode(sentence: TaggedTokens, row: number, place: string): Promise<EncodedExample<Tagged>>;
  /** A sentence in which the word of a token stands between « and ». */
  marked(sentence: TaggedTokens, token: number): Promise<string>;
  warn(onWarning: OnWarning): void;
}> {
  const { names } = choice;
  const encodeWords = await wordEncoder(tokenizer, form.maxLength);
  const watch = areEntityTags(names) && !hasBilouTags(names) ? new TagWatch(names) : undefined;
  const rules = { isEach, goesOn: continuations(names) };
  return {
    async encode({ tokens, tags }, row, place) {
      const numbers = tags.map((tag) => numberOf(tag, choice, place));
      watch?.see(
        numbers.map((id) => names[id]),
        place,
      );
      const { ids, words, isCut } = await encodeWords(tokens);
      const tagged = labelsOfTokens(words, numbers, rules);
      const isEmpty = tagged.labels.every((label) => label === IGNORED_LABEL);
      const example = { ids, typeIds: new Uint8Array(ids.length), ...tagged, row };
      return { ...(!isEmpty && { example }), isTooLong: isCut };
    },
    async marked({ tokens }, token) {
      const word = (await encodeWords(tokens)).words[token];
      return tokens.map((text, i) => (i === word ? `«${text}»` : text)).join(" ");
    },
    warn: (onWarning) => watch?.warn(onWarning),
  };
}

/** A batch of sentences with their labels. */
export function taggedBatch(examples: readonly Tagged[], form: TextForm): TaggedBatch {
  const inputs = encoderInputs(examples, form);
  const [, width] = inputs.inputIds.shape as number[];
  const rows = (of: (example: Tagged) => ArrayLike<number>, filling: number) =>
    paddedIds(examples.map(of), width, filling);
  return {
    ...inputs,
    labels: rows(({ labels }) => labels, IGNORED_LABEL),
    wordStarts: rows(({ wordStarts }) => wordStarts, 0),
  };
}

/** @throws DataError for no sentence that has a label */
export function requireLabelled(examples: readonly Tagged[]): void {
  if (examples.length > 0) return;
  throw new DataError({
    where: "data",
    expected: "sentences with a word that has a token and a tag",
    received: "none",
    fix: "look whether the tokenizer is for the language of the data, and maxLength leaves room",
  });
}

/** Tokens with their tags, for people. */
export function previewTagged(examples: readonly Tagged[], tokenizer: Tokenizer, names: readonly string[]): string {
  const lines = examples.map(({ ids, labels }) =>
    [...ids].map((id, i) => tokenizer.idToToken(id) + (labels[i] < 0 ? "" : `/${names[labels[i]]}`)).join(" "),
  );
  return lines.join("\n");
}
