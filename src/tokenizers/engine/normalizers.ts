/** What changes a text before it is cut. */
import { byteCharacters } from "../byte-level.ts";
import type { Json } from "../json-parts.ts";
import { CharsMap } from "./charsmap.ts";
import { graphemesOf } from "./graphemes.ts";
import { type Makers, make } from "./kinds.ts";
import { isWhite, matching, patternOf, remembered } from "./pattern.ts";
import type { Change, Piece } from "./piece.ts";
import { isAscii, unicode } from "./unicode.ts";

export type Normalizer = (piece: Piece) => Piece;

const isMark = matching(/^\p{M}$/u);
const isAccent = matching(/^\p{Mn}$/u);
const isPlainSpace = (character: string) =>
  character === " " || character === "\t" || character === "\n" || character === "\r";
/** Controls, formats, surrogates and private characters. */
const isOther = matching(/^[\p{Cc}\p{Cf}\p{Cs}\p{Co}]$/u);
const isIn = (ranges: readonly (readonly [number, number?])[]) =>
  remembered((character) =>
    ranges.some(
      ([first, last = first]) =>
        (character.codePointAt(0) as number) >= first && (character.codePointAt(0) as number) <= last,
    ),
  );
/** What SentencePiece's rules for machine translation drop, and what they take for a space. */
const isDropped = isIn([[1, 8], [0xb], [0xe, 0x1f], [0x7f], [0x8f], [0x9f]]);
const isSpaceLike = isIn([
  [9, 0xa],
  [0xc, 0xd],
  [0x1680],
  [0x200b, 0x200f],
  [0x2028, 0x2029],
  [0x2581],
  [0xfeff],
  [0xfffd],
]);
const isIdeograph = isIn([
  [0x4e00, 0x9fff],
  [0x3400, 0x4dbf],
  [0x20000, 0x2a6df],
  [0x2a700, 0x2b73f],
  [0x2b740, 0x2b81f],
  [0x2b920, 0x2ceaf],
  [0xf900, 0xfaff],
  [0x2f800, 0x2fa1f],
]);

/** @throws DataError for a kind that is not known */
export function normalizerOf(where: string, json: Json | null | undefined): Normalizer {
  if (!json) return (piece) => piece;
  return make(makers, where, json);
}

const makers: Makers<Normalizer> = {
  Sequence: ({ normalizers }, where) => {
    const all = (normalizers as Json[]).map((json, i) => normalizerOf(`${where}.${i}`, json));
    return (piece) => all.reduce((changed, normalize) => normalize(changed), piece);
  },
  NFC: () => unicode("NFC"),
  NFD: () => unicode("NFD"),
  NFKC: () => unicode("NFKC"),
  NFKD: () => unicode("NFKD"),
  Lowercase: () => lowercase,
  StripAccents: () => (piece) => piece.filter((character) => !isMark(character)),
  Strip:
    ({ strip_left: left, strip_right: right }) =>
    (piece) => {
      let [start, end] = [0, piece.length];
      while (left && start < end && isWhite(piece.characters[start])) start++;
      while (right && end > start && isWhite(piece.characters[end - 1])) end--;
      return piece.slice(start, end);
    },
  Replace: ({ pattern, content }, where) => {
    const find = patternOf(where, pattern);
    const [first, ...rest] = Array.from(String(content)).map((character): Change => [character, 1]);
    return (piece) => {
      const changes: Change[] = [];
      let start = 0;
      /** What is removed goes with the character before it. */
      const remove = (count: number) => {
        const last = changes.at(-1);
        if (last) changes[changes.length - 1] = [last[0], last[1] - count];
        else start += count;
      };
      for (const [isMatch, from, to] of find(piece)) {
        if (!isMatch) for (let i = from; i < to; i++) changes.push([piece.characters[i], 0]);
        else if (!first) remove(to - from);
        else if (from === to) changes.push(first, ...rest);
        else {
          remove(to - from - 1); // what is added stands where the last of them did
          changes.push([first[0], 0], ...rest);
        }
      }
      return piece.changed(changes, start);
    };
  },
  Prepend:
    ({ prepend }) =>
    (piece) =>
      piece.prepend(String(prepend)),
  Nmt: () => (piece) =>
    piece.filter((character) => !isDropped(character)).map((character) => (isSpaceLike(character) ? " " : character)),
  BertNormalizer: ({ clean_text: cleans, handle_chinese_chars: spaces, strip_accents: strips, lowercase: lowers }) => {
    const decomposed = unicode("NFD");
    const isKept = (c: string) => c !== "\0" && c !== "\ufffd" && (isPlainSpace(c) || !isOther(c));
    const spaced = (c: string): Change[] => [
      [" ", 0],
      [c, 1],
      [" ", 1],
    ];
    return (piece) => {
      let out = piece;
      if (cleans) out = out.filter(isKept).map((c) => (isWhite(c) ? " " : c));
      if (spaces && out.characters.some(isIdeograph))
        out = out.changed(out.characters.flatMap((c): Change[] => (isIdeograph(c) ? spaced(c) : [[c, 0]])));
      if (strips ?? lowers) out = decomposed(out).filter((c) => !isAccent(c));
      return lowers ? lowercase(out) : out;
    };
  },
  ByteLevel: () => toBytes,
  Precompiled: ({ precompiled_charsmap: map }, where) => {
    if (!map) return (piece) => piece;
    const table = new CharsMap(String(map), where);
    return (piece) => {
      const changes: Change[] = [];
      for (const segment of graphemesOf(piece.text)) {
        const whole = new TextEncoder().encode(segment).length < 6 ? table.replacement(segment) : undefined;
        if (whole !== undefined) replace(changes, segment, whole);
        else
          for (const character of segment) {
            const replacement = table.replacement(character);
            if (replacement === undefined) changes.push([character, 0]);
            else replace(changes, character, replacement);
          }
      }
      return piece.changed(changes);
    };
  },
};

/**
 * Adds characters in place of others: those that are more were added, and the last one before stands also for those
 * that are fewer.
 */
function replace(changes: Change[], old: string, fresh: string): void {
  const characters = Array.from(fresh);
  const difference = characters.length - Array.from(old).length;
  for (const [i, character] of characters.entries())
    changes.push([character, i >= characters.length - difference ? 1 : 0]);
  const last = changes.at(-1);
  if (difference < 0 && last) changes[changes.length - 1] = [last[0], last[1] + difference];
}

const lowercase: Normalizer = (piece) =>
  isAscii(piece.text)
    ? piece.map((c) => c.toLowerCase())
    : piece.changed(
        piece.characters.flatMap((c) => Array.from(c.toLowerCase(), (lower, i): Change => [lower, i > 0 ? 1 : 0])),
      );

/** Each byte as a character of GPT-2's alphabet. */
export const toBytes: Normalizer = (piece) => {
  if (isAscii(piece.text)) return piece.map((c) => byteCharacters[c.charCodeAt(0)]);
  const utf8 = new TextEncoder();
  return piece.changed(
    piece.characters.flatMap((c) =>
      Array.from(utf8.encode(c), (byte, i): Change => [byteCharacters[byte], i > 0 ? 1 : 0]),
    ),
  );
};
