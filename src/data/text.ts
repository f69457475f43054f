import { createHash } from "node:crypto";
import { open, readdir, stat } from "node:fs/promises";
import { extname, join, resolve, sep } from "node:path";
import { DataError } from "../base/index.ts";
import { isSystemError, sha256OfFile, systemError, withReadErrors } from "../files/index.ts";
import { guessEncoding, invalidUtf8At } from "./encodings.ts";
import { fileBytes } from "./rows/bytes.ts";

/** Files that are read from a folder. */
const textExtensions = new Set([
  ".txt",
  ".md",
  ".text",
  ".rst",
  ".csv",
  ".tsv",
  ".json",
  ".jsonl",
  ".html",
  ".xml",
  ".ts",
  ".js",
  ".py",
  ".java",
  ".c",
  ".cpp",
  ".go",
  ".rs",
]);
const CHUNK_BYTES = 1 << 20;
/** So much of a file tells its encoding. */
const SAMPLE_BYTES = 1 << 16;

/** A piece of a document: cut where no tokenizer would join across. */
export interface TextChunk {
  /** Index of the document (file) it belongs to. */
  document: number;
  text: string;
  /** Whether the document ends here. */
  isLast: boolean;
}

/** A text corpus: one UTF-8 file, or all text files below a folder, in alphabetical order. Read as a stream. */
export class TextCorpus {
  readonly files: readonly string[];
  readonly bytes: number;
  private sum: Promise<string> | undefined;

  private constructor(files: readonly string[], bytes: number) {
    this.files = files;
    this.bytes = bytes;
  }

  /**
   * `skip`: folders inside of it that are no text.
   * @throws DataError when the path is missing or cannot be read, holds no text files, or they are empty
   */
  static async open(path: string, { skip = [] }: { skip?: readonly string[] } = {}): Promise<TextCorpus> {
    const info = await withReadErrors(path, "a text file or a folder of them", () => stat(path));
    const files = info.isDirectory() ? await listFiles(path, skip) : [path];
    if (files.length === 0) {
      throw new DataError({
        where: path,
        expected: `files with text (${[...textExtensions].slice(0, 5).join(" ")} ...)`,
        received: "a folder without any",
        fix: "name a file, or give the files such an extension",
      });
    }
    const sizes = await withReadErrors(path, "texts", () =>
      Promise.all(files.map(async (file) => (await stat(file)).size)),
    );
    const bytes = sizes.reduce((a, b) => a + b, 0);
    if (bytes === 0)
      throw new DataError({
        where: path,
        expected: "some text",
        received: "an empty file",
        fix: "name a file with text in it",
      });
    return new TextCorpus(files, bytes);
  }

  /** The text in order. @throws DataError at binary data or invalid UTF-8, with the position */
  async *chunks(): AsyncGenerator<TextChunk> {
    for (const [document, file] of this.files.entries()) {
      try {
        yield* readDocument(file, document);
      } catch (cause) {
        throw isSystemError(cause) ? systemError(file, "a text file", cause) : cause;
      }
    }
  }

  /**
   * What the texts are, in one sum: the sha256 of the sha256 of each document, in order. Names and places of the files
   * do not count.
   */
  sha256(): Promise<string> {
    this.sum ??= this.computeSum();
    return this.sum;
  }

  private async computeSum(): Promise<string> {
    const hash = createHash("sha256");
    for (const file of this.files) hash.update(await sha256OfFile(file));
    return hash.digest("hex");
  }
}

/** What a name ends in, without what says that the file is packed. */
const textExtension = (name: string) => extname(name.toLowerCase().replace(/\.gz$/, ""));

async function listFiles(folder: string, skip: readonly string[]): Promise<string[]> {
  const skipped = skip.map((path) => resolve(path) + sep);
  const entries = await withReadErrors(folder, "a folder of texts", () =>
    readdir(folder, { withFileTypes: true, recursive: true }),
  );
  return entries
    .filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && textExtensions.has(textExtension(entry.name)))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !skipped.some((start) => resolve(path).startsWith(start)))
    .sort();
}

/** How to make UTF-8 of a file whose encoding its beginning tells. */
async function adviceFor(file: string): Promise<string | undefined> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(new Uint8Array(SAMPLE_BYTES), 0, SAMPLE_BYTES, 0);
    const encoding = guessEncoding(buffer.subarray(0, bytesRead));
    return (
      encoding &&
      `it looks like ${encoding}; convert it: iconv -f ${encoding} -t utf-8 ${JSON.stringify(file)} > utf8.txt`
    );
  } finally {
    await handle.close();
  }
}

/** @param before the piece that ends at `position`, which `bytes` follow; undefined at the end of the file */
async function notUtf8(
  file: string,
  position: number,
  before: Uint8Array,
  bytes: Uint8Array | undefined,
  cause: unknown,
): Promise<DataError> {
  const tail = before.subarray(-3); // the longest part of a character that may be open
  const first = tail.findIndex((byte) => byte >> 6 !== 0b10);
  const begun = tail.subarray(first < 0 ? tail.length : first);
  const joined = new Uint8Array([...begun, ...(bytes?.subarray(0, CHUNK_BYTES) ?? [])]);
  const at = invalidUtf8At(joined);
  const shown = [...joined.subarray(at, at + 4)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return new DataError({
    where: file,
    expected: "UTF-8 text",
    received: `invalid bytes at offset ${position - begun.length + at}: ${shown}`,
    fix: (await adviceFor(file)) ?? "convert it with iconv -t utf-8, and -f with what it was written in",
    cause,
  });
}

async function withZero(file: string, position: number): Promise<DataError> {
  const advice = await adviceFor(file);
  const received = advice ? `a zero byte at offset ${position}` : `binary data: a zero byte at offset ${position}`;
  return new DataError({ where: file, expected: "UTF-8 text", received, fix: advice ?? "extract the text first" });
}

/** A file in pieces, unpacked where it is gzipped. @throws DataError as `TextCorpus.chunks` */
export async function* readDocument(file: string, document: number): AsyncGenerator<TextChunk> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  let position = 0;
  let rest = "";
  let before: Uint8Array = new Uint8Array(); // the piece before, of which a character may go on
  const decode = async (bytes: Uint8Array | undefined) => {
    try {
      return decoder.decode(bytes, { stream: bytes !== undefined });
    } catch (cause) {
      throw await notUtf8(file, position, before, bytes, cause);
    }
  };
  for await (const bytes of fileBytes(file)) {
    const zero = bytes.indexOf(0);
    if (zero >= 0) throw await withZero(file, position + zero);
    const text = rest + (await decode(bytes));
    position += bytes.length;
    before = bytes;
    const cut = safeCut(text);
    if (cut > 0) yield { document, text: text.slice(0, cut), isLast: false };
    rest = text.slice(cut);
  }
  yield { document, text: rest + (await decode(undefined)), isLast: true };
}

/**
 * Last position where the text can be cut without changing its tokens: before a white space that follows something
 * else. Text without spaces is cut wherever it is long enough, between characters.
 */
function safeCut(text: string): number {
  const spaces = /\P{White_Space}(?=\p{White_Space})/gu;
  const tail = Math.max(0, text.length - 4096);
  let cut = -1;
  for (const match of text.slice(tail).matchAll(spaces)) cut = tail + (match.index as number) + match[0].length;
  if (cut > 0) return cut;
  const end = text.length - 1;
  return end > 0 && /[\ud800-\udbff]/.test(text[end - 1]) ? end - 1 : end;
}
