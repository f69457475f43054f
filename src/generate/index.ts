/** Generation of text: the cache, sampling, streaming. Imports models/, tokenizers/ and below. */

export { GeneratorAdapters, type LoadAdapterOptions, type LoadedAdapter } from "./adapters.ts";
export {
  type BeamRunner,
  type BeamSettings,
  type BeamText,
  type ContrastiveRunner,
  type ContrastiveSettings,
  type ForcedWords,
  type RunToken,
  searchBeams,
  searchContrastive,
} from "./beams/index.ts";
export type { EmbeddedPrompt } from "./causal-decoder.ts";
export {
  addEvent,
  type CallGrammar,
  ChatAnswer,
  type ChatConstraintOptions,
  type ChatEvent,
  ChatParser,
  type ChatParserOptions,
  type ChatPlan,
  type ChatPlanOptions,
  type ChatTool,
  chatConstraint,
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
  type TextGrammar,
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
export type { EngineLoad } from "./engine/engine.ts";
export type { RowToken } from "./engine/sequence-tokens.ts";
export type { FinishReason } from "./finish-reason.ts";
export {
  type FollowedSettings,
  type GenerationSettings,
  generationConfigKeys,
  settingsOf,
} from "./generation-config.ts";
export { type BatchPrompt, type GenerateOptions, Generator, type GeneratorOptions } from "./generator.ts";
export { compileGrammar, type GrammarSource } from "./grammar/compile-grammar.ts";
export { type GbnfOptions, gbnfGrammar } from "./grammar/gbnf.ts";
export type { Grammar } from "./grammar/grammar.ts";
export { type JsonLayout, type JsonSchemaOptions, jsonSchemaGrammar } from "./grammar/json-schema/json-schema.ts";
export { type LarkOptions, larkGrammar } from "./grammar/lark.ts";
export { type MarkedVocabulary, tokenMarks, vocabularySource } from "./grammar/marked-vocabulary.ts";
export { type ConstraintMaker, grammarConstraint, type PickConstraint } from "./grammar/pick-constraint.ts";
export { matchesGrammar } from "./grammar/pushdown.ts";
export { choiceGrammar, regexGrammar } from "./grammar/regex.ts";
export {
  type OutputOf,
  type StandardJsonSchema,
  type StandardSchema,
  type StructuredOutput,
  structuredOutput,
} from "./grammar/structured-output.ts";
export { TokenConstraint } from "./grammar/token-constraint.ts";
export { TokenGrammar } from "./grammar/token-grammar.ts";
export { constrain, type TokenMask } from "./grammar/token-mask.ts";
export { TokenVocabulary, type VocabularyTables } from "./grammar/vocabulary.ts";
export {
  AnswerFault,
  AnswerGrammars,
  type AskedAnswer,
  type AskedPart,
  type GrammarTask,
  grammarTask,
  type JobAnswer,
  type JobMessage,
  jobResult,
  type PackedTask,
  taskKey,
  taskMarks,
} from "./grammar-jobs/index.ts";
export { countImagePlaces, expandImageTokens, requireImageTokens } from "./image-places.ts";
export { type HeldPrompt, ImageEmbedder, ImageTextGenerator, type ImageTextSource } from "./image-text-generator.ts";
export { languageCode, languageName } from "./languages.ts";
export type { ScoredToken, TokenLogprob, TokenLogprobs } from "./log-probabilities.ts";
export { type GeneratedObject, generateObject, type ObjectOptions } from "./object.ts";
export type { PenaltySettings } from "./penalty-settings.ts";
export { type PerplexityOptions, perplexity } from "./perplexity.ts";
export {
  type GenerationRules,
  type LogitsProcessor,
  type Progress,
  processorsOf,
  type TimeRule,
} from "./processors/index.ts";
export type { ScoreOptions } from "./prompt-scorer.ts";
export { freshSeed, indexOfLargest, Sampler, type SamplingOptions } from "./sampler.ts";
export { SearchGenerator, type SearchGeneratorOptions, type SearchOptions } from "./search-generator.ts";
export type { BuiltWays, SearchSettings } from "./search-settings.ts";
export {
  type Seq2SeqBatchSource,
  type Seq2SeqGenerateOptions,
  Seq2SeqGenerator,
  type Seq2SeqGeneratorOptions,
  type Seq2SeqSource,
} from "./seq2seq-generator.ts";
export {
  acceptProposals,
  acceptToken,
  type PromptLookupOptions,
  type Proposals,
  promptLookup,
  type SpeculationOptions,
  type TokenDistribution,
} from "./speculation/index.ts";
export { SpeechGenerator, type SpeechOptions, type SpeechSegment, speechOptionNames } from "./speech-generator.ts";
export { SpeechSettings, type SpeechTask } from "./speech-settings.ts";
export { generateText, type TextOptions, type TextPiece } from "./text.ts";
export { type AnswerLimit, type PickedModel, type PickOptions, TokenPicker } from "./token-picker.ts";
export { Candidates, type LogitsWarper, type SamplingLimits, warpersOf } from "./warpers/index.ts";
