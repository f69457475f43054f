/** Data sets: text corpora, and token files streamed from disk. Imports tokenizers/, files/, ops/ and ir/. */
export { type PreparedData, type PrepareOptions, prepareData, type TokenizerKind } from "./prepare.ts";
export { type TextChunk, TextCorpus } from "./text.ts";
export { type Batch, permute, TokenDataset, type TokenDatasetOptions, TokenWriter } from "./token-dataset.ts";
