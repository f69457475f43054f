/** Generation of text: the cache, sampling, streaming. Imports models/, tokenizers/ and below. */

export type { SamplingLimits } from "./candidates.ts";
export type { EmbeddedPrompt } from "./causal-texts.ts";
export { ContextLengthError } from "./context-length.ts";
export { EncodedSource } from "./encoded-source.ts";
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
export { TokenVocabulary } from "./grammar/vocabulary.ts";
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
