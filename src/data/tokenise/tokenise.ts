import { type FileHandle, open, readFile, rename, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { checkOptions, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import { exists, FolderLock, makeFolder, withWriteErrors, writeJson } from "../../files/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import { fingerprintOf, type Rows } from "../rows/rows.ts";
import { bytesPerToken } from "../token-dataset.ts";
import type { EncodedTexts } from "./encode-texts.ts";
import { encoderThreads } from "./threads.ts";
import { TokenRows, tokenFiles } from "./token-rows.ts";

/** How rows become tokens, and where these are kept. */
export interface TokeniseOptions<R> {
  /** The folder of caches: each combination of rows, tokenizer and options has a folder of its own in it. */
  folder: string;
  tokenizer: Tokenizer;
  /** The text of a row. */
  textOf: (row: R) => string;
  /** Says what `textOf` does, with its version, for the sum by which tokens are found again. */
  name: string;
  /** Whether the tokenizer adds what belongs around a text. @default false */
  addSpecialTokens?: boolean;
  /** A token behind each text, such as `tokenizer.endOfTextId`. @default none */
  endId?: number;
  /** Longer rows are cut. @default no limit */
  maxTokens?: number;
  /** Threads that encode; 0 encodes in this one. @default one less than there are processors, at least 1 */
  threads?: number;
  /** Called as rows are written. */
  onProgress?: (rows: number, tokens: number) => void;
  /** Ends the work between two pieces; what is written stays, and the same call goes on behind it. */
  signal?: AbortSignal;
}

const optionNames = [
  ...["folder", "tokenizer", "textOf", "name", "addSpecialTokens", "endId", "maxTokens", "threads", "onProgress"],
  "signal",
];
/** A piece of work for a thread: so many characters, or rows. */
const PIECE_CHARACTERS = 1 << 18;
const PIECE_ROWS = 1024;
/** Pieces that wait for each thread, so that it need not wait for them. */
const WAITING = 2;

/**
 * Tokens of all rows, from the cache where an equal call has left them: the sums of the rows, the tokenizer and the
 * options decide. They are written as they come, so that a call which was killed goes on where it was.
 * @throws OptionError for wrong options, and for rows to which a function without a name was applied
 */
export async function tokeniseRows<R>(rows: Rows<R>, options: TokeniseOptions<R>): Promise<TokenRows> {
  const key = await keyOf(rows, options);
  const folder = join(options.folder, key.slice(0, 16));
  if (await exists(join(folder, tokenFiles.info))) return TokenRows.open(folder);
  await makeFolder(options.folder);
  const use = { expected: "rows that no other process tokenises", doing: "does so", otherwise: "wait for it" };
  const lock = await FolderLock.acquire(folder, use);
  try {
    if (await exists(join(folder, tokenFiles.info))) return await TokenRows.open(folder);
    await write(rows, `${folder}.part`, key, options);
    await withWriteErrors(folder, async () => {
      await rm(folder, { recursive: true, force: true });
      await rename(`${folder}.part`, folder);
    });
    return await TokenRows.open(folder);
  } finally {
    await lock.release();
  }
}

async function keyOf<R>(rows: Rows<R>, options: TokeniseOptions<R>): Promise<string> {
  const where = "tokeniseRows";
  checkOptions(where, options, optionNames);
  const { tokenizer, name, addSpecialTokens = false, endId, maxTokens = Number.POSITIVE_INFINITY } = options;
  const { limit, wholeNumber } = numberRules;
  requireNumbers(where, { maxTokens }, { maxTokens: limit });
  if (endId !== undefined) requireNumbers(where, { endId }, { endId: wholeNumber });
  if (options.threads !== undefined) requireNumbers(where, { threads: options.threads }, { threads: wholeNumber });
  const content = await rows.fingerprint();
  if (content === undefined)
    throw new OptionError({
      where,
      expected: "rows whose content can be told apart",
      received: "rows to which a function without a name was applied",
      fix: 'give mapRows a name that says what the function does: { name: "lower case, 1" }',
    });
  const settings = JSON.stringify({ name, addSpecialTokens, endId, maxTokens: String(maxTokens) });
  const tokens = JSON.stringify([tokenizer.toJson(), tokenizer.configToJson()]);
  return fingerprintOf("tokens 1", content, tokens, settings);
}

/** Writes the rows that are not written yet, then the note that all are. */
async function write<R>(rows: Rows<R>, folder: string, key: string, options: TokeniseOptions<R>): Promise<void> {
  const { tokenizer, addSpecialTokens = false, endId, maxTokens = Number.POSITIVE_INFINITY } = options;
  const { threads = Math.max(1, availableParallelism() - 1), signal, onProgress } = options;
  const writer = await RowWriter.open(folder, tokenizer.vocabSize);
  const encoder = encoderThreads(tokenizer, { addSpecialTokens, maxTokens, endId }, threads);
  const pending: Promise<EncodedTexts>[] = [];
  const writeOldest = async () => {
    await writer.write(await (pending.shift() as Promise<EncodedTexts>));
    onProgress?.(writer.rows, writer.tokens);
  };
  try {
    for await (const texts of piecesOf(rows, options.textOf, writer.rows)) {
      signal?.throwIfAborted();
      const encoded = encoder.encode(texts);
      encoded.catch(() => {}); // whoever waits for it gets the error
      pending.push(encoded);
      if (pending.length > WAITING * encoder.width) await writeOldest();
    }
    while (pending.length > 0) {
      signal?.throwIfAborted();
      await writeOldest();
    }
  } finally {
    await encoder.dispose();
    await writer.close();
  }
  const info = { key, rows: writer.rows, tokens: writer.tokens, vocabSize: tokenizer.vocabSize };
  await writeJson(join(folder, tokenFiles.info), info);
}

/** Texts of rows from a number on, as many as a thread gets at a time. */
async function* piecesOf<R>(rows: Rows<R>, textOf: (row: R) => string, from: number): AsyncGenerator<string[]> {
  let [texts, characters, index]: [string[], number, number] = [[], 0, 0];
  // in order as files have them; rows that are done are read again, which takes little beside encoding them
  for await (const row of rows) {
    if (index++ < from) continue;
    const text = textOf(row);
    texts.push(text);
    characters += text.length;
    if (characters < PIECE_CHARACTERS && texts.length < PIECE_ROWS) continue;
    yield texts;
    [texts, characters] = [[], 0];
  }
  if (texts.length > 0) yield texts;
}

/** Appends rows to the two files. Tokens come before their lengths, so that lengths say what is whole. */
class RowWriter {
  rows = 0;
  tokens = 0;
  private readonly tokenFile: FileHandle;
  private readonly lengthFile: FileHandle;
  private readonly path: string;
  private readonly width: number;

  private constructor(path: string, tokenFile: FileHandle, lengthFile: FileHandle, width: number) {
    this.path = path;
    this.tokenFile = tokenFile;
    this.lengthFile = lengthFile;
    this.width = width;
  }

  /** Goes on behind the last row that is whole. */
  static async open(folder: string, vocabSize: number): Promise<RowWriter> {
    return withWriteErrors(folder, async () => {
      await makeFolder(folder);
      const tokenFile = await open(join(folder, tokenFiles.tokens), "a+");
      const lengthFile = await open(join(folder, tokenFiles.lengths), "a+");
      const writer = new RowWriter(folder, tokenFile, lengthFile, bytesPerToken(vocabSize));
      await writer.settle(await readFile(join(folder, tokenFiles.lengths)));
      return writer;
    });
  }

  /** Cuts off what a kill, or a power cut, has left of a row. */
  private async settle(stored: Buffer): Promise<void> {
    const whole = (await this.tokenFile.stat()).size / this.width;
    for (; this.rows * 4 + 4 <= stored.length; this.rows++) {
      const length = stored.readUInt32LE(this.rows * 4);
      if (this.tokens + length > whole) break;
      this.tokens += length;
    }
    await this.tokenFile.truncate(this.tokens * this.width);
    await this.lengthFile.truncate(this.rows * 4);
  }

  async write({ ids, lengths }: EncodedTexts): Promise<void> {
    await withWriteErrors(this.path, async () => {
      const numbers = this.width === 2 ? Uint16Array.from(ids) : ids;
      await this.tokenFile.writeFile(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength));
      await this.lengthFile.writeFile(new Uint8Array(lengths.buffer, lengths.byteOffset, lengths.byteLength));
    });
    this.rows += lengths.length;
    this.tokens += ids.length;
  }

  async close(): Promise<void> {
    await withWriteErrors(this.path, async () => {
      await this.tokenFile.sync();
      await this.lengthFile.sync();
      await this.tokenFile.close();
      await this.lengthFile.close();
    });
  }
}
