/** Model families in Hugging Face layout, one file each, and their loading and saving. Imports nn/ and below. */
export {
  LeNet,
  type LeNetConfig,
  Mlp,
  type MlpConfig,
  RecurrentLanguageModel,
  type RecurrentLMConfig,
  TransformerTranslator,
  type TransformerTranslatorConfig,
} from "./classic/classic.ts";
export { type CompanionOptions, saveCompanions } from "./companions.ts";
export {
  CausalLM,
  type CausalLMConfig,
  type CausalLMInputs,
  type CausalLMOutput,
  type ForwardOptions,
} from "./decoders/causal-lm.ts";
export { type DecoderConfig, DecoderForCausalLM, type DecoderTraits } from "./decoders/decoder.ts";
export { GPTNeoXForCausalLM } from "./decoders/gpt-neox.ts";
export { type GPT2Config, GPT2LMHeadModel, gpt2Config } from "./decoders/gpt2.ts";
export { type LlamaConfig, LlamaForCausalLM, llamaConfig } from "./decoders/llama.ts";
export type { EncoderConfig, EncoderInputs, EncoderOutput } from "./encoders/encoder.ts";
export {
  EncoderModel,
  MaskedLM,
  QuestionAnswerer,
  ReplacedTokenDetector,
  SequenceClassifier,
  TokenClassifier,
} from "./encoders/family.ts";
export { families } from "./families.ts";
export type { Family } from "./family.ts";
export { type ExportModelOptions, exportModel } from "./formats/export-onnx.ts";
export { ggufTypes, type SavedGguf, type SaveGgufOptions, saveGguf } from "./formats/save-gguf.ts";
export { inspectModel, type ModelReport } from "./inspect.ts";
export type { NextTokenLabels } from "./losses.ts";
export { type LabelConfig, PretrainedModel, type RunOptions, type Task, TaskModel, type Trainable } from "./model.ts";
export {
  fromConfig,
  fromPretrained,
  type LoadOptions,
  type LoadWarning,
  loadOptionNames,
  loadPretrained,
  type TaskModels,
} from "./pretrained.ts";
export { type SavedDType, type SaveOptions, savePretrained } from "./save-pretrained.ts";
export { BartForConditionalGeneration, BartForSequenceClassification } from "./seq2seq/bart.ts";
export {
  type EncoderDecoder,
  type EncoderSideInputs,
  type Seq2SeqInputs,
  Seq2SeqLM,
  type Seq2SeqOutput,
} from "./seq2seq/seq2seq.ts";
export { T5EncoderModel, T5ForConditionalGeneration } from "./seq2seq/t5.ts";
export { WhisperForConditionalGeneration } from "./seq2seq/whisper.ts";
export {
  ClipForImageClassification,
  ClipModel,
  ClipTextModelWithProjection,
  ClipVisionModelWithProjection,
} from "./vision/clip.ts";
export { type DetectionOutput, ObjectDetector } from "./vision/detection.ts";
export { ImageClassifier, type ImageInputs, ImageModel, type ImageOutput, SemanticSegmenter } from "./vision/image.ts";
export { BlipForConditionalGeneration, type CaptionInputs, type CaptionOutput } from "./vision-language/blip.ts";
export { LlavaForConditionalGeneration } from "./vision-language/llava.ts";
export { Qwen2VLForConditionalGeneration } from "./vision-language/qwen2-vl.ts";
export {
  type EmbeddedText,
  type ImageTextInputs,
  ImageTextModel,
  type ImageTextOutput,
} from "./vision-language/vision-language.ts";
