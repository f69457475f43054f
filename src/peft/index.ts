/** Parameter-efficient adapters in peft's folders: read, applied, merged, saved. Imports models/ and below. */
export { type Adapter, readAdapter } from "./adapter.ts";
export { AdapterPool, type AdapterPoolOptions, type PooledAdapter } from "./adapter-pool.ts";
export { AppliedAdapter, type ApplyOptions, applyAdapter } from "./apply-adapter.ts";
export type { LoraConfig } from "./lora-config.ts";
export { LoraEmbedding, LoraProjection } from "./lora-layer.ts";
export { newAdapter } from "./new-adapter.ts";
