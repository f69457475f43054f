import { DataError } from "../base/index.ts";

/** Escapes of one letter in Python's strings. */
const escapes: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\x07",
  b: "\b",
  f: "\f",
  v: "\v",
  0: "\0",
  "\n": "",
};
const names: Readonly<Record<string, unknown>> = { True: true, False: false, None: null };

/**
 * A value as Python writes it: strings, numbers, True, False, None, lists, tuples and dicts; what a template prints of
 * a list, and Python's `ast.literal_eval` reads.
 * @throws DataError for anything else
 */
export function parsePythonLiteral(text: string): unknown {
  const reader = new LiteralReader(text);
  const value = reader.value();
  reader.end();
  return value;
}

class LiteralReader {
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text;
  }

  value(): unknown {
    this.skip();
    const character = this.text[this.at];
    if (character === "'" || character === '"') return this.strings();
    if (character === "[") return this.items("]");
    if (character === "(") return this.items(")");
    if (character === "{") return this.dict();
    const word = /^(?:[A-Za-z]+|[-+]?[\d.]+(?:e[-+]?\d+)?)/iu.exec(this.text.slice(this.at))?.[0] ?? "";
    const value = Object.hasOwn(names, word) ? names[word] : Number(word === "" ? "?" : word);
    if (Number.isNaN(value)) this.refuse();
    this.at += word.length;
    return value;
  }

  end(): void {
    this.skip();
    if (this.at < this.text.length) this.refuse();
  }

  private skip(): void {
    while (/\s/u.test(this.text[this.at] ?? "")) this.at++;
  }

  /** Strings that stand side by side are one. */
  private strings(): string {
    let out = "";
    do {
      out += this.string();
      this.skip();
    } while (this.text[this.at] === "'" || this.text[this.at] === '"');
    return out;
  }

  private string(): string {
    const quote = this.text[this.at++];
    let out = "";
    for (;;) {
      const character = this.text[this.at++];
      if (character === undefined) this.refuse();
      if (character === quote) return out;
      out += character === "\\" ? this.escape() : character;
    }
  }

  private escape(): string {
    const letter = this.text[this.at++] ?? this.refuse();
    const length = { x: 2, u: 4, U: 8 }[letter];
    if (length === undefined) return escapes[letter] ?? ("'\"\\".includes(letter) ? letter : `\\${letter}`);
    const digits = this.text.slice(this.at, this.at + length);
    if (!/^[0-9a-f]+$/iu.test(digits) || digits.length < length) this.refuse();
    this.at += length;
    return String.fromCodePoint(Number.parseInt(digits, 16));
  }

  private items(close: string): unknown[] {
    this.at++;
    const items: unknown[] = [];
    for (;;) {
      this.skip();
      if (this.text[this.at] === close) break;
      items.push(this.value());
      this.skip();
      if (this.text[this.at] === ",") this.at++;
      else if (this.text[this.at] !== close) this.refuse();
    }
    this.at++;
    return items;
  }

  private dict(): Record<string, unknown> {
    this.at++;
    const entries: [string, unknown][] = [];
    for (;;) {
      this.skip();
      if (this.text[this.at] === "}") break;
      const key = String(this.value());
      this.skip();
      if (this.text[this.at++] !== ":") this.refuse();
      entries.push([key, this.value()]);
      this.skip();
      if (this.text[this.at] === ",") this.at++;
      else if (this.text[this.at] !== "}") this.refuse();
    }
    this.at++;
    return Object.fromEntries(entries);
  }

  private refuse(): never {
    throw new DataError({
      where: "a list that a template printed",
      expected: "a list as Python writes it, as ['yes', 'no']",
      received: JSON.stringify(this.text.slice(0, 80)),
      fix: "let the template print a list of texts, or name the field that has it",
    });
  }
}
