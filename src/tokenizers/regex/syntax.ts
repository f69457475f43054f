/**
 * The regular expressions of tokenizer.json, in Oniguruma's form, as trees.
 * https://github.com/kkos/oniguruma/blob/master/doc/RE
 */
import { DataError, withinLimit } from "../../base/index.ts";
import { propertyClass } from "./properties.ts";

export type Regex =
  /** One character of a set, which `source` names in JavaScript's form (flag v). */
  | { type: "characters"; source: string }
  /** A place between characters, in JavaScript's form. */
  | { type: "place"; source: string }
  | { type: "sequence"; parts: readonly Regex[] }
  | { type: "alternatives"; options: readonly Regex[] }
  | { type: "repeat"; body: Regex; min: number; max: number; mode: "greedy" | "lazy" | "possessive" }
  /** A look ahead or behind. */
  | { type: "look"; opening: "(?=" | "(?!" | "(?<=" | "(?<!"; body: Regex }
  /** What gives nothing back once it has matched. */
  | { type: "atomic"; body: Regex };

const WORD = "\\p{L}\\p{M}\\p{N}\\p{Pc}";
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
/** Lines end at \n alone. */
const places: Readonly<Record<string, string>> = {
  "^": "(?<=\\n|(?<![\\s\\S]))",
  $: "(?=\\n|(?![\\s\\S]))",
  "\\A": "(?<![\\s\\S])",
  "\\z": "(?![\\s\\S])",
  "\\Z": "(?=\\n?(?![\\s\\S]))",
  "\\b": `(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`,
  "\\B": `(?:(?<=[${WORD}])(?=[${WORD}])|(?<![${WORD}])(?![${WORD}]))`,
};
const controls: Readonly<Record<string, string>> = {
  n: "\n",
  r: "\r",
  t: "\t",
  f: "\f",
  v: "\v",
  a: "\x07",
  e: "\x1b",
  0: "\0",
};
/** Oniguruma's own limit. */
const MAX_REPETITIONS = 100_000;
/** Groups inside one another: the reader calls itself for each. */
const MAX_DEPTH = 50;

/**
 * Reads a regular expression.
 * @throws DataError for what matches by more than the characters in front of it, such as backreferences, and for what
 *   is no regular expression
 */
export function parseRegex(source: string, where: string): Regex {
  withinLimit("regexLength", source.length, where, "characters of a regular expression");
  return new Parser(source, where).all();
}

class Parser {
  private readonly characters: readonly string[];
  private readonly source: string;
  private readonly where: string;
  private at = 0;
  private depth = 0;

  constructor(source: string, where: string) {
    this.source = source;
    this.characters = Array.from(source);
    this.where = where;
  }

  all(): Regex {
    const regex = this.alternatives(false);
    if (this.at < this.characters.length) throw this.fail("each parenthesis opened and closed");
    return regex;
  }

  private fail(expected: string): DataError {
    const received = JSON.stringify(this.source.slice(0, 80));
    return new DataError({
      where: this.where,
      expected: `a regular expression with ${expected}`,
      received,
      fix: "use a tokenizer that has another",
    });
  }

  private peek(text: string): boolean {
    return Array.from(text).every((character, i) => this.characters[this.at + i] === character);
  }

  private skip(text: string): boolean {
    if (!this.peek(text)) return false;
    this.at += Array.from(text).length;
    return true;
  }

  /** What a sticky pattern of ASCII finds here, at most 30 characters long. */
  private scan(pattern: RegExp): RegExpExecArray | null {
    const match = pattern.exec(this.characters.slice(this.at, this.at + 30).join(""));
    if (match) this.at += match[0].length;
    return match;
  }

  /** Up to the end, or to a parenthesis that closes. */
  private alternatives(ignoresCase: boolean): Regex {
    if (++this.depth > MAX_DEPTH) throw this.fail(`at most ${MAX_DEPTH} groups inside one another`);
    const options: Regex[] = [];
    let isFolded = ignoresCase;
    do {
      const parts: Regex[] = [];
      while (this.at < this.characters.length && !this.peek("|") && !this.peek(")")) {
        if (this.skip("(?i)")) isFolded = true;
        else parts.push(this.quantified(this.atom(isFolded)));
      }
      options.push(parts.length === 1 ? parts[0] : { type: "sequence", parts });
    } while (this.skip("|"));
    this.depth--;
    return options.length === 1 ? options[0] : { type: "alternatives", options };
  }

  /** An atom and the quantifiers behind it, of which a + behind an interval is one of its own. */
  private quantified(atom: Regex): Regex {
    let body = atom;
    for (let times = this.repetitions(); times; times = this.repetitions()) {
      if (atom.type === "place") throw this.fail("something to repeat before each quantifier");
      body = { type: "repeat", body, ...times };
    }
    return body;
  }

  private repetitions(): Pick<Regex & { type: "repeat" }, "min" | "max" | "mode"> | undefined {
    const sign = this.scan(/^([*+?])([+?]?)/);
    if (sign) {
      const [, kind, mode] = sign;
      const isLazy = mode === "?";
      return {
        min: kind === "+" ? 1 : 0,
        max: kind === "?" ? 1 : Number.POSITIVE_INFINITY,
        mode: mode === "+" ? "possessive" : isLazy ? "lazy" : "greedy",
      };
    }
    const interval = this.scan(/^\{(\d*)(?:(,)(\d*))?\}(\??)/);
    if (!interval) return undefined;
    const [, from, comma, to, lazy] = interval;
    const min = Number(from);
    const max = comma === undefined ? min : to === "" ? Number.POSITIVE_INFINITY : Number(to);
    const isOrdered = min <= max && (max <= MAX_REPETITIONS || max === Number.POSITIVE_INFINITY);
    if (!isOrdered || (from === "" && (to ?? "") === ""))
      throw this.fail("repetitions from a smaller to a larger number");
    return { min, max, mode: lazy ? "lazy" : "greedy" };
  }

  private atom(ignoresCase: boolean): Regex {
    const character = this.characters[this.at];
    if (character === "(") return this.group(ignoresCase);
    if (character === "[") return { type: "characters", source: this.brackets(ignoresCase) };
    if ("*+?".includes(character)) throw this.fail("something to repeat before each quantifier");
    this.at++;
    if (character === ".") return { type: "characters", source: "[^\\n]" };
    if (Object.hasOwn(places, character)) return { type: "place", source: places[character] };
    if (character !== "\\") return { type: "characters", source: literal(character, ignoresCase) };
    const place = `\\${this.characters[this.at]}`;
    if (Object.hasOwn(places, place)) {
      this.at++;
      return { type: "place", source: places[place] };
    }
    return { type: "characters", source: this.escape(ignoresCase) };
  }

  private group(ignoresCase: boolean): Regex {
    const match = this.scan(/^\((?:\?(?:<=|<!|[=!>:]|<[A-Za-z_]\w*>|(-?)i:))?/);
    if (!match || this.peek("?")) throw this.fail("groups, looks ahead and behind, (?>...) and (?i:...)");
    const [opening, minus] = match;
    const body = this.alternatives(opening.endsWith("i:") ? minus !== "-" : ignoresCase);
    if (!this.skip(")")) throw this.fail("each parenthesis opened and closed");
    if (opening === "(?>") return { type: "atomic", body };
    if (opening === "(?=" || opening === "(?!" || opening === "(?<=" || opening === "(?<!")
      return { type: "look", opening, body };
    return body;
  }

  /** What stands behind a backslash, as a set. */
  private escape(ignoresCase: boolean): string {
    const character = this.characters[this.at++];
    if (character === undefined) throw this.fail("something behind each backslash");
    if (character === "p" || character === "P") {
      const match = this.scan(/^\{(\^?)([\w\s=-]+)\}/);
      if (!match) throw this.fail("a name behind \\p");
      return propertyClass(match[2], (character === "P") !== (match[1] === "^"));
    }
    if (character === "x" || character === "u") {
      const digits =
        this.scan(/^\{([0-9a-fA-F]{1,6})\}/)?.[1] ??
        this.scan(character === "x" ? /^[0-9a-fA-F]{1,2}/ : /^[0-9a-fA-F]{4}/)?.[0];
      const code = Number.parseInt(digits ?? "", 16);
      if (!(code <= 0x10ffff)) throw this.fail("code points behind \\x and \\u");
      return literal(String.fromCodePoint(code), ignoresCase);
    }
    if (Object.hasOwn(classes, character)) return classes[character];
    if (Object.hasOwn(controls, character)) return literal(controls[character], false);
    if (/[A-Za-z1-9]/.test(character)) throw this.fail("no backreferences, calls or other extensions");
    return literal(character, ignoresCase);
  }

  /** A set in brackets: characters, ranges, sets within, and && between sets that must both have a character. */
  private brackets(ignoresCase: boolean): string {
    if (++this.depth > MAX_DEPTH) throw this.fail(`at most ${MAX_DEPTH} sets inside one another`);
    this.at++;
    const isNegated = this.skip("^");
    const operands: string[][] = [[]];
    for (let isFirst = true; isFirst || !this.peek("]"); isFirst = false) {
      if (this.at >= this.characters.length) throw this.fail("each bracket closed");
      if (this.skip("&&")) operands.push([]);
      else operands[operands.length - 1].push(this.member(ignoresCase));
    }
    this.at++;
    this.depth--;
    const sets = operands.map((members) => members.join(""));
    return `[${isNegated ? "^" : ""}${sets.length === 1 ? sets[0] : sets.map((set) => `[${set}]`).join("&&")}]`;
  }

  /** A character, a range of two, a class or a set within a set. */
  private member(ignoresCase: boolean): string {
    const posix = this.scan(/^\[:(\^?)([a-z]+):\]/);
    if (posix) return propertyClass(posix[2], posix[1] === "^");
    if (this.peek("[")) return this.brackets(ignoresCase);
    const first = this.single(ignoresCase);
    const isRange =
      first.character !== undefined &&
      this.peek("-") &&
      this.characters[this.at + 1] !== "]" &&
      this.at + 1 < this.characters.length;
    if (!isRange) return first.source;
    this.at++;
    const last = this.single(ignoresCase);
    if (last.character === undefined) return `${first.source}\\-${last.source}`;
    const [from, to] = [first.character as string, last.character].map(
      (character) => character.codePointAt(0) as number,
    );
    if (from > to) throw this.fail("ranges from a smaller to a larger character");
    const range = `${escaped(first.character as string)}-${escaped(last.character)}`;
    return ignoresCase ? range + foldedRange(from, to) : range;
  }

  /** One member of a set; its character where it is one alone. */
  private single(ignoresCase: boolean): { source: string; character?: string } {
    const character = this.characters[this.at++];
    if (character !== "\\") return { source: cases(character, ignoresCase).map(escaped).join(""), character };
    const start = this.at;
    if (this.skip("b")) return { source: "\\x08", character: "\b" };
    const source = this.escape(ignoresCase);
    const isClass = source.startsWith("\\p") || source.startsWith("\\P") || classes[this.characters[start]] === source;
    return isClass ? { source } : { source, character: characterOf(this.escapedAgain(start)) };
  }

  /** The escape that begins at a place once more, without other cases. */
  private escapedAgain(start: number): string {
    this.at = start;
    return this.escape(false);
  }
}

/** A character in JavaScript's form, inside of brackets or outside. */
function escaped(character: string): string {
  if (/[\p{L}\p{N}]/u.test(character)) return character;
  return `\\u{${(character.codePointAt(0) as number).toString(16)}}`;
}
/** The character of what `escaped` gives. */
const characterOf = (source: string): string =>
  source.startsWith("\\u{") ? String.fromCodePoint(Number.parseInt(source.slice(3, -1), 16)) : source;

/** Characters that are the same but for their case, as Unicode folds them: also the long s and the sign for kelvin. */
function cases(character: string, ignoresCase: boolean): string[] {
  if (!ignoresCase) return [character];
  const all = new Set(
    [character, character.toLowerCase(), character.toUpperCase()].filter((each) => Array.from(each).length === 1),
  );
  if (/s/i.test(character)) all.add("\u017f");
  if (/k/i.test(character)) all.add("\u212a");
  return [...all];
}

function literal(character: string, ignoresCase: boolean): string {
  const all = cases(character, ignoresCase).map(escaped);
  return all.length === 1 ? all[0] : `[${all.join("")}]`;
}

/** Other cases of the letters in a range; of large ranges, which have them, none. */
function foldedRange(from: number, to: number): string {
  if (to - from > 1000) return "";
  const all = Array.from({ length: to - from + 1 }, (_, i) => cases(String.fromCodePoint(from + i), true)).flat();
  return [...new Set(all)].map(escaped).join("");
}
