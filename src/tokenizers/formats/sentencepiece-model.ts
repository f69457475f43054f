/** Reads the protobuf of a SentencePiece model: github.com/google/sentencepiece, sentencepiece_model.proto. */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { DataError } from "../../ir/index.ts";

export type PieceType = "normal" | "unknown" | "control" | "user-defined" | "unused" | "byte";

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

const types: readonly PieceType[] = ["normal", "unknown", "control", "user-defined", "unused", "byte"];
const modelTypes = ["unigram", "bpe", "word", "char"] as const;

/** What reads a field, by its number. */
type Readers = Readonly<Record<number, (reader: BinaryReader) => void>>;

function readMessage(reader: BinaryReader, end: number, readers: Readers): void {
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    const read = readers[field];
    if (read) read(reader);
    else reader.skip(wire, field);
  }
  if (reader.pos !== end) throw new RangeError("a message that ends in the middle of a field");
}

function nested(reader: BinaryReader, readers: Readers): void {
  const length = reader.uint32();
  if (reader.pos + length > reader.len) throw new RangeError("a message longer than the file");
  readMessage(reader, reader.pos + length, readers);
}

/** @throws DataError for bytes that are no such model, and for a model of whole words or single characters */
export function parseSentencePiece(path: string, bytes: Uint8Array): SentencePieceModel {
  const model: SentencePieceModel = {
    pieces: [],
    modelType: "unigram",
    byteFallback: false,
    treatWhitespaceAsSuffix: false,
    unkId: 0,
    bosId: 1,
    eosId: 2,
    charsMap: new Uint8Array(),
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
  };
  const fail = (expected: string, received: string, cause?: unknown) =>
    new DataError({ where: path, expected, received, fix: "fetch the file again, or use the model's tokenizer.json", cause });
  let kind = 1;
  let escapes = true;
  const piece = (reader: BinaryReader) => {
    const found = { text: "", score: 0, type: 1 };
    nested(reader, {
      1: (r) => {
        found.text = r.string();
      },
      2: (r) => {
        found.score = r.float();
      },
      3: (r) => {
        found.type = r.int32();
      },
    });
    model.pieces.push({ ...found, type: types[found.type - 1] ?? "unused" });
  };
  const trainer = (reader: BinaryReader) =>
    nested(reader, {
      3: (r) => {
        kind = r.int32();
      },
      24: (r) => {
        model.treatWhitespaceAsSuffix = r.bool();
      },
      35: (r) => {
        model.byteFallback = r.bool();
      },
      40: (r) => {
        model.unkId = r.int32();
      },
      41: (r) => {
        model.bosId = r.int32();
      },
      42: (r) => {
        model.eosId = r.int32();
      },
    });
  const normalizer = (reader: BinaryReader) =>
    nested(reader, {
      2: (r) => {
        model.charsMap = r.bytes();
      },
      3: (r) => {
        model.addDummyPrefix = r.bool();
      },
      4: (r) => {
        model.removeExtraWhitespaces = r.bool();
      },
      5: (r) => {
        escapes = r.bool();
      },
    });
  try {
    const reader = new BinaryReader(bytes);
    if (reader.tag()[1] !== WireType.LengthDelimited) throw new RangeError("another kind of file");
    readMessage(new BinaryReader(bytes), bytes.length, { 1: piece, 2: trainer, 3: normalizer });
  } catch (cause) {
    throw fail("a SentencePiece model", (cause as Error).message, cause);
  }
  const modelType = modelTypes[kind - 1];
  if (modelType !== "unigram" && modelType !== "bpe") throw fail("a model of type unigram or bpe", String(modelType));
  if (!escapes) throw fail("spaces written as ▁", "escape_whitespaces false");
  if (model.pieces[model.unkId]?.type !== "unknown") throw fail(`an unknown piece at ${model.unkId}`, `${model.pieces.length} pieces without`);
  if (new Set(model.pieces.map(({ text }) => text)).size !== model.pieces.length) throw fail("pieces that differ", "some twice");
  return { ...model, modelType };
}
