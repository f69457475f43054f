/** What is put around the tokens of a text or of two. */
import { byteCharacters } from "../byte-level.ts";
import type { Flat } from "../engine.ts";
import type { Json } from "../json-parts.ts";
import { type Makers, make } from "./kinds.ts";
import { isWhite } from "./pattern.ts";

/** Encodings of one text or two, and whether special tokens are to be added -> one for each part, to be joined. */
export type PostProcessor = (encodings: readonly Flat[], addsSpecial: boolean) => Flat[];

/** @throws DataError for a kind that is not known */
export function postProcessorOf(where: string, json: Json | null | undefined): PostProcessor {
  if (!json) return (encodings) => [...encodings];
  return make(makers, where, json);
}

type Piece = { Sequence?: { id: string; type_id: number }; SpecialToken?: { id: string; type_id: number } };
type Special = Record<string, { ids: number[]; tokens: string[] }>;
type Named = [token: string, id: number];

const makers: Makers<PostProcessor> = {
  Sequence: ({ processors }, where) => {
    const all = (processors as Json[]).map((json, i) => postProcessorOf(`${where}.${i}`, json));
    return (encodings, addsSpecial) => all.reduce((parts, process) => process(parts, addsSpecial), [...encodings]);
  },
  ByteLevel:
    ({ trim_offsets: trims, add_prefix_space: prefixes }) =>
    (encodings) =>
      trims ? encodings.map((each) => trimmed(each, prefixes === true)) : [...encodings],
  RobertaProcessing:
    ({ sep, cls, trim_offsets: trims, add_prefix_space: prefixes }) =>
    (encodings, addsSpecial) => {
      const [first, second] = trims ? encodings.map((each) => trimmed(each, prefixes === true)) : encodings;
      const plain = (each: Flat) => withType(each, 0);
      if (!addsSpecial) return second ? [first, second] : [first];
      const framed = [special(cls as Named, 0), plain(first), special(sep as Named, 0)];
      return second ? [...framed, special(sep as Named, 0), plain(second), special(sep as Named, 0)] : framed;
    },
  BertProcessing:
    ({ sep, cls }) =>
    (encodings, addsSpecial) => {
      const [first, second] = encodings;
      if (!addsSpecial) return [...encodings];
      const framed = [special(cls as Named, 0), withType(first, 0), special(sep as Named, 0)];
      return second ? [...framed, withType(second, 1), special(sep as Named, 1)] : framed;
    },
  TemplateProcessing:
    ({ single, pair, special_tokens: tokens }) =>
    (encodings, addsSpecial) =>
      ((encodings.length > 1 ? pair : single) as Piece[]).flatMap(({ Sequence: text, SpecialToken: name }) => {
        if (text) return [withType(encodings[text.id === "A" ? 0 : 1], text.type_id)];
        if (!name || !addsSpecial) return [];
        const { ids, tokens: texts } = (tokens as Special)[name.id];
        return ids.map((id, i) => special([texts[i], id], name.type_id));
      }),
};

const withType = (encoding: Flat, type: number): Flat => ({ ...encoding, typeIds: encoding.ids.map(() => type) });

const special = ([token, id]: Named, type: number): Flat => ({
  ids: [id],
  tokens: [token],
  typeIds: [type],
  attentionMask: [1],
  specialTokensMask: [1],
  offsets: [[0, 0]],
  wordIds: [null],
  sequenceIds: [null],
});

const SPACE = byteCharacters[0x20];
const isSpace = (character: string) => character === SPACE || isWhite(character);

/**
 * Spaces at the ends of tokens are not part of what they cover; that which was put in front of the text was never
 * there.
 */
function trimmed(encoding: Flat, prefixes: boolean): Flat {
  const offsets = encoding.offsets.map(([start, end], i): [number, number] => {
    const characters = Array.from(encoding.tokens[i]);
    let leading = characters.findIndex((character) => !isSpace(character));
    if (leading < 0) leading = characters.length;
    const trailing = characters.length - 1 - characters.findLastIndex((character) => !isSpace(character));
    if (leading === 0 && trailing === 0) return [start, end];
    const isFirst = i === 0 || start === 0;
    const from = leading > 0 ? Math.min(start + leading - (isFirst && prefixes ? 1 : 0), end) : start;
    return [from, trailing > 0 && end >= trailing ? Math.max(end - trailing, from) : end];
  });
  return { ...encoding, offsets };
}

/** An encoding, list by list. */
const byList = (listOf: <K extends keyof Flat>(key: K) => unknown[]): Flat =>
  ({
    ids: listOf("ids"),
    tokens: listOf("tokens"),
    typeIds: listOf("typeIds"),
    attentionMask: listOf("attentionMask"),
    specialTokensMask: listOf("specialTokensMask"),
    offsets: listOf("offsets"),
    wordIds: listOf("wordIds"),
    sequenceIds: listOf("sequenceIds"),
  }) as Flat;

/** Encodings one after another. */
export const joined = (parts: readonly Flat[]): Flat => byList((key) => parts.flatMap((part): unknown[] => part[key]));

/** Tokens from one on to before another. */
export const sliced = (encoding: Flat, start: number, end: number): Flat =>
  byList((key) => encoding[key].slice(start, end));
