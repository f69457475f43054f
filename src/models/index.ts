/** Model families in Hugging Face layout, one file each, and their loading and saving. Imports nn/ and below. */

export type { SeesAttentionScores } from "./attention-scores.ts";
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
export { type CompanionOptions, hasTokenizer, saveCompanions } from "./companions.ts";
export * as configFields from "./config.ts";
export { type CausalDecoder, type CausalLMConfig, type ForwardOptions, TextPrefix } from "./decoders/causal-decoder.ts";
export {
  type BlockOptions,
  CausalLM,
  type CausalLMInputs,
  type CausalLMOutput,
  type OutputLayer,
  requireNoPrefix,
  runBlocks,
} from "./decoders/causal-lm.ts";
export { DecoderForCausalLM } from "./decoders/decoder.ts";
export { type DeepseekV3Config, DeepseekV3ForCausalLM } from "./decoders/deepseek.ts";
export {
  type DecoderDescription,
  type DecoderFamily,
  decoderFamily,
  decoderFields,
  type RopeDecoderConfig,
} from "./decoders/family.ts";
export {
  type Gemma2Config,
  Gemma2ForCausalLM,
  type Gemma3Config,
  Gemma3ForCausalLM,
  type GemmaConfig,
  GemmaForCausalLM,
} from "./decoders/gemma.ts";
export { Glm4ForCausalLM, type GlmConfig, GlmForCausalLM } from "./decoders/glm.ts";
export { type GPTNeoXConfig, GPTNeoXForCausalLM } from "./decoders/gpt-neox.ts";
export { type GPT2Config, GPT2LMHeadModel, gpt2Config } from "./decoders/gpt2.ts";
export { type LlamaConfig, LlamaForCausalLM, llamaConfig } from "./decoders/llama.ts";
export {
  MistralForCausalLM,
  type Olmo2Config,
  Olmo2ForCausalLM,
  Qwen2ForCausalLM,
  Qwen3ForCausalLM,
  type QwenConfig,
  type SmolLM3Config,
  SmolLM3ForCausalLM,
  type WindowConfig,
} from "./decoders/llama-relatives.ts";
export { type MixtralConfig, MixtralForCausalLM, type Qwen3MoeConfig, Qwen3MoeForCausalLM } from "./decoders/moe.ts";
export { type Olmo3Config, Olmo3ForCausalLM } from "./decoders/olmo3.ts";
export { Phi3ForCausalLM } from "./decoders/phi3.ts";
export type { DecoderConfig, DecoderTraits } from "./decoders/traits.ts";
export {
  type AlbertConfig,
  AlbertForMaskedLM,
  AlbertForQuestionAnswering,
  AlbertForSequenceClassification,
  AlbertForTokenClassification,
  AlbertModel,
} from "./encoders/albert.ts";
export {
  type BertConfig,
  BertForMaskedLM,
  BertForQuestionAnswering,
  BertForSequenceClassification,
  BertForTokenClassification,
  BertModel,
} from "./encoders/bert.ts";
export {
  DebertaV2ForMaskedLM,
  DebertaV2ForQuestionAnswering,
  DebertaV2ForSequenceClassification,
  DebertaV2ForTokenClassification,
  DebertaV2Model,
} from "./encoders/deberta.ts";
export type { DebertaConfig } from "./encoders/deberta-attention.ts";
export {
  type DistilBertConfig,
  DistilBertForMaskedLM,
  DistilBertForQuestionAnswering,
  DistilBertForSequenceClassification,
  DistilBertForTokenClassification,
  DistilBertModel,
} from "./encoders/distilbert.ts";
export {
  type ElectraConfig,
  ElectraForMaskedLM,
  ElectraForPreTraining,
  ElectraForQuestionAnswering,
  ElectraForSequenceClassification,
  ElectraForTokenClassification,
  ElectraModel,
} from "./encoders/electra.ts";
export type { EncoderConfig, EncoderInputs, EncoderOutput, TextEncoderConfig } from "./encoders/encoder.ts";
export {
  EncoderModel,
  MaskedLM,
  QuestionAnswerer,
  ReplacedTokenDetector,
  SequenceClassifier,
  TokenClassifier,
} from "./encoders/family.ts";
export {
  ModernBertForMaskedLM,
  ModernBertForQuestionAnswering,
  ModernBertForSequenceClassification,
  ModernBertForTokenClassification,
  ModernBertModel,
} from "./encoders/modernbert.ts";
export type { ModernBertConfig } from "./encoders/modernbert-encoder.ts";
export {
  RobertaForMaskedLM,
  RobertaForQuestionAnswering,
  RobertaForSequenceClassification,
  RobertaForTokenClassification,
  RobertaModel,
  XLMRobertaForMaskedLM,
  XLMRobertaForQuestionAnswering,
  XLMRobertaForSequenceClassification,
  XLMRobertaForTokenClassification,
  XLMRobertaModel,
} from "./encoders/roberta.ts";
export { FamilyRegistry, families, registerFamily } from "./families.ts";
export { type ExportModelOptions, exportModel } from "./formats/export-onnx.ts";
export { ggufConfig } from "./formats/gguf.ts";
export { modelPart, type OnnxPart, type OnnxPartOptions, onnxPictures, onnxTexts } from "./formats/onnx-parts/part.ts";
export { ggufTypes, type SavedGguf, type SaveGgufOptions, saveGguf } from "./formats/save-gguf.ts";
export { inspectModel, type ModelReport } from "./inspect.ts";
export type { LabelConfig } from "./labels.ts";
export { type NextTokenLabels, nextTokenTargets } from "./losses.ts";
export type { ConfigFile, ConfigKeys, Family, ModelClass } from "./model.ts";
export { PretrainedModel, type RunOptions, type Task, TaskModel, type Trainable } from "./model.ts";
export {
  checkConfigKeys,
  fromConfig,
  fromPretrained,
  type LoadOptions,
  type LoadWarning,
  loadOptionNames,
  loadPretrained,
  type TaskModels,
} from "./pretrained.ts";
export { type QuantizeWeightsOptions, quantizeWeights } from "./quantize-weights.ts";
export { type SavedDType, type SaveOptions, savePretrained } from "./save-pretrained.ts";
export { BartForConditionalGeneration, BartForSequenceClassification, MarianMTModel } from "./seq2seq/bart.ts";
export type { BartConfig } from "./seq2seq/bart-stacks.ts";
export type { EncoderDecoder, EncoderSideInputs } from "./seq2seq/encoder-decoder.ts";
export { type Seq2SeqInputs, Seq2SeqLM, type Seq2SeqOutput } from "./seq2seq/seq2seq.ts";
export {
  MT5EncoderModel,
  MT5ForConditionalGeneration,
  T5EncoderModel,
  T5ForConditionalGeneration,
} from "./seq2seq/t5.ts";
export type { T5Config } from "./seq2seq/t5-config.ts";
export { type WhisperConfig, WhisperForConditionalGeneration } from "./seq2seq/whisper.ts";
export {
  CLIPForImageClassification,
  CLIPModel,
  type ClipConfig,
  ClipForImageClassification,
  ClipModel,
  type ClipOptions,
  SiglipForImageClassification,
  SiglipModel,
} from "./vision/clip.ts";
export { CLIPTextModelWithProjection, CLIPVisionModelWithProjection } from "./vision/clip-projections.ts";
export type { ClipTextConfig, ClipVisionConfig } from "./vision/clip-towers.ts";
export { type ConvNetConfig, ConvNetForImageClassification, ConvNetModel } from "./vision/convnet.ts";
export { type ConvNextConfig, ConvNextForImageClassification, ConvNextModel } from "./vision/convnext.ts";
export { type DetectedBox, type DetectedObjectsOptions, detectedObjects } from "./vision/detected-objects.ts";
export { type DetectionOutput, ObjectDetector } from "./vision/detection.ts";
export type { DetectionLabels, DetectionLosses, DetectionWeights } from "./vision/detection-loss.ts";
export { type DetrConfig, DetrForObjectDetection, type DetrOptions } from "./vision/detr.ts";
export { type Dinov2Config, Dinov2ForImageClassification, Dinov2Model } from "./vision/dinov2.ts";
export { ImageClassifier, type ImageInputs, ImageModel, type ImageOutput, SemanticSegmenter } from "./vision/image.ts";
export { type MobileNetV2Config, MobileNetV2ForImageClassification, MobileNetV2Model } from "./vision/mobilenet-v2.ts";
export { type ResNetConfig, ResNetForImageClassification, ResNetModel } from "./vision/resnet.ts";
export {
  type SegformerConfig,
  SegformerForImageClassification,
  SegformerForSemanticSegmentation,
  SegformerModel,
} from "./vision/segformer.ts";
export { type SwinConfig, SwinForImageClassification, SwinModel } from "./vision/swin.ts";
export {
  DeiTForImageClassification,
  DeiTForImageClassificationWithTeacher,
  DeiTModel,
  type ViTConfig,
  ViTForImageClassification,
  ViTModel,
} from "./vision/vit.ts";
export { type YolosConfig, YolosForObjectDetection } from "./vision/yolos.ts";
export {
  BlipForConditionalGeneration,
  type BlipOptions,
  type BlipTextConfig,
  type BlipVisionConfig,
  type CaptionInputs,
  type CaptionOutput,
} from "./vision-language/blip.ts";
export { type LlavaConfig, LlavaForConditionalGeneration, type LlavaOptions } from "./vision-language/llava.ts";
export {
  type Qwen2VLConfig,
  Qwen2VLForConditionalGeneration,
  type Qwen2VLOptions,
} from "./vision-language/qwen2-vl.ts";
export type { Qwen2VLVisionConfig } from "./vision-language/qwen2-vl-vision.ts";
export {
  type EmbeddedText,
  type ImageTextInputs,
  ImageTextModel,
  type ImageTextOutput,
  type VisualFeatures,
  type Visuals,
} from "./vision-language/vision-language.ts";
