/**
 * Data sets: text corpora, token files streamed from disk, and sources of batches. Imports tokenizers/, tensor/ and
 * below.
 */

export type { ModelEndpoint, Usage } from "./build/ask.ts";
export { type BuildOptions, type BuildProgress, type BuildReport, buildPairs, estimateBuild } from "./build/build.ts";
export type { PairChecks } from "./build/check.ts";
export { type GeneratedPair, type PairKind, type Passage, pairMessages, passagesOf } from "./build/pairs.ts";
export { type DistinctBatchOptions, type DistinctSource, distinctBatches } from "./distinct-batches.ts";
export {
  type Episode,
  type EpisodeBatch,
  type EpisodeOptions,
  episodesOf,
  type SplitClassesOptions,
  splitClasses,
} from "./episodes.ts";
export { type BatchOptions, batchesOf } from "./examples.ts";
export { ClassNames, type ClassValue } from "./formats/class-names.ts";
export { type ConllOptions, openConll, squadRows } from "./formats/conll.ts";
export { toConversation, toExample } from "./formats/convert.ts";
export type {
  ClassifiedText,
  Conversation,
  ExampleFormat,
  Examples,
  ExtractiveQuestion,
  Preference,
  PromptCompletion,
  RatedCompletion,
  TaggedTokens,
  TextPair,
  TranslationPair,
} from "./formats/examples.ts";
export {
  type ReadExamples,
  type ReadExamplesOptions,
  readConversations,
  readExamples,
} from "./formats/read-examples.ts";
export {
  type ColumnMapping,
  exampleFormats,
  type RecognisedFormat,
  type RecogniseOptions,
  recogniseFormat,
  recogniseRows,
} from "./formats/recognise.ts";
export {
  type PackedBatch,
  type PackedBatchOptions,
  type PackedSource,
  type PackedWindow,
  packedBatches,
  packedWindow,
  segmentMask,
  type TokenDocuments,
  type UnpackedPiece,
  unpackWindow,
} from "./pack/batches.ts";
export { type SequenceBatchOptions, sequenceBatches, TokenSequence } from "./pack/stream.ts";
export { PackedWindows, type PackOptions, type Piece, packDocuments } from "./pack/windows.ts";
export { permute } from "./permute.ts";
export { type PrepareOptions, prepareData, type TokenizerKind } from "./prepare.ts";
export { type Fingerprint, openPrepared, type PreparedData } from "./prepared.ts";
export { type C4Options, type C4Result, cleanC4 } from "./quality/c4.ts";
export { ContaminationIndex, type ContaminationOptions, type Overlap } from "./quality/contamination.ts";
export { type Deduplicated, type DedupOptions, dedupRows } from "./quality/dedup.ts";
export { SeenTexts } from "./quality/exact.ts";
export { type GopherOptions, gopherFaults } from "./quality/gopher.ts";
export { type DetectedLanguage, languageDetector } from "./quality/language.ts";
export { MinHasher, type MinHashOptions, type MinHashParameters, minHashParameters } from "./quality/minhash.ts";
export { findNearDuplicates, type NearDuplicates } from "./quality/near-duplicates.ts";
export { checkShares, type SplitName, type SplitOptions, splitOf, splitRows } from "./quality/split.ts";
export {
  type ColumnStats,
  type DataStats,
  Distribution,
  rowText,
  StatsCollector,
  type Summary,
} from "./quality/stats.ts";
export { type BadRow, type BadRowOptions, BadRows } from "./rows/bad-rows.ts";
export { type BoxFormat, boxFormats, type ObjectRows } from "./rows/boxes.ts";
export { type OpenCocoOptions, openCoco } from "./rows/coco.ts";
export {
  concatRows,
  filterRows,
  type InterleaveOptions,
  interleaveRows,
  mapRows,
  selectRows,
  shuffleRows,
  takeRows,
} from "./rows/combine.ts";
export { type OpenDatasetOptions, openDataset } from "./rows/dataset.ts";
export { openIdx } from "./rows/idx.ts";
export { openDocuments, openMediaFolder } from "./rows/media-folder.ts";
export { type ObjectRowsOptions, openObjectRows } from "./rows/object-rows.ts";
export { type FileFormat, type OpenRowsOptions, openRows, type StreamedRow, streamRows } from "./rows/open-rows.ts";
export { canonicalJson, type Row, type Rows, rowsOf } from "./rows/rows.ts";
export { dataFilesIn, type SplitFiles, splitFilesOf } from "./rows/splits.ts";
export { openTextDocuments, type TextDocuments } from "./rows/text-documents.ts";
export type { CsvOptions } from "./rows/text-formats.ts";
export { type RowsWriter, writeRows } from "./rows/write-rows.ts";
export { type OpenYoloOptions, openYolo } from "./rows/yolo.ts";
export type { Source } from "./source.ts";
export { type TextChunk, TextCorpus } from "./text.ts";
export { type TokenBatch, TokenDataset, type TokenDatasetOptions, TokenWriter } from "./token-dataset.ts";
export { type TokenInfo, TokenRows } from "./tokenise/token-rows.ts";
export { type TokeniseOptions, tokeniseRows } from "./tokenise/tokenise.ts";
