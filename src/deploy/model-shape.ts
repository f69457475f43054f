/** What decides the memory of a model: its weights, and what each token leaves in the cache of keys and values. */

/** What one layer keeps of a text. */
export interface LayerCache {
  keyValueHeads: number;
  /** Of so many last tokens; null for all. */
  window: number | null;
}

/** Keys and values that come from a narrow latent (MLA of DeepSeek), which an engine may keep in their place. */
export interface LatentCache {
  /** Width of the latent. */
  latentDim: number;
  /** Features with positions, which are kept beside it. */
  ropeDim: number;
}

export interface ModelShape {
  /** As it was named. */
  name: string;
  format: "safetensors" | "gguf";
  architecture: string;
  weights: WeightSizes;
  layers: readonly LayerCache[];
  /** Width of a key and of a value in a head. */
  keyDim: number;
  valueDim: number;
  latent?: LatentCache;
  numHeads: number;
  hiddenSize: number;
  intermediateSize: number;
  vocabSize: number;
  /** Longest text that the model was made for. */
  maxContext: number;
}

export interface WeightSizes {
  /** Bytes of all numbers, as they are stored. */
  storedBytes: number;
  /** Of them those of f32, which vLLM loads as 16 bits. */
  f32Bytes: number;
  /** Undefined where only an index of quantized weights is there, which does not tell. */
  parameters?: number;
}
