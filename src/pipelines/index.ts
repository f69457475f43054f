/**
 * Models with all that a task needs around them, as transformers' pipelines. Imports models/, generate/, tokenizers/,
 * processors/ and below. Vectors of texts and rankings, as sentence-transformers makes them, are classes of their own.
 */
export type { LabelScore, ScoreFunction } from "./common.ts";
export { CrossEncoder, type Ranked } from "./cross-encoder.ts";
export { FeatureExtractionPipeline } from "./feature-extraction.ts";
export { type FilledMask, FillMaskPipeline } from "./fill-mask.ts";
export { type GeneratedText, type Prompt, Text2TextPipeline, TextGenerationPipeline } from "./generation.ts";
export type { ImageSource } from "./image-source.ts";
export {
  type ImageTextInput,
  type ImageTextResult,
  ImageTextToTextPipeline,
  ImageToTextPipeline,
} from "./image-text.ts";
export { type PipelineFor, type PipelineOptions, type PipelineTask, pipeline } from "./pipeline.ts";
export { type Answer, type Question, QuestionAnsweringPipeline } from "./question-answering.ts";
export { SentenceEncoder, type SentenceOptions, type Similarity } from "./sentence-encoder.ts";
export {
  type DenseModule,
  type PoolingModule,
  poolingOf,
  readModules,
  type SentenceModule,
  type TokenWeights,
  type VectorModule,
} from "./sentence-modules.ts";
export { type SpeechRecognitionOptions, SpeechRecognitionPipeline, type Transcript } from "./speech.ts";
export { TextClassificationPipeline, ZeroShotClassificationPipeline } from "./text-classification.ts";
export { type AggregationStrategy, type Entity, TokenClassificationPipeline } from "./token-classification.ts";
export {
  type DetectedObject,
  ImageClassificationPipeline,
  ImageSegmentationPipeline,
  ObjectDetectionPipeline,
  type Segment,
  ZeroShotImageClassificationPipeline,
} from "./vision.ts";
