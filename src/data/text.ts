import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { extname, join, resolve, sep } from "node:path";
import { isSystemError, sha256OfFile, systemError, withReadErrors } from "../files/index.ts";
import { DataError } from "../ir/index.ts";

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
    const sizes = await withReadErrors(path, "texts", () => Promise.all(files.map(async (file) => (await stat(file)).size)));
    const bytes = sizes.reduce((a, b) => a + b, 0);
    if (bytes === 0) throw new DataError({ where: path, expected: "some text", received: "an empty file", fix: "name a file with text in it" });
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

  /** What the texts are, in one sum: the sha256 of the sha256 of each document, in order. Names and places of the files do not count. */
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

async function listFiles(folder: string, skip: readonly string[]): Promise<string[]> {
  const skipped = skip.map((path) => resolve(path) + sep);
  const entries = await withReadErrors(folder, "a folder of texts", () => readdir(folder, { withFileTypes: true, recursive: true }));
  return entries
    .filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && textExtensions.has(extname(entry.name).toLowerCase()))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !skipped.some((start) => resolve(path).startsWith(start)))
    .sort();
}

async function* readDocument(file: string, document: number): AsyncGenerator<TextChunk> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  let position = 0;
  let rest = "";
  const decode = (bytes: Uint8Array | undefined) => {
    try {
      return decoder.decode(bytes, { stream: bytes !== undefined });
    } catch (cause) {
      throw new DataError({
        where: file,
        expected: "UTF-8 text",
        received: `invalid bytes near position ${position}`,
        fix: "convert it, for example: iconv -f latin1 -t utf-8",
        cause,
      });
    }
  };
  for await (const piece of createReadStream(file, { highWaterMark: CHUNK_BYTES })) {
    const bytes = piece as Uint8Array;
    const zero = bytes.indexOf(0);
    if (zero >= 0)
      throw new DataError({
        where: file,
        expected: "text",
        received: `binary data: a zero byte at position ${position + zero}`,
        fix: "extract the text first",
      });
    const text = rest + decode(bytes);
    position += bytes.length;
    const cut = safeCut(text);
    if (cut > 0) yield { document, text: text.slice(0, cut), isLast: false };
    rest = text.slice(cut);
  }
  yield { document, text: rest + decode(undefined), isLast: true };
}

/**
 * Last position where the text can be cut without changing its tokens: before a white space that follows something else.
 * Text without spaces is cut wherever it is long enough, between characters.
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
