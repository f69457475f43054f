/** Text files as documents: large ones in pieces, so that no file need fit into memory. */
import { sha256OfFile } from "../../files/index.ts";
import { readDocument } from "../text.ts";
import { fingerprintOf, makeRows, type Rows } from "./rows.ts";

/** The pieces of all documents, one after another: they are cut where no tokenizer would join across. */
export interface TextDocuments extends Rows<{ text: string }> {
  /** How many pieces each document has. */
  readonly pieces: Uint32Array;
}

/**
 * Files of UTF-8 text, also gzipped, each of which is a document. They are read once before, to be checked.
 * @throws DataError for a file that is missing, or no UTF-8 text
 */
export async function openTextDocuments(files: readonly string[]): Promise<TextDocuments> {
  const pieces = new Uint32Array(files.length);
  for (const [document, file] of files.entries()) for await (const _ of piecesOf(file)) pieces[document]++;
  const all = async function* () {
    for (const file of files) for await (const text of piecesOf(file)) yield { text };
  };
  const starts = [0];
  for (const count of pieces) starts.push((starts.at(-1) as number) + count);
  const documentOf = (index: number) => starts.findLastIndex((start) => start <= index);
  const rows = makeRows<{ text: string }>({
    count: starts.at(-1) as number,
    row: async (index) => {
      const document = documentOf(index);
      let at = starts[document];
      for await (const text of piecesOf(files[document])) if (at++ === index) return { text };
      throw new Error(`${files[document]} has become shorter`);
    },
    placeOf: (index) => files[documentOf(index)],
    fingerprint: async () =>
      fingerprintOf("text documents", ...(await Promise.all(files.map((file) => sha256OfFile(file))))),
    all,
  });
  return { ...rows, pieces };
}

/** The pieces of a file; what is left behind the last cut belongs to the one before, so that small files are whole. */
async function* piecesOf(file: string): AsyncGenerator<string, void, void> {
  let before: string | undefined;
  for await (const { text, isLast } of readDocument(file, 0)) {
    if (isLast) yield (before ?? "") + text;
    else if (before !== undefined) yield before;
    before = text;
  }
}
