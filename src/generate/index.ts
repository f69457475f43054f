/** Generation of text: the cache, sampling, streaming. Imports models/, tokenizers/ and below. */

export type { SamplingLimits } from "./candidates.ts";
export type { EmbeddedPrompt } from "./causal-texts.ts";
export {
  type CallGrammar,
  ChatAnswer,
  type ChatEvent,
  ChatParser,
  type ChatParserOptions,
  type ChatPlan,
  type ChatPlanOptions,
  type ChatTool,
  chatDelta,
  chatFinishReason,
  chatMessage,
  detectReasoning,
  detectToolFormat,
  isReasoningOpen,
  keptStream,
  normalizeMessages,
  planChat,
  ReasoningBudget,
  type ReasoningBudgetOptions,
  type ReasoningFormat,
  readToolChoice,
  readToolRequest,
  readTools,
  type TemplateTraits,
  type ToolCall,
  type ToolCallGrammar,
  type ToolChoice,
  type ToolFormat,
  type ToolFormatName,
  type ToolRequest,
  templateTraits,
  toolCallGrammar,
  toolFormat,
  toolFormatNames,
  withToolInstructions,
} from "./chat/index.ts";
export { ContextLengthError } from "./context-length.ts";
export { EncodedSource } from "./encoded-source.ts";
export {
  type FollowedSettings,
  type GenerationSettings,
  generationConfigKeys,
  settingsOf,
} from "./generation-config.ts";
export { type BatchPrompt, type GenerateOptions, Generator, type GeneratorOptions } from "./generator.ts";
export { ImageTextGenerator, type ImageTextSource } from "./image-text-generator.ts";
export { languageCode, languageName } from "./languages.ts";
export { applyRules, type GenerationRules, type Progress, type TimeRule } from "./rules.ts";
export { freshSeed, indexOfLargest, Sampler, type SamplingOptions } from "./sampler.ts";
export {
  type Seq2SeqBatchSource,
  type Seq2SeqGenerateOptions,
  Seq2SeqGenerator,
  type Seq2SeqGeneratorOptions,
  type Seq2SeqSource,
} from "./seq2seq-generator.ts";
export { SpeechGenerator, type SpeechOptions, type SpeechSegment, speechOptionNames } from "./speech-generator.ts";
export { SpeechSettings, type SpeechTask } from "./speech-settings.ts";
export { generateText, type TextOptions, type TextPiece } from "./text.ts";
export type { PickOptions } from "./token-picker.ts";
export type { FinishReason, RowToken } from "./write-texts.ts";
