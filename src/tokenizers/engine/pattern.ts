import { DataError } from "../../ir/index.ts";
import { anyOf } from "../json-parts.ts";
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
    const found: Matches = [];
    let start = 0;
    characters.forEach((character, i) => {
      if (!isMatch(character)) return;
      if (start < i) found.push([false, start, i]);
      found.push([true, i, i + 1]);
      start = i + 1;
    });
    if (start < characters.length) found.push([false, start, characters.length]);
    return found;
  };

/** A pattern of a tokenizer.json: {"String": ...} or {"Regex": ...} in Oniguruma's form. @throws DataError for one that is not understood */
export function patternOf(where: string, json: unknown): Pattern {
  const { String: plain, Regex: regex } = (json ?? {}) as { String?: unknown; Regex?: unknown };
  if (typeof plain === "string") return byRegex(new RegExp(anyOf([plain]), "gu"));
  if (typeof regex === "string") {
    const source = fromOniguruma(regex);
    try {
      return byRegex(new RegExp(source.text, source.flags));
    } catch (cause) {
      throw new DataError({
        where,
        expected: "a regular expression that JavaScript has too",
        received: regex.slice(0, 80),
        fix: "in Node, install the package tokenizers",
        cause,
      });
    }
  }
  throw new DataError({ where, expected: "a String or a Regex", received: JSON.stringify(json) ?? "none", fix: "fetch the file again" });
}

/** @param regex with the flags g, and u or v */
export function byRegex(regex: RegExp): Pattern {
  return (piece) => {
    const { text, characters } = piece;
    const places = text.length === characters.length ? undefined : characterPlaces(characters, text.length);
    const place = (unit: number) => (places ? places[unit] : unit);
    const found: Matches = [];
    let [last, lastMatch] = [0, -1];
    regex.lastIndex = 0;
    for (let match = regex.exec(text); match; match = regex.exec(text)) {
      const [start, end] = [match.index, match.index + match[0].length];
      if (start === end) regex.lastIndex = end + ((text.codePointAt(end) ?? 0) > 0xffff ? 2 : 1);
      if (start === end && start === lastMatch) continue; // nothing, right behind a match
      if (last < start) found.push([false, place(last), place(start)]);
      found.push([true, place(start), place(end)]);
      last = lastMatch = end;
    }
    if (last < text.length) found.push([false, place(last), characters.length]);
    return found;
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
  const matches = pattern(piece).map(([isMatch, start, end]): [boolean, number, number] => [isMatch !== isInverted, start, end]);
  return rangesOf(matches, behavior).flatMap(([start, end]) => (start < end ? [piece.slice(start, end)] : []));
}

function rangesOf(matches: Matches, behavior: SplitBehavior): [number, number][] {
  const ranges: [number, number][] = [];
  let before: boolean | undefined;
  const isReversed = behavior === "MergedWithNext";
  for (const [isMatch, start, end] of isReversed ? matches.toReversed() : matches) {
    const last = ranges.at(-1);
    const isJoined = behavior === "Contiguous" ? isMatch === before : behavior.startsWith("Merged") && isMatch && before !== true;
    if (behavior === "Removed" && isMatch) continue;
    if (last && isJoined) last[isReversed ? 0 : 1] = isReversed ? start : end;
    else ranges.push([start, end]);
    before = isMatch;
  }
  return isReversed ? ranges.reverse() : ranges;
}

const WORD = "\\p{L}\\p{M}\\p{N}\\p{Pc}";
/** What Oniguruma means by its classes, also inside of brackets; and by places, outside of them. */
const classes: Readonly<Record<string, string>> = {
  s: "\\p{White_Space}",
  S: "\\P{White_Space}",
  d: "\\p{Nd}",
  D: "\\P{Nd}",
  w: `[${WORD}]`,
  W: `[^${WORD}]`,
  h: "[0-9a-fA-F]",
  H: "[^0-9a-fA-F]",
};
const anchors: Readonly<Record<string, string>> = { A: "(?<![\\s\\S])", z: "(?![\\s\\S])", Z: "(?=\\n?(?![\\s\\S]))" };
const syntax = new Set("^$\\.*+?()[]{}|/-");

/**
 * A regular expression of Oniguruma's in JavaScript's form: classes are Unicode's, (?i:...) becomes both cases of its letters, and what a possessive
 * quantifier took is not given back.
 */
function fromOniguruma(source: string): { text: string; flags: string } {
  const isWhole = source.startsWith("(?i)");
  const text = new Translator(isWhole ? source.slice(4) : source).all();
  return { text, flags: isWhole ? "giv" : "gv" };
}

class Translator {
  private readonly source: readonly string[];
  private at = 0;
  private groups = 0;

  constructor(source: string) {
    this.source = Array.from(source);
  }

  all(): string {
    let out = "";
    while (this.at < this.source.length) out += this.alternatives(false) + (this.source[this.at] === ")" ? this.source[this.at++] : "");
    return out;
  }

  /** Up to the end or a bracket that closes a group. */
  private alternatives(ignoresCase: boolean): string {
    let out = "";
    while (this.at < this.source.length && this.source[this.at] !== ")") {
      const start = this.source[this.at];
      const atom = start === "(" ? this.group(ignoresCase) : start === "[" ? this.brackets(ignoresCase) : this.single(ignoresCase);
      out += this.quantified(atom);
    }
    return out;
  }

  private quantified(atom: string): string {
    const [quantifier] = /^(?:[*+?]|\{\d*,?\d*\})[+?]?/.exec(this.source.slice(this.at, this.at + 12).join("")) ?? [];
    if (quantifier === undefined) return atom;
    this.at += quantifier.length;
    if (!/^(?:[*+?]|\{.*\})\+$/.test(quantifier) || quantifier.endsWith("}+")) return atom + quantifier;
    return this.atomic(atom + quantifier.slice(0, -1));
  }

  /** What gives nothing back: a lookahead is not tried again once it is found. */
  private atomic(inside: string): string {
    const name = `g${this.groups++}`;
    return `(?:(?=(?<${name}>${inside}))\\k<${name}>)`;
  }

  private group(ignoresCase: boolean): string {
    const rest = this.source.slice(this.at, this.at + 6).join("");
    const [opening] = /^\((?:\?(?:i:|>|<=|<!|[:=!]))?/.exec(rest) as RegExpExecArray;
    this.at += opening.length;
    const inside = this.alternatives(ignoresCase || opening === "(?i:");
    this.at++; // what closes it
    if (opening === "(?>") return this.atomic(inside);
    return `${opening === "(?i:" || opening === "(" ? "(?:" : opening}${inside})`;
  }

  private single(ignoresCase: boolean): string {
    const character = this.source[this.at++];
    if (character === "\\") return this.escape(false);
    if (character === "$") return "(?=\\n|(?![\\s\\S]))";
    if (character === "^") return "(?<=\\n|(?<![\\s\\S]))";
    if ("]{}/".includes(character)) return `\\${character}`;
    if (syntax.has(character)) return character;
    return ignoresCase ? bothCases(character) : character;
  }

  private escape(isInside: boolean): string {
    const character = this.source[this.at++];
    if (character === "p" || character === "P") {
      const end = this.source.indexOf("}", this.at);
      const name = this.source.slice(this.at, end + 1).join("");
      this.at = end + 1;
      const isNegated = name.startsWith("{^");
      return `\\${isNegated ? (character === "p" ? "P" : "p") : character}${name.replace("{^", "{")}`;
    }
    if (character === "x" || character === "u") {
      const [digits] = /^(?:\{[0-9a-fA-F]+\}|[0-9a-fA-F]{1,4})/.exec(this.source.slice(this.at, this.at + 10).join("")) ?? ["0"];
      const used = digits.startsWith("{") ? digits : digits.slice(0, character === "x" ? 2 : 4);
      this.at += used.length;
      return `\\u{${used.replace(/[{}]/g, "")}}`;
    }
    const found = classes[character];
    if (found) return found;
    if (!isInside && anchors[character]) return anchors[character];
    if (/[nrtfvbB0]/.test(character)) return `\\${character}`;
    return syntax.has(character) ? `\\${character}` : character;
  }

  private brackets(ignoresCase: boolean): string {
    this.at++;
    let out = "[";
    if (this.source[this.at] === "^") out += this.source[this.at++];
    for (let isFirst = true; this.at < this.source.length && (isFirst || this.source[this.at] !== "]"); isFirst = false) {
      const character = this.source[this.at++];
      if (character === "\\") out += this.escape(true);
      else if (character === "-" && !isFirst && this.source[this.at] !== "]") out += "-";
      else if (/[-[\]/(){}|^$.*+?&!#%,:;<=>@`~]/.test(character)) out += `\\${character}`;
      else out += ignoresCase && /\p{L}/u.test(character) && this.source[this.at] !== "-" && out.at(-1) !== "-" ? bothCases(character, true) : character;
    }
    this.at++;
    return `${out}]`;
  }
}

/** Characters that are the same but for their case, as Unicode folds them: also the long s and the sign for kelvin. */
function bothCases(character: string, isInside = false): string {
  const cases = new Set([character, character.toLowerCase(), character.toUpperCase()].filter((each) => Array.from(each).length === 1));
  if (/s/i.test(character)) cases.add("\u017f");
  if (/k/i.test(character)) cases.add("\u212a");
  const all = [...cases].join("");
  return isInside || cases.size === 1 ? all : `[${all}]`;
}
