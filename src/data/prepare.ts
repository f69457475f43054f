import { type FileHandle, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { DataError, known, nearest, OptionError } from "../base/index.ts";
import { writeChecksums, writeFolderAtomic } from "../files/index.ts";
import { BpeTrainer, CharacterTrainer, corpusEncoder, type Tokenizer } from "../tokenizers/index.ts";
import { DATA_FILES, openPrepared, type PreparedData, type Recipe, writeRecipe } from "./prepared.ts";
import type { TextChunk, TextCorpus } from "./text.ts";
import { bytesPerToken, TokenWriter } from "./token-dataset.ts";

/**
 * The tokenizer that is trained: "bpe" learns byte-level pieces of words, "char" has a token for each character of
 * the text.
 */
export type TokenizerKind = "bpe" | "char";

/** How a text becomes tokens: its tokenizer, and how much is kept for validation. */
export interface PrepareOptions {
  /** Which tokenizer is trained on the text. */
  tokenizer: TokenizerKind;
  /**
   * Most tokens of the BPE vocabulary; a text that repeats little gives fewer. The character tokenizer takes what the
   * text has.
   */
  vocabSize: number;
  /** Tokens of a sequence in training: the training and the validation part each have more than this. */
  contextLength: number;
  /** Share of the text kept for validation. @default 0.1 */
  validationFraction?: number;
  /** Called with what is being done, in words, and the share of it that is done, 0 to 1. */
  onProgress?: (stage: string, fraction: number) => void;
  /** What turned out other than asked for. */
  onNote?: (note: string) => void;
  /** Ends the work between two pieces of the text; the folder is left as it was. */
  signal?: AbortSignal;
}

/** BPE learns from at most this much text, taken evenly from the corpus. */
const BPE_SAMPLE_BYTES = 32 << 20;
/** With at least this many documents, validation takes whole documents. */
const MIN_DOCUMENTS = 20;

/**
 * Trains a tokenizer on a corpus and writes its tokens to train.bin and validation.bin in `folder`. What an earlier,
 * equal call has finished is used again: the sum of the text and the sums of the files decide. Validation is whole
 * documents spread over the corpus, or the end of the text where there are few documents, or too short ones. The folder
 * changes at once, when everything is written.
 * @throws OptionError for an option that does not exist or cannot be so
 * @throws DataError for a text that is too short or not UTF-8, for prepared files that were changed, and for a folder
 *   with other files in it
 */
export async function prepareData(corpus: TextCorpus, folder: string, options: PrepareOptions): Promise<PreparedData> {
  checkPrepareOptions(options);
  const { tokenizer: kind, vocabSize, contextLength, validationFraction = 0.1 } = options;
  options.onProgress?.("reading the text", 0);
  const recipe: Recipe = {
    corpus: await corpus.sha256(),
    kind,
    vocabSize: kind === "bpe" ? vocabSize : 0,
    contextLength,
    validationFraction,
  };
  const earlier = await openPrepared(folder);
  if (earlier && JSON.stringify(earlier.recipe) === JSON.stringify(recipe)) return earlier;
  await requireDataFolder(folder);
  const tokenizer = await trainTokenizer(corpus, options);
  await writeFolderAtomic(folder, async (temporary) => {
    await tokenizer.save(temporary);
    await writeRecipe(
      temporary,
      recipe,
      await writeTokens(corpus, tokenizer, { folder: temporary, validationFraction, contextLength }, options),
    );
    await writeChecksums(temporary);
  });
  return (await openPrepared(folder)) as PreparedData;
}

const optionNames = {
  ...({ tokenizer: true, vocabSize: true, contextLength: true, validationFraction: true } as const),
  ...({ onProgress: true, onNote: true, signal: true } as const),
};
const kinds: readonly TokenizerKind[] = ["bpe", "char"];

function checkPrepareOptions(options: PrepareOptions): void {
  known("prepareData", options, optionNames);
  const { tokenizer, vocabSize, contextLength, validationFraction = 0.1 } = options;
  const require = (isFine: boolean, expected: string, received: unknown, fix = "correct the option") => {
    if (!isFine) throw new OptionError({ where: "prepareData", expected, received: String(received), fix });
  };
  const near = nearest(String(tokenizer), kinds);
  const fix = near ? `did you mean "${near}"?` : "choose one of them";
  require(kinds.includes(tokenizer), `tokenizer to be ${kinds.join(" or ")}`, JSON.stringify(tokenizer), fix);
  const isVocabulary = tokenizer === "char" || (Number.isSafeInteger(vocabSize) && vocabSize > 0);
  require(isVocabulary, "vocabSize to be a positive integer", vocabSize);
  const isLength = Number.isSafeInteger(contextLength) && contextLength > 0;
  require(isLength, "contextLength to be a positive integer", contextLength);
  const isFraction = typeof validationFraction === "number" && validationFraction > 0 && validationFraction < 1;
  require(isFraction, "validationFraction above 0 and below 1", validationFraction);
}

/** What is written replaces the folder, so that nothing else may be in it. */
async function requireDataFolder(folder: string): Promise<void> {
  const other = (await readdir(folder).catch(() => [])).find((name) => !DATA_FILES.includes(name));
  if (other === undefined) return;
  throw new DataError({
    where: folder,
    expected: "an empty folder or one of prepared data",
    received: `one with ${other}`,
    fix: "name another folder",
  });
}

async function trainTokenizer(
  corpus: TextCorpus,
  { tokenizer: kind, vocabSize, onProgress, onNote, signal }: PrepareOptions,
): Promise<Tokenizer> {
  const trainer = kind === "bpe" ? new BpeTrainer({ vocabSize }) : new CharacterTrainer();
  const keepEvery = kind === "bpe" ? Math.ceil(corpus.bytes / BPE_SAMPLE_BYTES) : 1;
  let seen = 0;
  let index = 0;
  for await (const { text } of corpus.chunks()) {
    signal?.throwIfAborted();
    if (index++ % keepEvery === 0) trainer.add(text);
    seen += text.length;
    onProgress?.("learning the vocabulary", Math.min(1, seen / corpus.bytes));
  }
  const tokenizer = await trainer.train();
  if (kind === "bpe" && tokenizer.vocabSize < vocabSize) {
    onNote?.(`the text repeats too little for ${vocabSize} tokens: the vocabulary has ${tokenizer.vocabSize}`);
  }
  return tokenizer;
}

interface Targets {
  folder: string;
  validationFraction: number;
  contextLength: number;
}

type Counts = Pick<PreparedData, "trainTokens" | "validationTokens">;

async function writeTokens(
  corpus: TextCorpus,
  tokenizer: Tokenizer,
  targets: Targets,
  options: PrepareOptions,
): Promise<Counts> {
  const { validationFraction, contextLength } = targets;
  const least = contextLength + 1;
  if (corpus.files.length >= MIN_DOCUMENTS) {
    const every = Math.max(2, Math.round(1 / validationFraction));
    const counts = await encodeCorpus(
      corpus,
      tokenizer,
      { ...targets, isValidation: ({ document }) => document % every === every >> 1 },
      options,
    );
    if (Math.min(counts.trainTokens, counts.validationTokens) >= least) return counts;
  }
  const { trainTokens: total } = await encodeCorpus(
    corpus,
    tokenizer,
    { ...targets, isValidation: () => false },
    options,
  );
  if (total < 2 * least) {
    const fitting = Math.max(1, Math.floor(total / 2) - 1);
    throw new DataError({
      where: corpus.files[0],
      expected: `at least ${2 * least} tokens: one context of ${contextLength} for training and one for validation`,
      received: `${total} tokens`,
      fix: `use more text, or --context ${fitting} (of a config: data.maxLength)`,
    });
  }
  const validationTokens = Math.max(least, Math.floor(total * validationFraction));
  await moveTail(targets.folder, validationTokens, tokenizer.vocabSize);
  return { trainTokens: total - validationTokens, validationTokens };
}

interface Split extends Targets {
  isValidation: (chunk: TextChunk) => boolean;
}

async function encodeCorpus(
  corpus: TextCorpus,
  tokenizer: Tokenizer,
  { folder, isValidation }: Split,
  { onProgress, signal }: PrepareOptions,
): Promise<Counts> {
  const writers: TokenWriter[] = [];
  const encode = corpusEncoder(tokenizer);
  let seen = 0;
  try {
    for (const name of ["train.bin", "validation.bin"])
      writers.push(await TokenWriter.create(join(folder, name), tokenizer.vocabSize));
    const [train, validation] = writers;
    for await (const chunk of corpus.chunks()) {
      signal?.throwIfAborted();
      const ids = await encode(chunk.text);
      if (chunk.isLast && corpus.files.length > 1 && tokenizer.endOfTextId !== null) ids.push(tokenizer.endOfTextId);
      await (isValidation(chunk) ? validation : train).write(ids);
      seen += chunk.text.length;
      onProgress?.("encoding the text", Math.min(1, seen / corpus.bytes));
    }
    return { trainTokens: train.count, validationTokens: validation.count };
  } finally {
    for (const writer of writers) await writer.close();
  }
}

/** Moves the last `count` tokens from train.bin to validation.bin. */
async function moveTail(folder: string, count: number, vocabSize: number): Promise<void> {
  const source = await open(join(folder, "train.bin"), "r+");
  try {
    const { size } = await source.stat();
    const start = size - count * bytesPerToken(vocabSize);
    await copyTail(source, { start, size }, join(folder, "validation.bin"), vocabSize);
    await source.truncate(start);
    await source.sync();
  } finally {
    await source.close();
  }
}

const BLOCK_BYTES = 1 << 20;

async function copyTail(
  source: FileHandle,
  { start, size }: { start: number; size: number },
  path: string,
  vocabSize: number,
): Promise<void> {
  const target = await TokenWriter.create(path, vocabSize);
  const Ids = bytesPerToken(vocabSize) === 2 ? Uint16Array : Uint32Array;
  try {
    for (let at = start; at < size; at += BLOCK_BYTES) {
      const bytes = new Uint8Array(Math.min(BLOCK_BYTES, size - at));
      await source.read(bytes, 0, bytes.length, at);
      await target.write(Array.from(new Ids(bytes.buffer)));
    }
  } finally {
    await target.close();
  }
}
