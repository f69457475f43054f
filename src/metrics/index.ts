/** Metrics: numbers that say how good predictions are, and how sure that is. On the host; imports base/. */
export {
  accuracy,
  type BalancedAccuracyOptions,
  balancedAccuracy,
  type TopKOptions,
  topKAccuracy,
} from "./accuracy.ts";
export { type AnswerOptions, exactMatch, normalizeAnswer, tokenF1 } from "./answers.ts";
export { type BleuOptions, type BleuScore, corpusBleu, sentenceBleu } from "./bleu.ts";
export type { BleuTokenizer } from "./bleu-tokenizers.ts";
export {
  type BootstrapOptions,
  type BootstrapResult,
  bootstrap,
  type PairedBootstrapResult,
  pairedBootstrap,
  type Statistic,
} from "./bootstrap.ts";
export type { Label, Labels, NumberRows, Numbers, WarningOption } from "./checks.ts";
export { type ChrfOptions, corpusChrf, sentenceChrf } from "./chrf.ts";
export { type ConfusionMatrix, type ConfusionOptions, confusionMatrix } from "./classes.ts";
export {
  type CurveOptions,
  type PrecisionRecallCurve,
  precisionRecallCurve,
  type RocCurve,
  rocCurve,
} from "./curves.ts";
export { type DetectionOptions, type DetectionScores, detectionScores } from "./detection.ts";
export type { Detection, GroundTruth } from "./detection-matches.ts";
export type { AlignmentPart, EditCounts } from "./edit-distance.ts";
export { type EntityOptions, type EntityScores, entityScores, entityScoresOfSpans, spansOf } from "./entities.ts";
export type { EntityScheme, EntitySpan } from "./entity-tags.ts";
export { characterErrorRate, type ErrorRate, wordErrorRate } from "./error-rates.ts";
export { matthewsCorrelation } from "./matthews.ts";
export { type Metric, type MetricRows, type MetricsOptions, type MetricTask, metricsOf } from "./metric.ts";
export {
  type Box,
  boxIou,
  maskIou,
  type SegmentationOptions,
  type SegmentationScores,
  segmentationScores,
} from "./overlap.ts";
export { bitsPerByte, perplexityOf } from "./perplexity.ts";
export {
  type Average,
  type ClassScoreOptions,
  type ClassScores,
  f1Score,
  precision,
  precisionRecallF1,
  recall,
  type ScoresOfClass,
  scoresByClass,
} from "./precision-recall.ts";
export {
  brierScore,
  type CalibrationBin,
  type CalibrationOptions,
  calibrationBins,
  expectedCalibrationError,
  logLoss,
  type ProbabilityOptions,
} from "./probabilities.ts";
export { PythonRandom } from "./python-random.ts";
export { asciiPunctuation, splitAtSpace, stripEndSpace, stripSpace } from "./python-text.ts";
export { type AreaOptions, averagePrecision, type RocAucOptions, rocAuc } from "./ranking-quality.ts";
export type { References } from "./references.ts";
export {
  meanAbsoluteError,
  meanAbsolutePercentageError,
  meanSquaredError,
  pearsonCorrelation,
  r2Score,
  rootMeanSquaredError,
  spearmanCorrelation,
} from "./regression.ts";
export {
  type NdcgOptions,
  ndcg,
  type Relevant,
  type RetrievalOptions,
  type RetrievalScores,
  retrievalScores,
} from "./retrieval.ts";
export { corpusRouge, type RougeOptions, type RougeScore, type RougeScores, rouge } from "./rouge.ts";
