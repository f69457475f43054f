/** Rows of tokens of any lengths in a folder: tokens.bin has the tokens of all, lengths.bin how many each row has. */
import { type FileHandle, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "../../base/index.ts";
import { readJson, withReadErrors } from "../../files/index.ts";
import type { TokenDocuments } from "../pack/batches.ts";
import { bytesPerToken } from "../token-dataset.ts";

/** Names of the files of such a folder. */
export const tokenFiles = { tokens: "tokens.bin", lengths: "lengths.bin", info: "tokens.json" } as const;

/** What tokens.json says. */
export interface TokenInfo {
  /** Sum of the rows, the tokenizer and the options. */
  key: string;
  rows: number;
  tokens: number;
  vocabSize: number;
}

/** Rows of tokens that are read from a disk as they are asked for; their lengths are in memory, 12 bytes a row. */
export class TokenRows implements TokenDocuments {
  readonly lengths: Uint32Array;
  readonly info: TokenInfo;
  readonly folder: string;
  private readonly file: FileHandle;
  private readonly starts: Float64Array;
  private readonly width: number;

  private constructor(folder: string, file: FileHandle, info: TokenInfo, lengths: Uint32Array) {
    this.folder = folder;
    this.file = file;
    this.info = info;
    this.lengths = lengths;
    this.width = bytesPerToken(info.vocabSize);
    this.starts = new Float64Array(lengths.length + 1);
    for (let i = 0; i < lengths.length; i++) this.starts[i + 1] = this.starts[i] + lengths[i];
  }

  /** @throws DataError for a folder that has no such rows, or whose files do not fit together */
  static async open(folder: string): Promise<TokenRows> {
    const { key, rows, tokens, vocabSize } = await readJson(join(folder, tokenFiles.info));
    const path = join(folder, tokenFiles.lengths);
    const bytes = await withReadErrors(path, "lengths of rows", () => readFile(path));
    const damaged = (received: string) =>
      new DataError({
        where: folder,
        expected: `${rows} rows of ${tokens} tokens`,
        received,
        fix: "delete the folder, and tokenise again",
      });
    if (bytes.length !== Number(rows) * 4) throw damaged(`${bytes.length / 4} lengths`);
    const lengths = new Uint32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    const tokenPath = join(folder, tokenFiles.tokens);
    const file = await withReadErrors(tokenPath, "tokens of rows", () => open(tokenPath));
    const info = { key: String(key), rows: Number(rows), tokens: Number(tokens), vocabSize: Number(vocabSize) };
    const result = new TokenRows(folder, file, info, lengths);
    const { size } = await file.stat();
    if (result.starts[lengths.length] === info.tokens && size === info.tokens * result.width) return result;
    await file.close();
    throw damaged(`${size} bytes of tokens`);
  }

  get count(): number {
    return this.lengths.length;
  }

  /** Tokens of a row. @throws DataError where the file was cut since it was opened */
  async row(index: number): Promise<Int32Array> {
    return this.ids(index, 0, this.lengths[index]);
  }

  async ids(document: number, start: number, length: number): Promise<Int32Array> {
    const bytes = new Uint8Array(length * this.width);
    const at = (this.starts[document] + start) * this.width;
    const { bytesRead } = await this.file.read(bytes, 0, bytes.length, at);
    if (bytesRead === bytes.length)
      return Int32Array.from(this.width === 2 ? new Uint16Array(bytes.buffer) : new Uint32Array(bytes.buffer));
    throw new DataError({
      where: join(this.folder, tokenFiles.tokens),
      expected: `row ${document}`,
      received: "the end of the file",
      fix: "delete the folder, and tokenise again",
    });
  }

  /** Closes the file. */
  close(): Promise<void> {
    return this.file.close();
  }
}
