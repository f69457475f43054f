/** Generation of text: the cache, sampling, streaming. Imports models/, tokenizers/ and below. */
export { type GenerateOptions, Generator } from "./generator.ts";
export { indexOfLargest, Sampler, type SamplingOptions } from "./sampler.ts";
export { type FinishReason, generateText, type TextOptions, type TextPiece } from "./text.ts";
