/** Data sets: text corpora, and token files streamed from disk. Imports tokenizers/, files/, ops/ and ir/. */
export { type PrepareOptions, prepareData, type TokenizerKind } from "./prepare.ts";
export { type Fingerprint, openPrepared, type PreparedData } from "./prepared.ts";
export { type TextChunk, TextCorpus } from "./text.ts";
export { type Batch, permute, TokenDataset, type TokenDatasetOptions, TokenWriter } from "./token-dataset.ts";
