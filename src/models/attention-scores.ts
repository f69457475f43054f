/** Attention scores of the layers of a model, for those who ask. */
import type { Tensor } from "../tensor/index.ts";

/**
 * Sees what the attention weights of a layer, from 0 on, are the softmax of: [B, H, T, S], HIDDEN_SCORE for hidden
 * keys. They are computed beside the attention, and only where they are asked for.
 */
export type SeesAttentionScores = (scores: Tensor<"f32">, layer: number) => void;

/** What one layer calls. */
export const ofLayer = (sees: SeesAttentionScores | undefined, layer: number) =>
  sees && ((scores: Tensor<"f32">) => sees(scores, layer));
