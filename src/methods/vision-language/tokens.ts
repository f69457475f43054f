/** Rows with pictures as tokens, each picture with as many places as the model makes of it. */
import { resolve } from "node:path";
import { DataError } from "../../base/index.ts";
import { type BadRows, type ExampleFormat, type Row, type Rows, recogniseRows } from "../../data/index.ts";
import { countImagePlaces } from "../../generate/index.ts";
import type { ImageTextModel } from "../../models/index.ts";
import type { RawImage } from "../../processors/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import type { MethodContext } from "../method.ts";
import {
  type ConversationWriter,
  conversationTokens,
  conversationWriter,
  type LearnedPart,
  type LearnedTokens,
} from "../parts/conversation-tokens.ts";
import type { PictureForm } from "../parts/picture-form.ts";
import { decodePicture, fileOf, inChannels } from "../parts/pictures.ts";
import { localPicture, type PicturedRows, picturedConversation } from "./rows.ts";
import { messageFor, type PictureFormat } from "./template.ts";

/** Tokens of a row, with the places of its pictures. */
export interface PicturedTokens extends LearnedTokens {
  /** The number of the row. */
  index: number;
  /** Places of each of its pictures, in their order. */
  places: readonly number[];
}

/** What reads rows: the same for training and validation. */
export interface RowReader {
  model: ImageTextModel;
  tokenizer: Tokenizer;
  form: PictureForm;
  pictured: PictureFormat;
  learned: LearnedPart;
  maxLength: number;
  onTooLong: "cut" | "skip";
  /** Each picture is decoded once before training. */
  isChecked: boolean;
  /** Where paths of pictures begin. @default beside the file of the row */
  imageFolder?: string;
  /** Columns that the config names. */
  columns?: Readonly<Record<string, string>>;
  /** @default told by the columns */
  format?: ExampleFormat;
  badRows: BadRows;
  context: MethodContext;
}

/** Rows that are learned, of which the others are counted. */
export interface LearnedRows {
  rows: Rows;
  kept: readonly PicturedTokens[];
  /** The first pictures of a row, decoded. @throws DataError for one that cannot be read */
  pictures(example: PicturedTokens, count?: number): Promise<RawImage[]>;
}

/** Rows that are read at once. */
const AT_ONCE = 8;
const SHOWN = 3;

/**
 * Reads rows of conversations with pictures. Bad rows are those that are no conversation, have another number of places
 * than of pictures, or a picture that cannot be decoded; longer ones are cut in front of a picture, not inside of it.
 * @throws DataError for a bad row that is not to be skipped, and where nothing is left to learn
 */
export async function readPicturedRows(rows: Rows, reader: RowReader): Promise<LearnedRows> {
  const { context, badRows, columns: { image: column, ...columns } = {}, format, maxLength } = reader;
  const pictured: PicturedRows = {
    recognised: await recogniseRows(rows, { columns, format }),
    ...(column && { column }),
  };
  const encoder = new RowEncoder(rows, pictured, reader);
  const [before, shownBefore] = [badRows.count, badRows.first.length];
  const losses = new Losses(rows);
  const kept: PicturedTokens[] = [];
  for (let first = 0; first < rows.count; first += AT_ONCE) {
    context.signal?.throwIfAborted();
    const indices = Array.from({ length: Math.min(AT_ONCE, rows.count - first) }, (_, i) => first + i);
    for (const [i, result] of (await Promise.all(indices.map((index) => encoder.encode(index)))).entries()) {
      if (typeof result === "string") badRows.add({ ...fileOf(rows, first + i), reason: result });
      else if (losses.isKept(result, reader)) kept.push(result.example);
    }
    context.onProgress?.("reading conversations and pictures", (first + indices.length) / rows.count);
  }
  const notes = losses.notes(maxLength);
  if (badRows.count > before) {
    const shown = badRows.first.slice(shownBefore, shownBefore + SHOWN);
    const places = shown.map(({ file, line, reason }) => `${file}:${line}: ${reason}`).join("; ");
    notes.unshift(`${badRows.count - before} rows are left out, as ${places}`);
  }
  if (notes.length > 0) context.onWarning({ where: "data", notes });
  if (kept.length > 0)
    return {
      rows,
      kept,
      pictures: (example, count) => encoder.pictures(example.index, count ?? example.places.length),
    };
  throw new DataError({
    where: rows.count > 0 ? rows.placeOf(0) : "data",
    expected: "conversations with something to learn",
    received: `${rows.count} rows of which none has any within ${maxLength} tokens`,
    fix: "raise data.maxLength, or correct the rows",
  });
}

interface EncodedRow {
  example: PicturedTokens;
  isLong: boolean;
}

class RowEncoder {
  private readonly rows: Rows;
  private readonly pictured: PicturedRows;
  private readonly reader: RowReader;
  private readonly writer: ConversationWriter;
  /** Of models that make the same number of places of every picture. */
  private samePlaces: number | undefined;

  constructor(rows: Rows, pictured: PicturedRows, reader: RowReader) {
    this.rows = rows;
    this.pictured = pictured;
    this.reader = reader;
    this.writer = conversationWriter(reader.tokenizer);
  }

  /** The tokens of a row, or why there are none. */
  async encode(index: number): Promise<EncodedRow | string> {
    const row = await this.rows.row(index);
    try {
      return await this.encoded(row, index);
    } catch (error) {
      // files of one line have many rows
      if (error instanceof DataError) return "id" in row ? `id ${row.id}: ${error.message}` : error.message;
      throw error;
    }
  }

  private async encoded(row: Row, index: number): Promise<EncodedRow> {
    const { pictured, learned, model, maxLength } = this.reader;
    const { conversation, pictures } = picturedConversation(row, this.pictured);
    const messages = conversation.messages.map((message) => messageFor(message, pictured));
    const tokens = await conversationTokens({ ...conversation, messages }, this.writer, learned);
    const marks = tokens.ids.filter((id) => id === model.imageTokenId).length;
    if (marks !== pictures.length)
      throw new DataError({
        where: "chat template",
        expected: `a place for each of ${pictures.length} pictures`,
        received: String(marks),
        fix: "put pictures into messages of the user",
      });
    const places: number[] = [];
    for (const picture of pictures) places.push(await this.placesOf(picture, index));
    return expanded({ ...tokens, index, places }, model.imageTokenId, maxLength);
  }

  private async placesOf(picture: unknown, index: number): Promise<number> {
    const { model, form, isChecked } = this.reader;
    if (!isChecked && this.samePlaces !== undefined) return this.samePlaces;
    const image = await this.decode(picture, index);
    if (this.samePlaces !== undefined) return this.samePlaces;
    const processed = form.process([image]);
    const places = countImagePlaces(model, processed);
    if (!processed.imageGridThw) this.samePlaces = places;
    return places;
  }

  private async decode(picture: unknown, index: number): Promise<RawImage> {
    const { form, imageFolder } = this.reader;
    const { file } = fileOf(this.rows, index);
    const local = localPicture(picture);
    const placed = typeof local === "string" && imageFolder !== undefined ? resolve(imageFolder, local) : local;
    return inChannels(await decodePicture(placed, file), form);
  }

  async pictures(index: number, count: number): Promise<RawImage[]> {
    if (count === 0) return [];
    const { pictures } = picturedConversation(await this.rows.row(index), this.pictured);
    return Promise.all(pictures.slice(0, count).map((picture) => this.decode(picture, index)));
  }
}

/**
 * Tokens with as many places for each picture as it needs, of a row that has one for each; cut at a length, in front of
 * a picture that does not fit whole.
 */
export function expanded(example: PicturedTokens, imageTokenId: number, maxLength: number): EncodedRow {
  const ids: number[] = [];
  const weights: number[] = [];
  let pictures = 0;
  let isLong = false;
  for (const [i, id] of example.ids.entries()) {
    const count = id === imageTokenId ? example.places[pictures] : 1;
    if (ids.length + count > maxLength) {
      isLong = true;
      break;
    }
    if (id === imageTokenId) pictures++;
    // what stands in a picture's place is not written
    const weight = id === imageTokenId ? 0 : example.weights[i];
    for (let place = 0; place < count; place++) {
      ids.push(id);
      weights.push(weight);
    }
  }
  const { index, places } = example;
  const cut = { ids: Int32Array.from(ids), weights: Uint8Array.from(weights), places: places.slice(0, pictures) };
  return { example: { ...cut, index }, isLong };
}

/** Rows that are cut or left out for their length, with the first places of each kind. */
class Losses {
  private readonly rows: Rows;
  private readonly indices = { cut: [] as number[], skipped: [] as number[], unlearned: [] as number[] };

  constructor(rows: Rows) {
    this.rows = rows;
  }

  isKept({ example, isLong }: EncodedRow, { onTooLong }: Pick<RowReader, "onTooLong">): boolean {
    const { cut, skipped, unlearned } = this.indices;
    if (isLong) (onTooLong === "skip" ? skipped : cut).push(example.index);
    if (isLong && onTooLong === "skip") return false;
    if (example.weights.subarray(1).includes(1)) return true;
    unlearned.push(example.index);
    return false;
  }

  notes(maxLength: number): string[] {
    const words = {
      cut: `are longer than maxLength ${maxLength} and cut, pictures whole`,
      skipped: `are longer than maxLength ${maxLength} and left out`,
      unlearned: "have nothing to learn within maxLength, and are left out",
    };
    return Object.entries(this.indices).flatMap(([kind, of]) => {
      if (of.length === 0) return [];
      const places = of.slice(0, SHOWN).map((index) => this.rows.placeOf(index));
      const what = words[kind as keyof typeof words];
      return [`${of.length} of ${this.rows.count} rows ${what}, as ${places.join(", ")}`];
    });
  }
}
