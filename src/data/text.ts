import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { extname, join } from "node:path";
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

  private constructor(files: readonly string[], bytes: number) {
    this.files = files;
    this.bytes = bytes;
  }

  /** @throws DataError when the path is missing, holds no text files, or they are empty */
  static async open(path: string): Promise<TextCorpus> {
    const info = await stat(path).catch((cause) => {
      throw new DataError({
        where: path,
        expected: "a text file or a folder of them",
        received: cause.code === "ENOENT" ? "nothing there" : cause.message,
        fix: "check the path given to --text",
        cause,
      });
    });
    const files = info.isDirectory() ? await listFiles(path) : [path];
    if (files.length === 0) {
      throw new DataError({
        where: path,
        expected: `files with text (${[...textExtensions].slice(0, 5).join(" ")} ...)`,
        received: "a folder without any",
        fix: "name a file, or give the files such an extension",
      });
    }
    const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
    const bytes = sizes.reduce((a, b) => a + b, 0);
    if (bytes === 0) throw new DataError({ where: path, expected: "some text", received: "an empty file", fix: "name a file with text in it" });
    return new TextCorpus(files, bytes);
  }

  /** The text in order. @throws DataError at binary data or invalid UTF-8, with the position */
  async *chunks(): AsyncGenerator<TextChunk> {
    for (const [document, file] of this.files.entries()) yield* readDocument(file, document);
  }
}

async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile() && textExtensions.has(extname(entry.name).toLowerCase()))
    .map((entry) => join(entry.parentPath, entry.name))
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
