/** What cuts a text into words, before the model sees them. */
import { pretokens } from "../byte-level.ts";
import type { Json } from "../json-parts.ts";
import { type Makers, make } from "./kinds.ts";
import { toBytes } from "./normalizers.ts";
import {
  byCharacter,
  byRegex,
  isWhite,
  matching,
  patternOf,
  type SplitBehavior,
  split,
  WORD_CHARACTERS,
} from "./pattern.ts";
import type { Piece } from "./piece.ts";
import { scriptOf } from "./scripts.ts";

export type PreTokenizer = (piece: Piece) => Piece[];

const isPunctuation = matching(/^[!-/:-@[-`{-~\p{P}]$/u);
const isNumeric = matching(/^\p{N}$/u);
const whiteSpace = byCharacter(isWhite);
const punctuation = byCharacter(isPunctuation);
const numbers = byCharacter(isNumeric);
const words = byRegex(new RegExp(`[${WORD_CHARACTERS}]+|[^${WORD_CHARACTERS}\\p{White_Space}]+`, "gu"));
const byteLevelWords = byRegex(pretokens());

/** @throws DataError for a kind that is not known */
export function preTokenizerOf(where: string, json: Json | null | undefined): PreTokenizer {
  if (!json) return (piece) => [piece];
  return make(makers, where, json);
}

const makers: Makers<PreTokenizer> = {
  Sequence: ({ pretokenizers }, where) => {
    const all = (pretokenizers as Json[]).map((json, i) => preTokenizerOf(`${where}.${i}`, json));
    return (piece) => all.reduce((pieces, cut) => pieces.flatMap(cut), [piece]);
  },
  BertPreTokenizer: () => (piece) =>
    split(piece, whiteSpace, "Removed").flatMap((word) => split(word, punctuation, "Isolated")),
  ByteLevel:
    ({ add_prefix_space: prefixes, use_regex: cuts }) =>
    (piece) => {
      const prefixed = prefixes && !piece.text.startsWith(" ") ? piece.prepend(" ") : piece;
      return (cuts === false ? [prefixed] : split(prefixed, byteLevelWords, "Isolated")).map(toBytes);
    },
  Whitespace: () => (piece) => split(piece, words, "Removed", true),
  WhitespaceSplit: () => (piece) => split(piece, whiteSpace, "Removed"),
  Digits:
    ({ individual_digits: single }) =>
    (piece) =>
      split(piece, numbers, single ? "Isolated" : "Contiguous"),
  Punctuation:
    ({ behavior = "Isolated" }) =>
    (piece) =>
      split(piece, punctuation, behavior as SplitBehavior),
  CharDelimiterSplit: ({ delimiter }) => {
    const find = byCharacter((character) => character === delimiter);
    return (piece) => split(piece, find, "Removed");
  },
  Split: ({ pattern, behavior, invert }, where) => {
    const find = patternOf(where, pattern);
    return (piece) => split(piece, find, behavior as SplitBehavior, invert === true);
  },
  Metaspace: ({ replacement, prepend_scheme: scheme = "always", split: cuts }) => {
    const mark = String(replacement);
    const find = byCharacter((character) => character === mark);
    return (piece) => {
      let marked = piece.map((character) => (character === " " ? mark : character));
      const isPrefixed = scheme === "always" || (scheme === "first" && marked.starts[0] === 0);
      if (isPrefixed && !marked.text.startsWith(mark)) marked = marked.prepend(mark);
      return cuts === false ? [marked] : split(marked, find, "MergedWithNext");
    };
  },
  FixedLength:
    ({ length }) =>
    (piece) =>
      Array.from({ length: Math.ceil(piece.length / (length as number)) }, (_, i) =>
        piece.slice(i * (length as number), Math.min(piece.length, (i + 1) * (length as number))),
      ),
  UnicodeScripts: () => (piece) => {
    const starts: number[] = []; // what stands before the first script is dropped, as in the reference
    let last: string | undefined;
    piece.characters.forEach((character, i) => {
      const script = scriptOf(character);
      if (script === "Any") return;
      if (script !== last) starts.push(i);
      last = script;
    });
    return starts.flatMap((start, i) =>
      start < (starts[i + 1] ?? piece.length) ? [piece.slice(start, starts[i + 1] ?? piece.length)] : [],
    );
  },
};
