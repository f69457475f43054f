/** Augmentation of pictures, batches, tokens and sounds, keyed by sample. Imports processors/, tensor/ and below. */
export { type Augmentation, compose, randomly } from "./compose.ts";
export { Draws, drawsOf } from "./draws.ts";
export * from "./images/index.ts";
export { type BatchAugmentation, cutmix, type MixedBatch, type MixOptions, mixup, oneHotLabels } from "./mix.ts";
export * from "./sounds/index.ts";
export * from "./tokens/index.ts";
