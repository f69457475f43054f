import { limits } from "../../base/index.ts";
import type { Parsing, TextReader } from "./text-reader.ts";

type State = "value" | "first-value" | "first-key" | "key" | "colon" | "next" | "string" | "escape" | "number" | "word";

const words = ["true", "false", "null"];
const number = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const isSpace = (character: string) =>
  character === " " || character === "\n" || character === "\t" || character === "\r";

const shortEscapes: Readonly<Record<string, string>> = { "\n": "\\n", "\t": "\\t", "\r": "\\r" };
const escaped = (character: string) =>
  shortEscapes[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/**
 * Follows one JSON value as it comes, character by character. Line breaks and other control characters in strings,
 * which models write and JSON has not, are escaped; all else must be JSON.
 */
class JsonScanner {
  status: "open" | "done" | "malformed" = "open";
  private state: State = "value";
  private readonly open: ("{" | "[")[] = [];
  /** Whether the string being read is a key. */
  private isKey = false;
  /** The number, word or \u escape so far. */
  private token = "";

  /** Reads on from a place in a text. Gives what it read, as JSON, and where it stopped. */
  scan(text: string, from: number): { json: string; end: number } {
    let json = "";
    let copied = from;
    let at = from;
    for (; at < text.length && this.status === "open"; at++) {
      const character = text[at];
      if (this.state === "string" && character < " ") {
        json += text.slice(copied, at) + escaped(character);
        copied = at + 1;
      } else if (!this.accepts(character)) break;
    }
    return { json: json + text.slice(copied, at), end: at };
  }

  /** Nothing more comes: a number that is not inside anything is whole then. */
  finish(): void {
    if (this.status !== "open") return;
    this.status = this.state === "number" && this.open.length === 0 && number.test(this.token) ? "done" : "malformed";
  }

  /** Takes a character; false where it is not part of the value. */
  private accepts(character: string): boolean {
    switch (this.state) {
      case "string":
        return this.inString(character);
      case "escape":
        return this.inEscape(character);
      case "number":
        return this.inNumber(character);
      case "word":
        this.token += character;
        if (!words.some((word) => word.startsWith(this.token))) return this.fail();
        if (words.includes(this.token)) this.closeValue();
        return true;
      default:
        return isSpace(character) || this.inStructure(character);
    }
  }

  private inString(character: string): boolean {
    if (character === "\\") {
      this.state = "escape";
      this.token = "";
    } else if (character === '"') {
      if (this.isKey) this.state = "colon";
      else this.closeValue();
    }
    return true;
  }

  private inEscape(character: string): boolean {
    this.token += character;
    const isUnicode = this.token[0] === "u";
    if (isUnicode ? !/^u[0-9a-fA-F]{0,4}$/.test(this.token) : !'"\\/bfnrt'.includes(character)) return this.fail();
    if (!isUnicode || this.token.length === 5) this.state = "string";
    return true;
  }

  private inNumber(character: string): boolean {
    if (/[\d.eE+-]/.test(character)) {
      this.token += character;
      return true;
    }
    if (!number.test(this.token)) return this.fail();
    this.closeValue();
    return this.status === "open" && this.accepts(character);
  }

  private inStructure(character: string): boolean {
    const { state } = this;
    if (state === "colon") {
      if (character !== ":") return this.fail();
      this.state = "value";
      return true;
    }
    if (state === "next") return this.afterValue(character);
    if (state === "first-key" || state === "key") {
      if (character === "}" && state === "first-key") return this.close("{");
      if (character !== '"') return this.fail();
      return this.beginString(true);
    }
    if (character === "]" && state === "first-value") return this.close("[");
    return this.beginValue(character);
  }

  private beginString(isKey: boolean): boolean {
    this.state = "string";
    this.isKey = isKey;
    return true;
  }

  private beginValue(character: string): boolean {
    if (character === '"') return this.beginString(false);
    if (character === "{" || character === "[") {
      if (this.open.length >= limits.jsonDepth) return this.fail();
      this.open.push(character);
      this.state = character === "{" ? "first-key" : "first-value";
      return true;
    }
    if (/[-\d]/.test(character)) this.state = "number";
    else if (words.some((word) => word[0] === character)) this.state = "word";
    else return this.fail();
    this.token = character;
    return true;
  }

  private afterValue(character: string): boolean {
    const inside = this.open[this.open.length - 1];
    if (character === ",") {
      this.state = inside === "{" ? "key" : "value";
      return true;
    }
    if (character === "}") return this.close("{");
    if (character === "]") return this.close("[");
    return this.fail();
  }

  private close(opened: "{" | "["): boolean {
    if (this.open[this.open.length - 1] !== opened) return this.fail();
    this.open.pop();
    this.closeValue();
    return true;
  }

  private closeValue(): void {
    this.state = "next";
    if (this.open.length === 0) this.status = "done";
  }

  private fail(): false {
    this.status = "malformed";
    return false;
  }
}

/** Reads a JSON value, handing on its text as it comes. Whether it was one; otherwise the reader is where it is not. */
export function* readJson(reader: TextReader, write: (json: string) => void): Parsing<boolean> {
  const scanner = new JsonScanner();
  while (yield* reader.more()) {
    const { json, end } = scanner.scan(reader.rest, 0);
    reader.position += end;
    if (json !== "") write(json);
    if (scanner.status !== "open") return scanner.status === "done";
  }
  scanner.finish();
  return scanner.status === "done";
}

/** Reads a JSON value whole. @returns its text, or undefined where it is none */
export function* readWholeJson(reader: TextReader): Parsing<string | undefined> {
  let whole = "";
  const isJson = yield* readJson(reader, (json) => {
    whole += json;
  });
  return isJson ? whole : undefined;
}
