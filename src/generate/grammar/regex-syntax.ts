import { OptionError } from "../../base/index.ts";
import {
  type CodePoints,
  charactersOf,
  classEscapes,
  complement,
  dotCharacters,
  propertyCharacters,
  union,
  withOtherCases,
} from "./code-points.ts";
import { alternatives, characters, type Expression, repeat, sequence } from "./expression.ts";
import { grammarLimits, requireWithin } from "./limits.ts";

/** A condition on what follows the beginning of a text. */
export interface LookAhead {
  readonly body: Expression;
  readonly isNegative: boolean;
}

/** A regular expression, read. */
export interface RegexTree {
  readonly expression: Expression;
  /** Looks ahead directly behind the ^ that it begins with. */
  readonly lookAheads: readonly LookAhead[];
}

export interface RegexFlags {
  /** Letters stand for their other cases too. @default false */
  ignoreCase?: boolean;
  /** A dot stands for ends of lines too. @default false */
  dotAll?: boolean;
}

const controls: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", f: "\f", v: "\v", 0: "\0" };

/**
 * Reads a regular expression: ECMAScript's, with Unicode, and of Python's what means the same: (?P<name>...), (?i:...),
 * \A and \Z. Greedy and lazy repetitions describe the same texts.
 * @throws OptionError for what needs to look back, around or behind: \1, \b, (?<=...), (?>...)
 */
export function parseRegex(source: string, where: string, flags: RegexFlags = {}): RegexTree {
  requireWithin("sourceCharacters", source.length, where, "characters");
  return new RegexParser(source, where, flags).all();
}

class RegexParser {
  private readonly source: readonly string[];
  private readonly where: string;
  private ignoreCase: boolean;
  private dotAll: boolean;
  private at = 0;
  private depth = 0;

  constructor(source: string, where: string, { ignoreCase = false, dotAll = false }: RegexFlags) {
    this.source = Array.from(source);
    this.where = where;
    this.ignoreCase = ignoreCase;
    this.dotAll = dotAll;
  }

  all(): RegexTree {
    this.readLeadingFlags();
    const start = this.at;
    const lookAheads: LookAhead[] = [];
    if (this.skip("^")) {
      while (this.sees("(?=") || this.sees("(?!")) {
        const isNegative = this.sees("(?!");
        this.at += 3;
        lookAheads.push({ body: this.group(), isNegative });
      }
    }
    if (lookAheads.length === 0) this.at = start;
    const expression = this.alternatives();
    if (this.at < this.source.length) throw this.fail("each parenthesis opened and closed");
    if (lookAheads.length === 0) return { expression, lookAheads };
    const isWhole = expression.type !== "alternatives";
    if (!isWhole) throw this.fail("no | beside a look ahead; put the alternatives into a group");
    return { expression: sequence({ type: "anchor", at: "start" }, expression), lookAheads };
  }

  private readLeadingFlags(): void {
    const [whole, letters] = /^\(\?([is]+)\)/.exec(this.source.slice(0, 8).join("")) ?? [];
    if (whole === undefined) return;
    this.at = whole.length;
    this.ignoreCase ||= letters.includes("i");
    this.dotAll ||= letters.includes("s");
  }

  private fail(expected: string): OptionError {
    const near = this.source.slice(Math.max(0, this.at - 20), this.at + 20).join("");
    return new OptionError({
      where: this.where,
      expected: `a regular expression with ${expected}`,
      received: `${JSON.stringify(near)}, at character ${this.at}`,
      fix: "write it by what each character may be: a finite automaton has to match it",
    });
  }

  private sees(text: string): boolean {
    for (let i = 0; i < text.length; i++) if (this.source[this.at + i] !== text[i]) return false;
    return true;
  }

  private skip(text: string): boolean {
    if (!this.sees(text)) return false;
    this.at += text.length;
    return true;
  }

  /** What a pattern of ASCII finds here, of at most 30 characters. */
  private scan(pattern: RegExp): RegExpExecArray | null {
    const match = pattern.exec(this.source.slice(this.at, this.at + 30).join(""));
    if (match) this.at += match[0].length;
    return match;
  }

  private alternatives(): Expression {
    if (++this.depth > grammarLimits.nesting) throw this.fail(`at most ${grammarLimits.nesting} groups in one another`);
    const options: Expression[] = [];
    do {
      const parts: Expression[] = [];
      while (this.at < this.source.length && !this.sees("|") && !this.sees(")")) parts.push(this.quantified());
      options.push(sequence(...parts));
    } while (this.skip("|"));
    this.depth--;
    return alternatives(...options);
  }

  private quantified(): Expression {
    const atom = this.atom();
    const sign = this.scan(/^(?:([*+?])|\{(\d{1,6})(?:(,)(\d{0,6}))?\})([?+]?)/);
    if (!sign) return atom;
    const [, kind, from, comma, to, mode] = sign;
    if (mode === "+") throw this.fail("no possessive repetitions");
    if (atom.type === "anchor") throw this.fail("something to repeat before each repetition");
    if (/^[*+?{]/.test(this.source[this.at] ?? "") && this.isQuantifier()) throw this.fail("one repetition at a time");
    const infinite = Number.POSITIVE_INFINITY;
    if (kind) return repeat(atom, kind === "+" ? 1 : 0, kind === "?" ? 1 : infinite);
    const min = Number(from);
    const max = comma === undefined ? min : to === "" ? infinite : Number(to);
    if (min > max) throw this.fail("repetitions from a smaller to a larger number");
    return repeat(atom, min, max);
  }

  private isQuantifier(): boolean {
    return /^(?:[*+?]|\{\d{1,6}(?:,\d{0,6})?\})/.test(this.source.slice(this.at, this.at + 16).join(""));
  }

  private atom(): Expression {
    const character = this.source[this.at];
    if (character === "(") return this.opened();
    if (character === "[") return this.set(this.brackets());
    if (this.isQuantifier()) throw this.fail("something to repeat before each repetition");
    this.at++;
    if (character === ".") return characters(this.dotAll ? complement([]) : dotCharacters);
    if (character === "^") return { type: "anchor", at: "start" };
    if (character === "$") return { type: "anchor", at: "end" };
    if (character !== "\\") return this.set(charactersOf(character));
    if (this.skip("A")) return { type: "anchor", at: "start" };
    if (this.skip("Z") || this.skip("z")) return { type: "anchor", at: "end" };
    if (this.sees("b") || this.sees("B")) throw this.fail("no \\b or \\B");
    return this.set(this.escape());
  }

  private set(set: CodePoints): Expression {
    return characters(this.ignoreCase ? withOtherCases(set) : set);
  }

  /** A group, whose parenthesis opens here. */
  private opened(): Expression {
    const [opening, , flags] = this.scan(/^\((\?(?:([is]*):|P?<[A-Za-z_]\w*>))?/)!;
    if (opening === "(" && this.sees("?"))
      throw this.fail("plain groups: looks ahead only directly behind the ^ at the beginning, none behind");
    const { ignoreCase, dotAll } = this;
    if (flags?.includes("i")) this.ignoreCase = true;
    if (flags?.includes("s")) this.dotAll = true;
    const body = this.group();
    this.ignoreCase = ignoreCase;
    this.dotAll = dotAll;
    return body;
  }

  /** Alternatives up to the parenthesis that closes. */
  private group(): Expression {
    const body = this.alternatives();
    if (!this.skip(")")) throw this.fail("each parenthesis opened and closed");
    return body;
  }

  /** What stands behind a backslash. */
  private escape(): CodePoints {
    const character = this.source[this.at++];
    if (character === undefined) throw this.fail("something behind each backslash");
    if (Object.hasOwn(classEscapes, character)) return classEscapes[character];
    if (character === "p" || character === "P") {
      const name = this.scan(/^\{([\w=]{1,25})\}/)?.[1] ?? "";
      const set = propertyCharacters(name);
      if (!set) throw this.fail("a property of Unicode behind \\p, as in \\p{Letter}");
      return character === "P" ? complement(set) : set;
    }
    if (character === "x" || character === "u") return charactersOf(this.codePoint(character));
    if (character === "c") {
      const letter = this.scan(/^[A-Za-z]/)?.[0];
      if (!letter) throw this.fail("a letter behind \\c");
      return [letter.charCodeAt(0) % 32, letter.charCodeAt(0) % 32];
    }
    if (character === "0" && /\d/.test(this.source[this.at] ?? "")) throw this.fail("no octal numbers");
    if (Object.hasOwn(controls, character)) return charactersOf(controls[character]);
    if (/[A-Za-z0-9]/.test(character)) throw this.fail(`no \\${character}`);
    return charactersOf(character);
  }

  private codePoint(kind: "x" | "u"): string {
    const digits =
      kind === "x"
        ? this.scan(/^[0-9a-fA-F]{2}/)?.[0]
        : (this.scan(/^\{([0-9a-fA-F]{1,6})\}/)?.[1] ?? this.scan(/^[0-9a-fA-F]{4}/)?.[0]);
    let code = Number.parseInt(digits ?? "", 16);
    const low = kind === "u" && code >= 0xd800 && code < 0xdc00 ? this.scan(/^\\u([dD][c-fC-F][0-9a-fA-F]{2})/) : null;
    if (low) code = 0x10000 + ((code - 0xd800) << 10) + (Number.parseInt(low[1], 16) - 0xdc00);
    if (!(code <= 0x10ffff) || (code >= 0xd800 && code <= 0xdfff))
      throw this.fail("a character's code behind \\x and \\u");
    return String.fromCodePoint(code);
  }

  private brackets(): CodePoints {
    this.at++;
    const isNegated = this.skip("^");
    const sets: CodePoints[] = [];
    while (!this.sees("]")) {
      if (this.at >= this.source.length) throw this.fail("each bracket closed");
      const first = this.member();
      if (!this.sees("-") || this.source[this.at + 1] === "]" || this.at + 1 >= this.source.length) {
        sets.push(first);
        continue;
      }
      this.at++;
      const last = this.member();
      const isRange = first.length === 2 && last.length === 2 && first[0] === first[1] && last[0] === last[1];
      if (!isRange || first[0] > last[0]) throw this.fail("ranges from a smaller to a larger character");
      sets.push(union([[first[0], last[0]]]));
    }
    this.at++;
    const set = union(sets);
    const folded = this.ignoreCase ? withOtherCases(set) : set;
    return isNegated ? complement(folded) : folded;
  }

  private member(): CodePoints {
    const character = this.source[this.at++];
    if (character !== "\\") return charactersOf(character);
    if (this.skip("b")) return charactersOf("\b");
    if (this.skip("-")) return charactersOf("-");
    return this.escape();
  }
}
