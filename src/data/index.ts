/**
 * Data sets: text corpora, token files streamed from disk, and sources of batches. Imports tokenizers/, tensor/ and
 * below.
 */
export { type BatchOptions, batchesOf } from "./examples.ts";
export { permute } from "./permute.ts";
export { type PrepareOptions, prepareData, type TokenizerKind } from "./prepare.ts";
export { type Fingerprint, openPrepared, type PreparedData } from "./prepared.ts";
export type { Source } from "./source.ts";
export { type TextChunk, TextCorpus } from "./text.ts";
export { type TokenBatch, TokenDataset, type TokenDatasetOptions, TokenWriter } from "./token-dataset.ts";
