/** Reads the protobuf of a SentencePiece model: github.com/google/sentencepiece, sentencepiece_model.proto. */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { DataError } from "../../base/index.ts";
import { type PieceType, pieceTypes } from "./piece-types.ts";

export interface SentencePiece {
  text: string;
  score: number;
  type: PieceType;
}

export interface SentencePieceModel {
  pieces: SentencePiece[];
  modelType: "unigram" | "bpe";
  byteFallback: boolean;
  /** Spaces stand at the ends of words and not at their beginnings. */
  treatWhitespaceAsSuffix: boolean;
  unkId: number;
  /** Ids of the tokens around a text; -1 for none. */
  bosId: number;
  eosId: number;
  /** Rules of normalisation, as SentencePiece packs them; empty for none. */
  charsMap: Uint8Array;
  addDummyPrefix: boolean;
  removeExtraWhitespaces: boolean;
}

const modelTypes = ["unigram", "bpe", "word", "char"] as const;

/** Where the value of a field goes, and what it is, by the field's number. */
type Fields = Readonly<Record<number, readonly [key: string, kind: "bool" | "int32" | "float" | "string" | "bytes"]>>;
type Readers = Readonly<Record<number, (reader: BinaryReader) => void>>;

const pieceFields: Fields = { 1: ["text", "string"], 2: ["score", "float"], 3: ["type", "int32"] };
const trainerFields: Fields = {
  3: ["kind", "int32"],
  24: ["treatWhitespaceAsSuffix", "bool"],
  35: ["byteFallback", "bool"],
  40: ["unkId", "int32"],
  41: ["bosId", "int32"],
  42: ["eosId", "int32"],
};
const normalizerFields: Fields = {
  2: ["charsMap", "bytes"],
  3: ["addDummyPrefix", "bool"],
  4: ["removeExtraWhitespaces", "bool"],
  5: ["escapes", "bool"],
};

function readMessage(reader: BinaryReader, end: number, readers: Readers): void {
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    const read = readers[field];
    if (read) read(reader);
    else reader.skip(wire, field);
  }
  if (reader.pos !== end) throw new RangeError("a message that ends in the middle of a field");
}

/** Reads a message inside another; its fields take the place of what an object has. */
function readInto<T extends object>(target: T, reader: BinaryReader, fields: Fields): T {
  const length = reader.uint32();
  if (reader.pos + length > reader.len) throw new RangeError("a message longer than the file");
  const readers = Object.entries(fields).map(([field, [key, kind]]) => [
    field,
    (r: BinaryReader) => Object.assign(target, { [key]: r[kind]() }),
  ]);
  readMessage(reader, reader.pos + length, Object.fromEntries(readers));
  return target;
}

/** @throws DataError for bytes that are no such model, and for a model of whole words or single characters */
export function parseSentencePiece(path: string, bytes: Uint8Array): SentencePieceModel {
  const fields = {
    pieces: [] as SentencePiece[],
    kind: 1,
    byteFallback: false,
    treatWhitespaceAsSuffix: false,
    unkId: 0,
    bosId: 1,
    eosId: 2,
    charsMap: new Uint8Array(),
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
    escapes: true,
  };
  const fail = (expected: string, received: string, cause?: unknown) =>
    new DataError({
      where: path,
      expected,
      received,
      fix: "fetch the file again, or use the model's tokenizer.json",
      cause,
    });
  const piece = (reader: BinaryReader) => {
    const { type, ...rest } = readInto({ text: "", score: 0, type: 1 }, reader, pieceFields);
    fields.pieces.push({ ...rest, type: pieceTypes[type - 1] ?? "unused" });
  };
  try {
    const reader = new BinaryReader(bytes);
    if (reader.tag()[1] !== WireType.LengthDelimited) throw new RangeError("another kind of file");
    readMessage(new BinaryReader(bytes), bytes.length, {
      1: piece,
      2: (r) => readInto(fields, r, trainerFields),
      3: (r) => readInto(fields, r, normalizerFields),
    });
  } catch (cause) {
    throw fail("a SentencePiece model", (cause as Error).message, cause);
  }
  const { kind, escapes, ...model } = fields;
  const modelType = modelTypes[kind - 1];
  if (modelType !== "unigram" && modelType !== "bpe") throw fail("a model of type unigram or bpe", String(modelType));
  if (!escapes) throw fail("spaces written as ▁", "escape_whitespaces false");
  if (model.pieces[model.unkId]?.type !== "unknown")
    throw fail(`an unknown piece at ${model.unkId}`, `${model.pieces.length} pieces without`);
  if (new Set(model.pieces.map(({ text }) => text)).size !== model.pieces.length)
    throw fail("pieces that differ", "some twice");
  return { ...model, modelType };
}
