/** Literals of Python, as JSON. */
import { limits } from "../../../base/index.ts";

const words: Readonly<Record<string, string>> = {
  True: "true",
  False: "false",
  None: "null",
  true: "true", // models mix the two
  false: "false",
  null: "null",
};
const escapes: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  b: "\b",
  f: "\f",
  v: "\v",
  a: "\x07",
  "0": "\0",
  "\\": "\\",
  "'": "'",
  '"': '"',
  "\n": "",
};
const hexEscapes: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };
const numberToken = /[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)([eE][-+]?\d+)?/y;
const wordToken = /[A-Za-z]+/y;
const jsonNumber = /^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$/;
const space = /\s*/y;

/** Reads literals from a text, one after the other. */
class LiteralReader {
  at = 0;
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  get isAtEnd(): boolean {
    return this.at === this.text.length;
  }

  skipSpace(): void {
    this.match(space);
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text)?.[0];
    if (match !== undefined) this.at += match.length;
    return match;
  }

  private take(character: string): boolean {
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  /** The JSON of the literal that is next, or undefined where there is none. */
  value(depth = 0): string | undefined {
    if (depth > limits.jsonDepth) return undefined;
    const first = this.text[this.at];
    if (first === '"' || first === "'") return this.string();
    if (first === "[") return this.items("[", "]", depth);
    if (first === "(") return this.items("(", ")", depth);
    if (first === "{") return this.dict(depth);
    return this.number() ?? this.word();
  }

  private word(): string | undefined {
    const word = this.match(wordToken);
    return word !== undefined && Object.hasOwn(words, word) ? words[word] : undefined;
  }

  private number(): string | undefined {
    const written = this.match(numberToken)?.replaceAll("_", "");
    if (written === undefined) return undefined;
    if (jsonNumber.test(written)) return written;
    const value = Number(written);
    return Number.isFinite(value) ? JSON.stringify(value) : undefined;
  }

  private string(): string | undefined {
    const quote = this.text[this.at++];
    let value = "";
    for (;;) {
      const character = this.text[this.at++];
      if (character === undefined) return undefined;
      if (character === quote) return JSON.stringify(value);
      if (character !== "\\") value += character;
      else {
        const meant = this.escaped();
        if (meant === undefined) return undefined;
        value += meant;
      }
    }
  }

  private escaped(): string | undefined {
    const character = this.text[this.at++];
    if (character === undefined) return undefined;
    const digits = hexEscapes[character];
    if (digits === undefined) return escapes[character] ?? `\\${character}`;
    const hex = this.text.slice(this.at, this.at + digits);
    const code = Number.parseInt(hex, 16);
    if (!/^[0-9a-fA-F]+$/.test(hex) || hex.length !== digits || code > 0x10ffff) return undefined;
    this.at += digits;
    return String.fromCodePoint(code);
  }

  private items(open: string, close: string, depth: number): string | undefined {
    const items: string[] = [];
    this.take(open);
    for (;;) {
      this.skipSpace();
      if (this.take(close)) return `[${items.join(",")}]`;
      const item = this.value(depth + 1);
      if (item === undefined) return undefined;
      items.push(item);
      this.skipSpace();
      if (!this.take(",") && this.text[this.at] !== close) return undefined;
    }
  }

  private dict(depth: number): string | undefined {
    const members: string[] = [];
    this.take("{");
    for (;;) {
      this.skipSpace();
      if (this.take("}")) return `{${members.join(",")}}`;
      const key = this.value(depth + 1);
      this.skipSpace();
      if (!key?.startsWith('"') || !this.take(":")) return undefined;
      this.skipSpace();
      const value = this.value(depth + 1);
      if (value === undefined) return undefined;
      members.push(`${key}:${value}`);
      this.skipSpace();
      if (!this.take(",") && this.text[this.at] !== "}") return undefined;
    }
  }
}

/** The JSON of a text that is one literal of Python, or undefined. */
export function pythonToJson(text: string): string | undefined {
  const reader = new LiteralReader(text);
  reader.skipSpace();
  const json = reader.value();
  reader.skipSpace();
  return json !== undefined && reader.isAtEnd ? json : undefined;
}
