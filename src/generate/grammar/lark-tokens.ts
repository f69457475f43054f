import { OptionError } from "../../base/index.ts";

/** What a grammar's text is made of. */
export type LarkTokenKind = "newline" | "directive" | "name" | "string" | "regex" | "number" | "operator" | "sign";

interface LarkToken {
  readonly kind: LarkTokenKind;
  readonly text: string;
  readonly line: number;
}

const kinds: readonly [LarkTokenKind | undefined, RegExp][] = [
  [undefined, /[ \t\f]+|(?:\/\/|#)[^\n]*/y],
  // a line that begins with | goes on with the one before it
  [undefined, /(?:\r?\n(?:[ \t]*(?:\/\/|#)[^\n]*|[ \t]*))+(?=\|)/y],
  ["newline", /\r?\n/y],
  ["directive", /%[a-z]+/y],
  ["name", /_?[a-zA-Z][a-zA-Z0-9_]*/y],
  ["string", /"(?:[^"\\\n]|\\.)*"i?/y],
  ["regex", /\/(?!\/)(?:[^/\\\n]|\\.)+\/[imslux]*/y],
  ["number", /[+-]?\d{1,6}/y],
  ["operator", /[*+?]/y],
  ["sign", /->|\.\.|[|:.,~!(){}[\]]/y],
];

/** The tokens of a Lark grammar, taken one by one. */
export class LarkTokens {
  private readonly tokens: LarkToken[] = [];
  private readonly name: string;
  private at = 0;

  /** @param name what errors call the text */
  constructor(source: string, name = "Lark grammar") {
    this.name = name;
    let line = 1;
    for (let place = 0; place < source.length; ) {
      let end = place;
      for (const [kind, pattern] of kinds) {
        pattern.lastIndex = place;
        const [text] = pattern.exec(source) ?? [];
        if (text === undefined) continue;
        if (kind) this.tokens.push({ kind, text, line });
        line += text.split("\n").length - 1;
        end = place + text.length;
        break;
      }
      if (end === place) {
        this.tokens.push({ kind: "sign", text: source.slice(place, place + 10), line });
        this.at = this.tokens.length - 1;
        this.fail("a rule, a terminal, a string or a regular expression");
      }
      place = end;
    }
  }

  get isAtEnd(): boolean {
    return this.at >= this.tokens.length;
  }

  /** What errors name. */
  get where(): string {
    const { line } = this.tokens[Math.min(this.at, this.tokens.length - 1)] ?? { line: 1 };
    return `${this.name}, line ${line}`;
  }

  /** Whether a directive is there, anywhere. */
  has(directive: string): boolean {
    return this.tokens.some(({ kind, text }) => kind === "directive" && text === directive);
  }

  /** The text of the next token if it is of a kind; it is then behind. */
  take(kind: LarkTokenKind): string | undefined {
    const token = this.tokens[this.at];
    if (token?.kind !== kind) return undefined;
    this.at++;
    return token.text;
  }

  /** Whether the next token is some sign; it is then behind. */
  skip(text: string): boolean {
    const token = this.tokens[this.at];
    if (token?.kind !== "sign" || token.text !== text) return false;
    this.at++;
    return true;
  }

  fail(expected: string): never {
    const token = this.tokens[this.at];
    throw new OptionError({
      where: this.where,
      expected,
      received: token ? JSON.stringify(token.text.slice(0, 40)) : "the end",
      fix: "correct the grammar",
    });
  }
}
