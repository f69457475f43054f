import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { readJson, writeJson } from "../files/index.ts";
import { DataError } from "../ir/index.ts";
import { BpeTrainer, CharacterTrainer, corpusEncoder, Tokenizer } from "../tokenizers/index.ts";
import type { TextChunk, TextCorpus } from "./text.ts";
import { bytesPerToken, TokenWriter } from "./token-dataset.ts";

export type TokenizerKind = "bpe" | "char";

export interface PrepareOptions {
  tokenizer: TokenizerKind;
  /** Tokens of the BPE vocabulary; the character tokenizer takes what the text has. */
  vocabSize: number;
  contextLength: number;
  /** Share of the text kept for validation. @default 0.1 */
  validationFraction?: number;
  onProgress?: (stage: string, fraction: number) => void;
  signal?: AbortSignal;
}

export interface PreparedData {
  tokenizer: Tokenizer;
  trainPath: string;
  validationPath: string;
  trainTokens: number;
  validationTokens: number;
}

/** BPE learns from at most this much text, taken evenly from the corpus. */
const BPE_SAMPLE_BYTES = 32 << 20;
/** With at least this many documents, validation takes whole documents. */
const MIN_DOCUMENTS = 20;
const MARKER = "data.json";

/**
 * Trains a tokenizer on a corpus and writes its tokens to train.bin and validation.bin in `folder`. What an earlier, equal
 * call has finished is used again. Validation is whole documents spread over the corpus, or the end of a single text.
 */
export async function prepareData(corpus: TextCorpus, folder: string, options: PrepareOptions): Promise<PreparedData> {
  const { tokenizer: kind, vocabSize, contextLength, validationFraction = 0.1 } = options;
  const paths = { trainPath: join(folder, "train.bin"), validationPath: join(folder, "validation.bin") };
  const tokenizerPath = join(folder, "tokenizer.json");
  const recipe = { files: corpus.files.length, bytes: corpus.bytes, kind, vocabSize: kind === "bpe" ? vocabSize : 0, validationFraction };
  const marker = await readJson(join(folder, MARKER)).catch(() => undefined);
  if (marker && JSON.stringify(marker.recipe) === JSON.stringify(recipe)) {
    return {
      tokenizer: await Tokenizer.open(tokenizerPath),
      ...paths,
      trainTokens: Number(marker.trainTokens),
      validationTokens: Number(marker.validationTokens),
    };
  }
  await mkdir(folder, { recursive: true });
  const tokenizer = await trainTokenizer(corpus, options);
  await tokenizer.save(folder);
  const counts = await writeTokens(corpus, tokenizer, { ...paths, validationFraction, contextLength }, options);
  await writeJson(join(folder, MARKER), { recipe, ...counts });
  return { tokenizer, ...paths, ...counts };
}

async function trainTokenizer(corpus: TextCorpus, { tokenizer: kind, vocabSize, onProgress, signal }: PrepareOptions): Promise<Tokenizer> {
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
  return trainer.train();
}

interface Targets {
  trainPath: string;
  validationPath: string;
  validationFraction: number;
  contextLength: number;
}

async function writeTokens(corpus: TextCorpus, tokenizer: Tokenizer, targets: Targets, { onProgress, signal }: PrepareOptions) {
  const { trainPath, validationPath, validationFraction, contextLength } = targets;
  const every = corpus.files.length >= MIN_DOCUMENTS ? Math.max(2, Math.round(1 / validationFraction)) : 0;
  const isValidation = ({ document }: TextChunk) => every > 0 && document % every === every >> 1;
  const train = await TokenWriter.create(trainPath, tokenizer.vocabSize);
  const validation = await TokenWriter.create(validationPath, tokenizer.vocabSize);
  const encode = corpusEncoder(tokenizer);
  let seen = 0;
  try {
    for await (const chunk of corpus.chunks()) {
      signal?.throwIfAborted();
      const ids = await encode(chunk.text);
      if (chunk.isLast && corpus.files.length > 1 && tokenizer.endOfTextId !== null) ids.push(tokenizer.endOfTextId);
      await (isValidation(chunk) ? validation : train).write(ids);
      seen += chunk.text.length;
      onProgress?.("encoding the text", Math.min(1, seen / corpus.bytes));
    }
  } finally {
    await train.close();
    await validation.close();
  }
  const total = train.count + validation.count;
  const least = 2 * (contextLength + 1);
  if (total < least) {
    throw new DataError({
      where: corpus.files[0],
      expected: `at least ${least} tokens: one context of ${contextLength} for training and one for validation`,
      received: `${total} tokens`,
      fix: `use more text, or --context ${Math.max(1, Math.floor(total / 2) - 1)}`,
    });
  }
  let moved = 0;
  if (every === 0) {
    moved = Math.max(contextLength + 1, Math.floor(total * validationFraction));
    await moveTail(trainPath, validationPath, moved, tokenizer.vocabSize);
  }
  return { trainTokens: train.count - moved, validationTokens: validation.count + moved };
}

/** Moves the last `count` tokens of one file into another. */
async function moveTail(from: string, to: string, count: number, vocabSize: number): Promise<void> {
  const source = await open(from, "r+");
  const target = await TokenWriter.create(to, vocabSize);
  try {
    const { size } = await source.stat();
    const width = bytesPerToken(vocabSize);
    const start = size - count * width;
    const block = 1 << 20;
    for (let at = start; at < size; at += block) {
      const bytes = new Uint8Array(Math.min(block, size - at));
      await source.read(bytes, 0, bytes.length, at);
      await target.write(Array.from(width === 2 ? new Uint16Array(bytes.buffer) : new Uint32Array(bytes.buffer)));
    }
    await source.truncate(start);
  } finally {
    await source.close();
    await target.close();
  }
}
