/** The bytes of text files: unpacked where they are gzipped, and refused where they are no UTF-8 text. */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { DataError } from "../../base/index.ts";
import { isSystemError, systemError, withReadErrors } from "../../files/index.ts";
import { guessEncoding, invalidUtf8At } from "../encodings.ts";

const CHUNK_BYTES = 1 << 20;
/** So much of a file tells its encoding and its format. */
const SAMPLE_BYTES = 1 << 16;
const UTF8_MARK = [0xef, 0xbb, 0xbf];

/** Whether bytes are those of a gzip file. RFC 1952, 2.3.1. */
export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/** The first bytes of a file as they lie on the disk, at most 64 KiB. @throws DataError where it cannot be read */
export async function headOf(path: string): Promise<Buffer> {
  return withReadErrors(path, "a file of rows", async () => {
    const file = await open(path);
    try {
      const bytes = Buffer.alloc(SAMPLE_BYTES);
      const { bytesRead } = await file.read(bytes, 0, SAMPLE_BYTES, 0);
      return bytes.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  });
}

/**
 * The bytes of a file, unpacked where it is gzipped. A byte order mark of UTF-8 is there too.
 * @throws DataError where it cannot be read, or the gzip file is cut off or damaged
 */
export async function* fileBytes(path: string): AsyncGenerator<Buffer, void, void> {
  const isPacked = isGzip(await headOf(path));
  const stream = createReadStream(path, { highWaterMark: CHUNK_BYTES });
  const source = isPacked ? stream.pipe(createGunzip({ chunkSize: CHUNK_BYTES })) : stream;
  stream.on("error", (error) => source.destroy(error));
  try {
    for await (const chunk of source) yield chunk as Buffer;
  } catch (cause) {
    if (!isPacked || isSystemError(cause)) throw isSystemError(cause) ? systemError(path, "a file", cause) : cause;
    throw new DataError({
      where: path,
      expected: "a whole gzip file",
      received: (cause as Error).message,
      fix: "fetch or pack the file again: it is damaged or cut off",
      cause,
    });
  } finally {
    stream.destroy();
  }
}

/** The first bytes of a file, unpacked, at most 64 KiB. */
export async function unpackedHead(path: string): Promise<Buffer> {
  const head = await headOf(path);
  if (!isGzip(head)) return head;
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of fileBytes(path)) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes >= SAMPLE_BYTES) break;
  }
  return Buffer.concat(pieces).subarray(0, SAMPLE_BYTES);
}

/** Bytes of the byte order mark of UTF-8 at the beginning: 3 or none. */
export const markLength = (head: Uint8Array): number => (UTF8_MARK.every((byte, i) => head[i] === byte) ? 3 : 0);

/**
 * Refuses a file that is no text in UTF-8 by its beginning: UTF-16, another encoding, binary data.
 * @throws DataError with the command that converts it, where its encoding is known
 */
export function requireText(path: string, head: Uint8Array): void {
  const zero = head.indexOf(0);
  const invalid = invalidUtf8At(head);
  const isCut = invalid >= head.length - 3 && head.length === SAMPLE_BYTES; // within the last character
  if (zero < 0 && (invalid === head.length || isCut)) return;
  const encoding = guessEncoding(head);
  const name = JSON.stringify(path);
  const received =
    encoding !== undefined
      ? `text in ${encoding}`
      : zero >= 0
        ? `binary data: a zero byte at offset ${zero}`
        : `invalid bytes at offset ${invalid}`;
  // a line that is damaged is a row to be skipped; a file in another encoding has several
  if (zero < 0 && (encoding === undefined || !isManyTimesInvalid(head, invalid))) return;
  throw new DataError({
    where: path,
    expected: "rows of text in UTF-8",
    received,
    fix: encoding ? `convert it: iconv -f ${encoding} -t utf-8 ${name} > utf8.txt` : "name a file of rows",
  });
}

/** Whether lines behind the first that is no UTF-8 are none either. */
function isManyTimesInvalid(head: Uint8Array, invalid: number): boolean {
  const next = head.indexOf(0x0a, invalid);
  const rest = head.subarray(next < 0 ? head.length : next);
  return invalidUtf8At(rest) < rest.length - 3;
}
