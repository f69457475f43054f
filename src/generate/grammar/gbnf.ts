import { known, OptionError } from "../../base/index.ts";
import { anyCharacter, type CodePoints, charactersOf, complement, union } from "./code-points.ts";
import { alternatives, characters, type Expression, repeat, sequence, text } from "./expression.ts";
import type { Grammar } from "./grammar.ts";
import { grammarLimits, requireWithin } from "./limits.ts";
import { NamedRules } from "./named-rules.ts";

/** How a grammar in GBNF is read. */
export interface GbnfOptions {
  /** The rule of the whole text. @default "root" */
  root?: string;
}

/**
 * A grammar in llama.cpp's form of BNF.
 *
 * @example
 * const grammar = gbnfGrammar('root ::= "yes" | "no" (", " [a-z]+)?');
 * matchesGrammar(grammar, "no, thanks"); // true
 *
 * @throws OptionError with the line of what is not understood; tokens by number or name are not
 */
export function gbnfGrammar(source: string, options: GbnfOptions = {}): Grammar {
  known("gbnfGrammar", options, { root: true });
  requireWithin("sourceCharacters", source.length, "GBNF", "characters");
  const rules = new NamedRules("GBNF");
  new GbnfReader(source, rules).all();
  return rules.grammar(options.root ?? "root");
}

const escapes: Readonly<Record<string, string>> = {
  n: "\n",
  r: "\r",
  t: "\t",
  '"': '"',
  "[": "[",
  "]": "]",
  "\\": "\\",
};
const digitsOf: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

class GbnfReader {
  private readonly source: string;
  private readonly rules: NamedRules;
  private at = 0;
  private depth = 0;

  constructor(source: string, rules: NamedRules) {
    this.source = source;
    this.rules = rules;
  }

  all(): void {
    this.skipSpace(true);
    while (this.at < this.source.length) {
      const name = this.name() ?? this.fail("the name of a rule");
      this.skipSpace(false);
      if (!this.skip("::=")) this.fail('"::=" behind the name of a rule');
      this.skipSpace(true);
      this.rules.describe(name, this.alternatives(false));
      if (this.at < this.source.length && !/^\r?\n/.test(this.source.slice(this.at, this.at + 2)))
        this.fail("the end of the rule");
      this.skipSpace(true);
    }
  }

  private fail(expected: string): never {
    const line = this.source.slice(0, this.at).split("\n").length;
    const received = this.source.slice(this.at, this.at + 30);
    throw new OptionError({
      where: `GBNF, line ${line}`,
      expected,
      received: received === "" ? "the end" : JSON.stringify(received),
      fix: "correct the grammar",
    });
  }

  private skip(text: string): boolean {
    if (!this.source.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  private scan(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.source);
    if (match) this.at += match[0].length;
    return match;
  }

  private skipSpace(withLines: boolean): void {
    while (this.scan(withLines ? /[ \t\r\n]+|#[^\n]*/y : /[ \t]+|#[^\n]*/y));
  }

  private name(): string | undefined {
    return this.scan(/[a-zA-Z0-9_-]+/y)?.[0];
  }

  /** Inside parentheses a line may end anywhere, outside only behind |. */
  private alternatives(isInside: boolean): Expression {
    if (++this.depth > grammarLimits.nesting) this.fail(`at most ${grammarLimits.nesting} parentheses in one another`);
    const options = [this.sequence(isInside)];
    while (this.skip("|")) {
      this.skipSpace(true);
      options.push(this.sequence(isInside));
    }
    this.depth--;
    return alternatives(...options);
  }

  private sequence(isInside: boolean): Expression {
    const parts: Expression[] = [];
    for (let part = this.symbol(); part; part = this.symbol()) {
      const repeated = this.repeated(part);
      this.skipSpace(isInside);
      parts.push(repeated);
    }
    return sequence(...parts);
  }

  private symbol(): Expression | undefined {
    if (this.skip('"')) return this.quoted();
    if (this.skip("[")) return this.brackets();
    if (this.skip(".")) return characters(anyCharacter);
    if (this.skip("(")) {
      this.skipSpace(true);
      const body = this.alternatives(true);
      if (!this.skip(")")) this.fail('")"');
      return body;
    }
    if (this.source[this.at] === "<" || this.source[this.at] === "!") this.fail("no tokens by number or name");
    const name = this.name();
    return name === undefined ? undefined : this.rules.named(name);
  }

  private repeated(body: Expression): Expression {
    let repeated = body;
    for (;;) {
      const match = this.scan(/[ \t]*(?:([*+?])|\{[ \t]*(\d{1,6})[ \t]*(?:(,)[ \t]*(\d{0,6})[ \t]*)?\})/y);
      if (!match) return repeated;
      const [, sign, from, comma, to] = match;
      const infinite = Number.POSITIVE_INFINITY;
      const min = sign ? (sign === "+" ? 1 : 0) : Number(from);
      const max = sign ? (sign === "?" ? 1 : infinite) : comma === undefined ? min : to === "" ? infinite : Number(to);
      if (min > max) this.fail("repetitions from a smaller to a larger number");
      if (++this.depth > grammarLimits.nesting) this.fail("fewer repetitions of repetitions");
      repeated = repeat(repeated, min, max);
      this.depth--;
    }
  }

  private quoted(): Expression {
    let value = "";
    while (!this.skip('"')) value += this.character('closing "');
    return text(value);
  }

  private brackets(): Expression {
    const isNegated = this.skip("^");
    const sets: CodePoints[] = [];
    while (!this.skip("]")) {
      const first = this.character('closing "]"');
      if (this.source[this.at] !== "-" || this.source[this.at + 1] === "]") {
        sets.push(charactersOf(first));
        continue;
      }
      this.at++;
      const [from, to] = [first, this.character('closing "]"')].map((character) => character.codePointAt(0)!);
      if (from > to) this.fail("ranges from a smaller to a larger character");
      sets.push(union([[from, to]]));
    }
    return characters(isNegated ? complement(union(sets)) : union(sets));
  }

  private character(missing: string): string {
    const code = this.source.codePointAt(this.at);
    if (code === undefined || code === 10) this.fail(missing);
    const character = String.fromCodePoint(code);
    this.at += character.length;
    if (character !== "\\") return character;
    const kind = this.source[this.at++] ?? "";
    if (Object.hasOwn(escapes, kind)) return escapes[kind];
    const count = Object.hasOwn(digitsOf, kind) ? digitsOf[kind] : 0;
    const digits = this.source.slice(this.at, this.at + count);
    const value = Number.parseInt(digits, 16);
    const isCharacter = value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
    if (count === 0 || !new RegExp(`^[0-9a-fA-F]{${count}}$`).test(digits) || !isCharacter)
      this.fail("an escape that is known");
    this.at += count;
    return String.fromCodePoint(value);
  }
}
