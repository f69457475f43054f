/** Parameter-efficient adapters in peft's folders: read, applied, trained, merged, saved. Imports models/ and below. */
export { type Adapter, readAdapter } from "./adapter.ts";
export type { AdapterConfig, AdapterOptions } from "./adapter-config.ts";
export { AdapterPool, type AdapterPoolOptions, type PooledAdapter } from "./adapter-pool.ts";
export { AppliedAdapter } from "./applied-adapter.ts";
export { type ApplyOptions, applyAdapter } from "./apply-adapter.ts";
export { Bottleneck } from "./bottleneck.ts";
export type { BottleneckConfig } from "./bottleneck-config.ts";
export { type CombineOptions, combineAdapters, type WeightedAdapter } from "./combine-adapters.ts";
export type { Ia3Config } from "./ia3-config.ts";
export { Ia3Projection } from "./ia3-layer.ts";
export type { LoraConfig } from "./lora-config.ts";
export { LoraEmbedding, LoraProjection } from "./lora-layer.ts";
export { newAdapter } from "./new-adapter.ts";
export type { PromptConfig } from "./prompt-config.ts";
export { KeyValuePrefix, SoftPrompt } from "./soft-prompt.ts";
