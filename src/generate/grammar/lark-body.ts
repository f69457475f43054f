import { charactersOf, union, withOtherCases } from "./code-points.ts";
import {
  alternatives,
  automaton,
  characters,
  type Expression,
  optional,
  repeat,
  sequence,
  text,
} from "./expression.ts";
import type { Languages } from "./languages.ts";
import type { LarkTokens } from "./lark-tokens.ts";
import { grammarLimits } from "./limits.ts";
import { matchLanguage } from "./regex.ts";

/** What the description of a rule or terminal is read with. */
export interface LarkContext {
  readonly languages: Languages;
  /** What a name stands for. */
  reference(name: string): Expression;
  /** A terminal with what may stand behind it. */
  terminal(expression: Expression): Expression;
}

export const isTerminalName = (name: string): boolean => /^_?[A-Z]/.test(name);

/** Reads descriptions: what stands behind the colon of a rule or terminal. */
export class LarkBody {
  private readonly tokens: LarkTokens;
  private readonly context: LarkContext;
  private depth = 0;

  constructor(tokens: LarkTokens, context: LarkContext) {
    this.tokens = tokens;
    this.context = context;
  }

  alternatives(): Expression {
    const { tokens } = this;
    if (++this.depth > grammarLimits.nesting) tokens.fail(`at most ${grammarLimits.nesting} groups in one another`);
    const options: Expression[] = [];
    do {
      const parts: Expression[] = [];
      for (let part = this.item(); part; part = this.item()) parts.push(this.repeated(part));
      if (tokens.skip("->") && tokens.take("name") === undefined) tokens.fail("a name behind ->");
      options.push(sequence(...parts));
    } while (tokens.skip("|"));
    this.depth--;
    return alternatives(...options);
  }

  private item(): Expression | undefined {
    const { tokens, context } = this;
    if (tokens.skip("(")) return this.closed(")");
    if (tokens.skip("[")) return optional(this.closed("]"));
    const name = tokens.take("name");
    if (name !== undefined) {
      if (tokens.skip("{")) tokens.fail("no templates");
      const named = context.reference(name);
      return isTerminalName(name) ? context.terminal(named) : named;
    }
    const literal = this.regex() ?? this.string();
    return literal && context.terminal(literal);
  }

  private closed(sign: string): Expression {
    const body = this.alternatives();
    if (!this.tokens.skip(sign)) this.tokens.fail(`"${sign}"`);
    return body;
  }

  private regex(): Expression | undefined {
    const { tokens } = this;
    const whole = tokens.take("regex");
    if (whole === undefined) return undefined;
    const end = whole.lastIndexOf("/");
    const flags = whole.slice(end + 1);
    if (/[mx]/.test(flags)) tokens.fail("no flags m and x behind a regular expression");
    const source = whole.slice(1, end).replaceAll("\\/", "/");
    const options = { ignoreCase: flags.includes("i"), dotAll: flags.includes("s") };
    return automaton(matchLanguage(source, tokens.where, this.context.languages, options));
  }

  private string(): Expression | undefined {
    const { tokens } = this;
    const first = tokens.take("string");
    if (first === undefined) return undefined;
    if (!tokens.skip("..")) return first.endsWith("i") ? inAnyCase(this.value(first)) : text(this.value(first));
    const last = tokens.take("string") ?? tokens.fail('a character behind ".."');
    const [from, to] = [first, last].map((quoted) => Array.from(this.value(quoted)));
    const isRange = from.length === 1 && to.length === 1 && from[0].codePointAt(0)! <= to[0].codePointAt(0)!;
    if (!isRange) tokens.fail("a range from one character to a larger one");
    return characters(union([[from[0].codePointAt(0)!, to[0].codePointAt(0)!]]));
  }

  /** The text that a string in quotes stands for. */
  private value(quoted: string): string {
    const source = quoted.slice(1, quoted.lastIndexOf('"'));
    return source.replace(
      /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/gu,
      (_, x, u, long, sign) => {
        if (sign !== undefined) return ({ n: "\n", r: "\r", t: "\t", f: "\f" } as Record<string, string>)[sign] ?? sign;
        const code = Number.parseInt(x ?? u ?? long, 16);
        if (!(code <= 0x10ffff) || (code >= 0xd800 && code <= 0xdfff))
          this.tokens.fail("escapes that stand for characters");
        return String.fromCodePoint(code);
      },
    );
  }

  private repeated(body: Expression): Expression {
    const { tokens } = this;
    let repeated = body;
    let count = 0;
    for (let sign = tokens.take("operator"); sign !== undefined; sign = tokens.take("operator")) {
      if (++count > grammarLimits.nesting) tokens.fail("fewer repetitions of repetitions");
      repeated = repeat(repeated, sign === "+" ? 1 : 0, sign === "?" ? 1 : Number.POSITIVE_INFINITY);
    }
    if (!tokens.skip("~")) return repeated;
    const number = () => Number(tokens.take("number") ?? tokens.fail("a number of repetitions"));
    const min = number();
    const max = tokens.skip("..") ? number() : min;
    if (min < 0 || min > max) tokens.fail("repetitions from a smaller to a larger number");
    return repeat(repeated, min, max);
  }
}

/** Letters in any case. */
const inAnyCase = (value: string): Expression =>
  sequence(...Array.from(value, (character) => characters(withOtherCases(charactersOf(character)))));
