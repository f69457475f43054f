/**
 * The package in a page: everything that needs no files and no server. Bundlers take it for `kindling` (package.json,
 * "browser").
 */

export { KindlingError } from "./base/index.ts";
export { Generator } from "./generate/generator.ts";
export { Sampler } from "./generate/sampler.ts";
export { printGraph } from "./ir/index.ts";
export { type GPT2Config, GPT2LMHeadModel } from "./models/decoders/gpt2.ts";
export type { RunOptions, Trainable } from "./models/model.ts";
export * from "./nn/index.ts";
export * from "./optim/index.ts";
export { Device } from "./runtime/index.ts";
export * from "./tensor/index.ts";
export type { EncodeOptions, Encoding, PadOptions } from "./tokenizers/encoding.ts";
export type { SpecialTokens } from "./tokenizers/settings.ts";
export { Tokenizer } from "./tokenizers/tokenizer.ts";
export type { Objective, ObjectiveResult } from "./train/objective.ts";
export { compileTrainStep } from "./train/step.ts";
