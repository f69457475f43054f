import { DataError } from "../base/index.ts";
import { characterBytes } from "./byte-level.ts";
import { addedTokensOf, type Json } from "./json-parts.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * What each token adds to a text, as bytes of UTF-8, by id; undefined for special tokens, the unknown token, and ids
 * that are not taken. Where the decoder drops the space before a text, the token in front of it still has its own.
 * @param json what a tokenizer.json holds
 * @throws DataError for a tokenizer whose tokens are not put one behind the other, as WordPiece's
 */
export function tokenBytes(json: Json): (Uint8Array | undefined)[] {
  const { model } = json as { model: Json };
  const entries = vocabularyEntries(model);
  const read = bytesReader(json, (token) => (model.vocab as Record<string, number>)[token]);
  const bytes: (Uint8Array | undefined)[] = [];
  for (const [token, id] of entries) bytes[id] = read(id, token);
  for (const { id, content } of addedTokensOf(json)) bytes[id] = read(id, content);
  return Array.from(bytes); // ids that are not taken are holes
}

function vocabularyEntries({ vocab }: Json): [string, number][] {
  if (Array.isArray(vocab)) return vocab.map((entry, id) => [String(entry[0]), id]);
  return Object.entries(vocab as Record<string, number>);
}

/** The bytes of UTF-8 that a token adds to a text, by its id; undefined as in `tokenBytes`. @internal */
export type TokenBytes = (id: number) => Uint8Array | undefined;

/** Reads the bytes of one token at a time: all of them take a tenth of a second. @throws as `tokenBytes` @internal */
export function tokenBytesReader(tokenizer: Tokenizer): TokenBytes {
  const read = bytesReader(tokenizer.packedJson.parts, (token) => tokenizer.tokenToId(token) ?? undefined);
  return (id) => {
    const token = tokenizer.idToToken(id);
    return token === null ? undefined : read(id, token);
  };
}

/** The bytes of a token. @param idOf finds the id of the unknown token by its text */
function bytesReader(
  { decoder, model, ...json }: Json,
  idOf: (token: string) => number | undefined,
): (id: number, token: string) => Uint8Array | undefined {
  const toBytes = decoderBytes(decoder as Json | null | undefined);
  const utf8 = new TextEncoder();
  const added = new Map(addedTokensOf(json).map((token) => [token.id, token]));
  const { unk_id: unknownId, unk_token: unknownToken } = model as Json;
  const ofToken = typeof unknownToken === "string" ? idOf(unknownToken) : undefined;
  const unknown = typeof unknownId === "number" ? unknownId : ofToken;
  return (id, token) => {
    const known = added.get(id);
    if (known) return known.special ? undefined : utf8.encode(known.content);
    return id === unknown ? undefined : toBytes(token);
  };
}

type ToBytes = (token: string) => Uint8Array;

/** How a decoder writes a token that is not the first of a text. */
function decoderBytes(decoder: Json | null | undefined): ToBytes {
  const utf8 = new TextEncoder();
  const parts = decoder?.type === "Sequence" ? (decoder.decoders as Json[]) : decoder ? [decoder] : [];
  if (parts.length === 0) throw notJoined("no decoder");
  let hasByteTokens = false;
  const changes: ((token: string) => string)[] = [];
  for (const part of parts) {
    const pattern = (part.pattern as Json | undefined)?.String;
    if (part.type === "ByteLevel") return byteLevelBytes;
    if (part.type === "ByteFallback") hasByteTokens = true;
    else if (part.type === "Metaspace") changes.push((token) => token.replaceAll(String(part.replacement), " "));
    else if (part.type === "Replace" && typeof pattern === "string")
      changes.push((token) => token.replaceAll(pattern, String(part.content)));
    else if (part.type !== "Fuse" && part.type !== "Strip") throw notJoined(`the decoder ${String(part.type)}`);
  }
  return (token) => {
    const [, digits] = (hasByteTokens && /^<0x([0-9A-Fa-f]{2})>$/.exec(token)) || [];
    if (digits !== undefined) return Uint8Array.of(Number.parseInt(digits, 16));
    return utf8.encode(changes.reduce((text, change) => change(text), token));
  };
}

function byteLevelBytes(token: string): Uint8Array {
  const bytes = Array.from(token, (character) => characterBytes.get(character));
  return bytes.includes(undefined) ? new TextEncoder().encode(token) : Uint8Array.from(bytes as number[]);
}

function notJoined(received: string): DataError {
  return new DataError({
    where: "the tokens' bytes",
    expected: "a decoder that puts tokens one behind the other: ByteLevel, ByteFallback, Metaspace, Replace, Fuse",
    received,
    fix: "use the tokenizer of a model that writes text",
  });
}
