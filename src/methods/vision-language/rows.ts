/** Conversations of rows with their pictures: LLaVA's marks in texts, and parts of messages. */
import { fileURLToPath } from "node:url";
import { DataError, isObject } from "../../base/index.ts";
import { type Conversation, type RecognisedFormat, type Row, toConversation } from "../../data/index.ts";
import type { ContentPart, MixedMessage } from "../../tokenizers/index.ts";
import { IMAGE } from "./template.ts";

/** Usual names of the column of pictures. */
const pictureColumns = ["images", "image", "pictures", "picture"] as const;

/** How rows are understood. */
export interface PicturedRows {
  recognised: RecognisedFormat;
  /** The column of pictures, where the config names it. */
  column?: string;
}

/** A conversation up to its last answer, and its pictures in the order of their places. */
export interface PicturedConversation {
  conversation: Conversation;
  /** Paths, bytes, or what `decodePicture` takes besides. */
  pictures: readonly unknown[];
}

/**
 * The conversation of a row: pictures stand in place of <image> in its texts, those of its column in their order, or
 * are parts of messages, of type image, with their path, url or bytes, or without, for the next of the column.
 * @throws DataError for a row that is no conversation, or has another number of places than of pictures
 */
export function picturedConversation(row: Row, { recognised, column }: PicturedRows): PicturedConversation {
  const { messages, ...rest } = toConversation(row, recognised);
  const last = messages.findLastIndex(({ role }) => role === "assistant");
  if (last < 0) throw badRow("a message of the assistant", `the roles ${messages.map(({ role }) => role).join(", ")}`);
  const stock = new PictureStock(picturesIn(row, column));
  const all = messages.map((message) => stock.filled(message));
  stock.requireAllUsed();
  const used = all.slice(0, last + 1);
  return {
    conversation: { ...rest, messages: used.map(({ message }) => message) },
    pictures: used.flatMap(({ pictures }) => pictures),
  };
}

function picturesIn(row: Row, column: string | undefined): readonly unknown[] {
  const name = column ?? pictureColumns.find((each) => row[each] !== undefined && row[each] !== null);
  const value = name === undefined ? undefined : row[name];
  if (value === undefined || value === null || value === "") return [];
  return Array.isArray(value) ? value : [value];
}

/** The pictures of a row's column, as they are put into its messages. */
class PictureStock {
  private readonly pictures: readonly unknown[];
  private next = 0;
  private places = 0;
  private readonly taken = new Set<number>();

  constructor(pictures: readonly unknown[]) {
    this.pictures = pictures;
  }

  filled(message: MixedMessage): { message: MixedMessage; pictures: unknown[] } {
    const { content } = message;
    if (content === null || (typeof content === "string" && !content.includes(IMAGE))) return { message, pictures: [] };
    const pictures: unknown[] = [];
    const parts = typeof content === "string" ? markedParts(content) : content.map(knownPart);
    for (const part of parts) if (part.type === "image") pictures.push(this.pictureOf(part));
    // templates see of pictures that there is one
    const shown = parts.map(({ type, text }) => (type === "image" ? { type } : { type, text: text ?? "" }));
    return { message: { ...message, content: shown }, pictures };
  }

  private pictureOf(part: ContentPart): unknown {
    const source = sourceOf(part);
    if (source !== undefined) return source;
    this.places++;
    const at = typeof part.index === "number" ? part.index : this.next++;
    this.taken.add(at);
    return this.pictures[at];
  }

  /** @throws DataError where there are more or fewer places than pictures */
  requireAllUsed(): void {
    const isWhole = this.taken.size === this.pictures.length && [...this.taken].every((at) => at in this.pictures);
    if (isWhole) return;
    const [places, pictures] = [this.places, this.pictures.length];
    throw badRow(`as many ${IMAGE} marks as pictures`, `${places} marks and ${pictures} pictures`);
  }
}

/** A text with marks as parts. The lines around pictures are the template's. */
function markedParts(text: string): ContentPart[] {
  const pieces = text.split(IMAGE);
  return pieces.flatMap((piece, i): ContentPart[] => {
    const behind = i === 0 ? piece : piece.replace(/^\n+/, "");
    const inner = i === pieces.length - 1 ? behind : behind.replace(/\n+$/, "");
    return [...(i > 0 ? [{ type: "image" }] : []), ...(inner === "" ? [] : [{ type: "text", text: inner }])];
  });
}

/** Fields that say where the picture of a part is. */
const sourceFields = ["image", "path", "url", "image_url", "bytes"] as const;

function knownPart(part: ContentPart): ContentPart {
  if (part.type === "image_url") return { ...part, type: "image" };
  if (part.type === "image" || part.type === "text") return part;
  throw badRow("parts of type text and image", `one of type ${JSON.stringify(part.type)}`);
}

function sourceOf(part: ContentPart): unknown {
  const name = sourceFields.find((each) => part[each] !== undefined && part[each] !== null);
  if (name === undefined) return undefined;
  const value = part[name];
  return name === "image_url" && typeof value === "object" ? (value as { url?: unknown }).url : value;
}

/**
 * A picture as `decodePicture` takes it: of addresses those of files and data.
 * @throws DataError for a picture elsewhere: none is fetched in training
 */
export function localPicture(value: unknown): unknown {
  // tables write the bytes of a path as null
  if (isObject(value) && typeof value.path === "string" && !value.bytes) return localPicture(value.path);
  if (typeof value !== "string") return value;
  if (value.startsWith("file:")) return fileURLToPath(value);
  const [, data] = /^data:[^,]*;base64,(.*)$/s.exec(value) ?? [];
  if (data !== undefined) return new Uint8Array(Buffer.from(data, "base64"));
  if (!/^[a-z][a-z\d+.-]+:\/\//i.test(value)) return value;
  throw new DataError({
    where: value,
    expected: "a picture's file",
    received: "an address of the network",
    fix: "download it, and name the file",
  });
}

const badRow = (expected: string, received: string): DataError =>
  new DataError({ where: "row", expected, received, fix: "correct the row, or leave such rows out" });
