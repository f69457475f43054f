import { DataError } from "../../base/index.ts";
import { anyOf } from "../json-parts.ts";
import { hasLoop, type Matcher, matcherOf, parseRegex, printRegex } from "../regex/index.ts";
import type { Piece } from "./piece.ts";

/** Parts of a piece in order, which cover it: whether the pattern matched, from which character to before which. */
export type Matches = [isMatch: boolean, start: number, end: number][];
export type Pattern = (piece: Piece) => Matches;

/** What becomes of the matches where a piece is cut. */
export type SplitBehavior = "Removed" | "Isolated" | "MergedWithPrevious" | "MergedWithNext" | "Contiguous";

/** A test of a character that remembers its answers: texts have few characters. */
export function remembered(test: (character: string) => boolean): (character: string) => boolean {
  const known = new Map<string, boolean>();
  return (character) => {
    let answer = known.get(character);
    if (answer === undefined) {
      answer = test(character);
      known.set(character, answer);
    }
    return answer;
  };
}
export const matching = (regex: RegExp) => remembered((character) => regex.test(character));
/** What belongs to a word, by Rust's regular expressions. */
export const WORD_CHARACTERS = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}";
export const isWhite = matching(/^\p{White_Space}$/u);

/** Each character that a test takes. */
export const byCharacter =
  (isMatch: (character: string) => boolean): Pattern =>
  ({ characters }) => {
    const matches: Matches = [];
    let start = 0;
    characters.forEach((character, i) => {
      if (!isMatch(character)) return;
      if (start < i) matches.push([false, start, i]);
      matches.push([true, i, i + 1]);
      start = i + 1;
    });
    if (start < characters.length) matches.push([false, start, characters.length]);
    return matches;
  };

/**
 * A pattern of a tokenizer.json: {"String": ...} or {"Regex": ...} in Oniguruma's form. @throws DataError for one that
 * is not understood
 */
export function patternOf(where: string, json: unknown): Pattern {
  const { String: plain, Regex: regex } = (json ?? {}) as { String?: unknown; Regex?: unknown };
  if (typeof plain === "string") return byRegex(new RegExp(anyOf([plain]), "gu"));
  if (typeof regex === "string") {
    const ignoresCase = regex.startsWith("(?i)");
    const tree = parseRegex(ignoresCase ? regex.slice("(?i)".length) : regex, where);
    try {
      if (hasLoop(tree)) return byMatcher(matcherOf(tree, where, ignoresCase));
      return byRegex(new RegExp(printRegex(tree), ignoresCase ? "giv" : "gv"));
    } catch (cause) {
      if (cause instanceof DataError) throw cause;
      throw new DataError({
        where,
        expected: "a regular expression that JavaScript has too",
        received: regex.slice(0, 80),
        fix: "in Node, install the package tokenizers",
        cause,
      });
    }
  }
  throw new DataError({
    where,
    expected: "a String or a Regex",
    received: JSON.stringify(json) ?? "none",
    fix: "fetch the file again",
  });
}

/** @param regex with the flags g, and u or v */
export function byRegex(regex: RegExp): Pattern {
  return (piece) => {
    const { text, characters } = piece;
    const places = text.length === characters.length ? undefined : characterPlaces(characters, text.length);
    const place = (unit: number) => (places ? places[unit] : unit);
    const matches: Matches = [];
    let [last, lastMatch] = [0, -1];
    regex.lastIndex = 0;
    for (let match = regex.exec(text); match; match = regex.exec(text)) {
      const [start, end] = [match.index, match.index + match[0].length];
      if (start === end) regex.lastIndex = end + ((text.codePointAt(end) ?? 0) > 0xffff ? 2 : 1);
      if (start === end && start === lastMatch) continue; // nothing, right behind a match
      if (last < start) matches.push([false, place(last), place(start)]);
      matches.push([true, place(start), place(end)]);
      last = lastMatch = end;
    }
    if (last < text.length) matches.push([false, place(last), characters.length]);
    return matches;
  };
}

/** Matches one after the other, as `exec` finds them with the flag g. */
function byMatcher(matcher: Matcher): Pattern {
  return ({ characters }) => {
    const ends = matcher(characters);
    const matches: Matches = [];
    let [last, lastMatch] = [0, -1];
    for (let start = 0; start <= characters.length; ) {
      const end = ends[start];
      const isNothing = end < 0 || (end === start && start === lastMatch); // none, or an empty one right behind a match
      if (!isNothing) {
        if (last < start) matches.push([false, last, start]);
        matches.push([true, start, end]);
        last = lastMatch = end;
      }
      start = Math.max(end, start + 1);
    }
    if (last < characters.length) matches.push([false, last, characters.length]);
    return matches;
  };
}

/** For each UTF-16 unit the character that it is in. */
function characterPlaces(characters: readonly string[], units: number): Int32Array {
  const places = new Int32Array(units + 1);
  let at = 0;
  characters.forEach((character, i) => {
    places[at] = i;
    at += character.length;
  });
  places[units] = characters.length;
  return places;
}

/** Pieces of a piece, without empty ones. */
export function split(piece: Piece, pattern: Pattern, behavior: SplitBehavior, isInverted = false): Piece[] {
  const matches = pattern(piece).map(([isMatch, start, end]): [boolean, number, number] => [
    isMatch !== isInverted,
    start,
    end,
  ]);
  return rangesOf(matches, behavior).flatMap(([start, end]) => (start < end ? [piece.slice(start, end)] : []));
}

function rangesOf(matches: Matches, behavior: SplitBehavior): [number, number][] {
  const ranges: [number, number][] = [];
  let before: boolean | undefined;
  const isReversed = behavior === "MergedWithNext";
  for (const [isMatch, start, end] of isReversed ? matches.toReversed() : matches) {
    const last = ranges.at(-1);
    const isJoined =
      behavior === "Contiguous" ? isMatch === before : behavior.startsWith("Merged") && isMatch && before !== true;
    if (behavior === "Removed" && isMatch) continue;
    if (last && isJoined) last[isReversed ? 0 : 1] = isReversed ? start : end;
    else ranges.push([start, end]);
    before = isMatch;
  }
  return isReversed ? ranges.reverse() : ranges;
}
