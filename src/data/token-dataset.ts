import { type FileHandle, open, stat } from "node:fs/promises";
import { checkOptions, DataError, OptionError } from "../base/index.ts";
import { foldKeyOnHost } from "../ops/index.ts";
import { type Tensor, tensor } from "../tensor/index.ts";
import { permute } from "./permute.ts";
import type { Source } from "./source.ts";

/** Ids below this fit two bytes. */
const SMALL_VOCABULARY = 1 << 16;
/** Bytes of one stored id. */
export const bytesPerToken = (vocabSize: number) => (vocabSize <= SMALL_VOCABULARY ? 2 : 4);

/** Writes token ids to a file as they come: little-endian integers of 2 bytes, or of 4 for large vocabularies. */
export class TokenWriter {
  private readonly file: FileHandle;
  private readonly width: number;
  count = 0;

  private constructor(file: FileHandle, width: number) {
    this.file = file;
    this.width = width;
  }

  /** Begins a file, in place of one that is there. */
  static async create(path: string, vocabSize: number): Promise<TokenWriter> {
    return new TokenWriter(await open(path, "w"), bytesPerToken(vocabSize));
  }

  /** Appends tokens. */
  async write(ids: readonly number[]): Promise<void> {
    await this.file.writeFile(new Uint8Array((this.width === 2 ? Uint16Array : Uint32Array).from(ids).buffer));
    this.count += ids.length;
  }

  /** Waits until the tokens are on the disk, and closes the file. */
  async close(): Promise<void> {
    await this.file.sync().finally(() => this.file.close());
  }
}

/** What a language model learns from. */
export interface TokenBatch {
  /** i32 [batchSize, contextLength] */
  inputIds: Tensor<"i32">;
  /** What comes next in each place: the ids shifted by one. */
  shiftLabels: Tensor<"i32">;
}

/** How a file of tokens is cut into batches. */
export interface TokenDatasetOptions {
  contextLength: number;
  vocabSize: number;
  /** Windows in a batch. */
  batchSize: number;
  /** @default 0 */
  seed?: number;
}

/** A sequence of tokens that is cut into windows. */
export interface WindowedTokens {
  tokens: number;
  windows: number;
  contextLength: number;
  seed: number;
}

/** Start of sample number `sample`. Each epoch shifts all windows by another offset, so that cuts fall elsewhere. */
export function shuffledStart(sample: number, { tokens, windows, contextLength, seed }: WindowedTokens): number {
  const epoch = Math.floor(sample / windows);
  const [shiftBits, key] = foldKeyOnHost([seed | 0, 0x64617461], epoch); // "data"
  const slack = tokens - 1 - windows * contextLength;
  const shift = epoch === 0 ? 0 : (shiftBits >>> 0) % (slack + 1);
  return permute(sample % windows, windows, key) * contextLength + shift;
}

/**
 * A long sequence of tokens in a file, served as windows of contextLength + 1. Windows are read from disk when asked
 * for, so the corpus may be larger than memory. Batch number i is a pure function of the seed and of i: an epoch visits
 * each window once, in an order that differs from epoch to epoch, and training can resume at any step.
 */
export class TokenDataset implements Source<TokenBatch> {
  readonly tokens: number;
  readonly windows: number;
  private readonly file: FileHandle;
  private readonly width: number;
  /** Tokens of a window. */
  readonly contextLength: number;
  private readonly batchSize: number;
  /** Of the order of windows. */
  readonly seed: number;
  private readonly vocabSize: number;
  private readonly path: string;

  private constructor(
    path: string,
    file: FileHandle,
    tokens: number,
    { contextLength, vocabSize, batchSize, seed = 0 }: TokenDatasetOptions,
  ) {
    this.path = path;
    this.file = file;
    this.tokens = tokens;
    this.width = bytesPerToken(vocabSize);
    this.contextLength = contextLength;
    this.batchSize = batchSize;
    this.vocabSize = vocabSize;
    this.seed = seed;
    this.windows = Math.floor((tokens - 1) / contextLength);
  }

  /**
   * @throws DataError when the file is missing, cut off in a token, or shorter than one window; OptionError for wrong
   *   options
   */
  static async open(path: string, options: TokenDatasetOptions): Promise<TokenDataset> {
    checkOptions("TokenDataset.open", options, ["contextLength", "vocabSize", "batchSize", "seed"]);
    if (!(Number.isSafeInteger(options.batchSize) && options.batchSize > 0)) {
      throw new OptionError({
        where: "TokenDataset.open",
        expected: "a batchSize of at least 1",
        received: `${options.batchSize}`,
        fix: "say how many windows a batch has",
      });
    }
    const info = await stat(path).catch((cause) => {
      throw new DataError({
        where: path,
        expected: "a token file",
        received: "nothing there",
        fix: "prepare the data again",
        cause,
      });
    });
    const tokens = info.size / bytesPerToken(options.vocabSize);
    if (!Number.isInteger(tokens))
      throw new DataError({
        where: path,
        expected: "whole tokens",
        received: `${info.size} bytes`,
        fix: "prepare the data again",
      });
    if (tokens < options.contextLength + 1) {
      throw new DataError({
        where: path,
        expected: `at least ${options.contextLength + 1} tokens, one context and the token after it`,
        received: `${tokens} tokens`,
        fix: "use more text, or a shorter context (--context, data.maxLength of a config)",
      });
    }
    return new TokenDataset(path, await open(path, "r"), tokens, options);
  }

  /** Batch number `index` of the endless shuffled sequence. */
  async batch(index: number): Promise<TokenBatch> {
    const { batchSize } = this;
    const rows = Array.from({ length: batchSize }, (_, row) => shuffledStart(index * batchSize + row, this));
    return this.windowsAt(rows);
  }

  /** Batches in the order of the text, without shuffling: at most `limit` of them, spread evenly. */
  spread(limit: number): Source<TokenBatch> {
    const { batchSize, windows, contextLength } = this;
    const total = Math.min(windows, batchSize * limit);
    const startOf = (i: number) => Math.floor(((i % total) * windows) / total) * contextLength;
    return {
      batch: (index) => this.windowsAt(Array.from({ length: batchSize }, (_, row) => startOf(index * batchSize + row))),
      count: Math.max(1, Math.floor(total / batchSize)),
    };
  }

  private async windowsAt(starts: readonly number[]): Promise<TokenBatch> {
    const { contextLength } = this;
    const shape = [starts.length, contextLength];
    const inputs = new Int32Array(starts.length * contextLength);
    const targets = new Int32Array(inputs.length);
    await Promise.all(
      starts.map(async (start, row) => {
        const ids = await this.read(start, contextLength + 1);
        inputs.set(ids.subarray(0, contextLength), row * contextLength);
        targets.set(ids.subarray(1), row * contextLength);
      }),
    );
    return { inputIds: tensor(inputs, { shape }), shiftLabels: tensor(targets, { shape }) };
  }

  /** @throws DataError when the file was cut or holds ids outside the vocabulary */
  private async read(start: number, count: number): Promise<Int32Array> {
    const bytes = new Uint8Array(count * this.width);
    const { bytesRead } = await this.file.read(bytes, 0, bytes.length, start * this.width);
    if (bytesRead !== bytes.length)
      throw new DataError({
        where: this.path,
        expected: `${count} tokens at ${start}`,
        received: "the end of the file",
        fix: "prepare the data again",
      });
    const ids = Int32Array.from(this.width === 2 ? new Uint16Array(bytes.buffer) : new Uint32Array(bytes.buffer));
    const wrong = ids.find((id) => id < 0 || id >= this.vocabSize);
    if (wrong !== undefined)
      throw new DataError({
        where: this.path,
        expected: `ids below ${this.vocabSize}`,
        received: `${wrong}`,
        fix: "prepare the data again with this tokenizer",
      });
    return ids;
  }

  /** Closes the file. */
  async close(): Promise<void> {
    await this.file.close();
  }
}
