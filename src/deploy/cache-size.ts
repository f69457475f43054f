/** How many bytes of keys and values engines keep of a text. */
import type { Engine } from "./images.ts";
import type { LayerCache, ModelShape } from "./model-shape.ts";

export interface CacheRule {
  /** Of a number in the cache. */
  bytes: number;
  /** Latents are kept in the place of the keys and values that come from them. */
  keepsLatents: boolean;
  /** Tokens beyond its window that a layer keeps while a prompt is read; undefined where layers keep all tokens. */
  windowSlack?: number;
}

/** Tokens of prompts that vLLM reads in a step: what activations are sized by. */
export const BATCHED_TOKENS = 8192;
/** llama.cpp's n_ubatch. */
const OLLAMA_BATCH = 512;

export const cacheRules: Readonly<Record<Engine, CacheRule>> = {
  // f16 or bf16, as the weights; docs.vllm.ai, hybrid KV cache manager
  vllm: { bytes: 2, keepsLatents: true, windowSlack: BATCHED_TOKENS },
  ollama: { bytes: 2, keepsLatents: true, windowSlack: OLLAMA_BATCH },
  // --cache-dtype f16; all tokens of all layers, latents as the keys and values that come from them
  kindling: { bytes: 2, keepsLatents: false },
};

/** Numbers that one layer keeps of one token, on one of `ranks` that share the heads; each rank has all latents. */
function numbersOf(shape: ModelShape, layer: LayerCache, rule: CacheRule, ranks: number): number {
  const { latent, keyDim, valueDim, numHeads } = shape;
  if (latent && rule.keepsLatents) return latent.latentDim + latent.ropeDim;
  const heads = latent ? numHeads : layer.keyValueHeads;
  return Math.ceil(heads / ranks) * (keyDim + valueDim);
}

/**
 * Bytes of one token in all layers: layers x key and value heads x (width of a key + of a value) x bytes of a number;
 * with latents layers x (latent + rotary part) x bytes.
 * @param ranks that share the heads. @default 1
 */
export function cacheBytesPerToken(shape: ModelShape, rule: CacheRule, ranks = 1): number {
  return shape.layers.reduce((sum, layer) => sum + numbersOf(shape, layer, rule, ranks) * rule.bytes, 0);
}

/** Bytes of one text of so many tokens, on one of `ranks`. */
export function cacheBytesOfText(shape: ModelShape, rule: CacheRule, tokens: number, ranks = 1): number {
  const kept = (window: number | null) =>
    window === null || rule.windowSlack === undefined ? tokens : Math.min(tokens, window + rule.windowSlack);
  return shape.layers.reduce(
    (sum, layer) => sum + numbersOf(shape, layer, rule, ranks) * rule.bytes * kept(layer.window),
    0,
  );
}
