/** From texts to counted words: what a tokenizer's normalizer and pre-tokenizer make of them, before any model. */

import { type NativeTokenizers, nativeTokenizers } from "#tokenizers/engine";
import { OptionError } from "../../base/index.ts";
import { pretokens, toByteCharacters } from "../byte-level.ts";
import { type Json, tokenizerJson } from "../json-parts.ts";

/** The parts of a tokenizer.json that cut texts into words; null where there is none. */
export interface CuttingParts {
  normalizer: Json | null;
  preTokenizer: Json | null;
}

/** By code points, as Python and Rust order strings; JavaScript's own order is by UTF-16 units. */
export function byCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x === y) continue;
    const isPair = (unit: number) => unit >= 0xd800 && unit < 0xe000;
    return isPair(x) === isPair(y) ? x - y : isPair(x) ? 1 : -1;
  }
  return a.length - b.length;
}

/** How often each character occurs in counted words. */
export function characterCounts(words: ReadonlyMap<string, number>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [word, count] of words)
    for (const character of word) counts.set(character, (counts.get(character) ?? 0) + count);
  return counts;
}

/** The code points of a text. */
export const pointsOf = (text: string): number[] => Array.from(text, (character) => character.codePointAt(0) as number);

/** Counts the words of texts. */
export class WordCounter {
  private readonly frequencies = new Map<string, number>();
  private readonly cut: (text: string) => Iterable<{ readonly 0: string }>;
  private readonly spell: (word: string) => string;

  /**
   * @param cut gives lists that begin with a word
   * @param spell how a word is written in the end: done once for each, when all are counted
   */
  constructor(
    cut: (text: string) => Iterable<{ readonly 0: string }>,
    spell: (word: string) => string = (word) => word,
  ) {
    this.cut = cut;
    this.spell = spell;
  }

  add(text: string): void {
    for (const { 0: word } of this.cut(text))
      if (word !== "") this.frequencies.set(word, (this.frequencies.get(word) ?? 0) + 1);
  }

  /** How often each word occurs, in the order of code points. */
  counts(): Map<string, number> {
    const spelled = Array.from(this.frequencies, ([word, count]): [string, number] => [this.spell(word), count]);
    return new Map(spelled.sort(([a], [b]) => byCodePoints(a, b)));
  }
}

/** For GPT-2's words, in the byte-level alphabet. */
export const byteLevelCounter = () => new WordCounter((text) => text.matchAll(pretokens()), toByteCharacters);

/**
 * A counter for how a tokenizer cuts texts: GPT-2's cut is made here, all others by Hugging Face's library, or by the
 * engine in JavaScript where that is not installed.
 * @throws OptionError for parts that are not known
 */
export async function wordCounter({ normalizer, preTokenizer }: CuttingParts): Promise<WordCounter> {
  if (!normalizer && isByteLevel(preTokenizer)) return byteLevelCounter();
  const library = await nativeTokenizers();
  try {
    if (library) return nativeCounter(library, normalizer, preTokenizer);
    const { javascriptCut } = await import("./javascript-cut.ts");
    return new WordCounter(javascriptCut(normalizer, preTokenizer));
  } catch (cause) {
    const received = (cause as Error).message;
    throw new OptionError({
      where: "tokenizer training",
      expected: "a normalizer and preTokenizer of tokenizer.json",
      received,
      fix: "correct them",
      cause,
    });
  }
}

function nativeCounter(library: NativeTokenizers, normalizer: Json | null, preTokenizer: Json | null): WordCounter {
  const empty = { type: "WordLevel", vocab: { a: 0 }, unk_token: "a" };
  const parts = library.Tokenizer.fromString(
    JSON.stringify(tokenizerJson({ normalizer, pre_tokenizer: preTokenizer, model: empty })),
  );
  const [first, second] = [parts.getNormalizer(), parts.getPreTokenizer()];
  return new WordCounter((text) => {
    const normal = first?.normalizeString(text) ?? text;
    return second ? (second.preTokenizeString(normal) as [string, unknown][]) : [[normal]];
  });
}

const isByteLevel = (json: Json | null): boolean =>
  json?.type === "ByteLevel" && json.add_prefix_space === false && json.use_regex !== false;
