/** What makes a text of tokens. */
import { characterBytes } from "../byte-level.ts";
import { cleanedUp } from "../clean-up.ts";
import type { Json } from "../json-parts.ts";
import { type Makers, make } from "./kinds.ts";
import { patternOf } from "./pattern.ts";
import { Piece } from "./piece.ts";

/** Tokens -> parts of the text. */
export type Decoder = (tokens: readonly string[]) => string[];

/** @throws DataError for a kind that is not known */
export function decoderOf(where: string, json: Json | null | undefined): Decoder | undefined {
  if (!json) return undefined;
  return make(makers, where, json);
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

const makers: Makers<Decoder> = {
  Sequence: ({ decoders }, where) => {
    const all = (decoders as Json[]).map((json, i) => decoderOf(`${where}.${i}`, json) as Decoder);
    return (tokens) => all.reduce<string[]>((parts, decode) => decode(parts), [...tokens]);
  },
  ByteLevel: () => (tokens) => {
    const bytes = tokens.flatMap((token) => {
      const tokenBytes = Array.from(token, (character) => characterBytes.get(character));
      return tokenBytes.includes(undefined) ? Array.from(new TextEncoder().encode(token)) : (tokenBytes as number[]);
    });
    return [utf8.decode(Uint8Array.from(bytes))];
  },
  Metaspace:
    ({ replacement, prepend_scheme: scheme = "always" }) =>
    (tokens) =>
      tokens.map((token, i) =>
        Array.from(token, (character) =>
          character !== replacement ? character : i === 0 && scheme !== "never" ? "" : " ",
        ).join(""),
      ),
  WordPiece:
    ({ prefix, cleanup }) =>
    (tokens) =>
      tokens.map((token, i) => {
        const mark = String(prefix);
        const text = i === 0 ? token : token.startsWith(mark) ? token.slice(mark.length) : ` ${token}`;
        return cleanup ? cleaned(text) : text;
      }),
  BPEDecoder:
    ({ suffix }) =>
    (tokens) =>
      tokens.map((token, i) => token.replaceAll(String(suffix), i === tokens.length - 1 ? "" : " ")),
  ByteFallback: () => bytesJoined,
  Fuse: () => (tokens) => [tokens.join("")],
  Strip:
    ({ content, start, stop }) =>
    (tokens) =>
      tokens.map((token) => {
        const characters = Array.from(token);
        let [from, to] = [0, characters.length];
        while (from < Math.min(start as number, characters.length) && characters[from] === content) from++;
        while (to > from && characters.length - to < (stop as number) && characters[to - 1] === content) to--;
        return characters.slice(from, to).join("");
      }),
  Replace: ({ pattern, content }, where) => {
    const find = patternOf(where, pattern);
    return (tokens) =>
      tokens.map((token) => {
        const piece = Piece.of(token);
        return find(piece)
          .map(([isMatch, start, end]) => (isMatch ? String(content) : piece.slice(start, end).text))
          .join("");
      });
  },
  CTC:
    ({ pad_token: padding, word_delimiter_token: delimiter, cleanup }) =>
    (tokens) =>
      tokens
        .filter((token, i) => token !== tokens[i - 1])
        .flatMap((token) => {
          const text = token.replaceAll(String(padding), "");
          const shown = cleanup ? cleaned(text).replaceAll(String(delimiter), " ") : text;
          return shown === "" ? [] : [shown];
        }),
};

/** WordPiece's decoder joins one contraction more. */
const cleaned = (text: string) => cleanedUp(text).replaceAll(" do not", " don't");

/**
 * Runs of tokens such as <0x0A> as the text that they spell; what spells none is one replacement character for each.
 */
function bytesJoined(tokens: readonly string[]): string[] {
  const out: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length === 0) return;
    try {
      out.push(strict.decode(Uint8Array.from(bytes)));
    } catch {
      for (const _ of bytes) out.push("\ufffd");
    }
    bytes = [];
  };
  for (const token of tokens) {
    const [, digits] = /^<0x([0-9A-Fa-f]{2})>$/.exec(token) ?? [];
    if (digits !== undefined) bytes.push(Number.parseInt(digits, 16));
    else {
      flush();
      out.push(token);
    }
  }
  flush();
  return out;
}
