/** Generation of text: the cache, sampling, streaming. Imports models/, tokenizers/ and below. */
export { type EmbeddedPrompt, type GenerateOptions, Generator } from "./generator.ts";
export { ImageTextGenerator, type ImageTextSource } from "./image-text-generator.ts";
export { applyRules, type GenerationRules, type Progress, rulesFrom } from "./rules.ts";
export { indexOfLargest, Sampler, type SamplingOptions } from "./sampler.ts";
export { type Seq2SeqGenerateOptions, Seq2SeqGenerator, type Seq2SeqSource } from "./seq2seq-generator.ts";
export { type FinishReason, generateText, type TextOptions, type TextPiece } from "./text.ts";
