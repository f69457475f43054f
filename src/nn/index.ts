/** Layers and initialisers. Imports tensor/ and below. */

export { type Activation, activationNames, activations } from "./activations.ts";
export {
  MultiHeadAttention,
  type MultiHeadAttentionConfig,
  type MultiHeadOptions,
  multiHeadAttention,
} from "./attention.ts";
export {
  BlockEmbedding,
  type BlockLayerOptions,
  BlockLinear,
  blockKeys,
  hasBlocks,
  useBlocks,
} from "./block-layers.ts";
export { BatchNorm2d, type BatchNormConfig, ChannelNorm, Conv2d, type Conv2dConfig } from "./convolution.ts";
export { depthRates, dropPath } from "./drop-path.ts";
export { dropout } from "./dropout.ts";
export { functionalCall } from "./functional-call.ts";
export { mergeHeads, splitHeads } from "./heads.ts";
export {
  constantInit,
  heNormal,
  heUniform,
  type Initializer,
  linearInit,
  normalInit,
  orthogonalInit,
  type TruncatedNormalOptions,
  truncatedNormalInit,
  uniformInit,
  xavierNormal,
  xavierUniform,
} from "./init.ts";
export { type InitRule, initialize } from "./initialize.ts";
export { type KeyPattern, matchesKey } from "./key-pattern.ts";
export {
  type CacheDType,
  type CachedAttentionSettings,
  type CacheShape,
  cachedHeadDim,
  GrowingCache,
  type GrowingPositions,
  type KeyValueCache,
  type LayerCache,
  type LayerScales,
  type LayerState,
  layerOfCache,
  RoomCache,
} from "./key-value-cache.ts";
export {
  Conv1D,
  Embedding,
  type EmbeddingConfig,
  LayerNorm,
  type LayerNormConfig,
  Linear,
  type LinearConfig,
  type Norm,
  RMSNorm,
} from "./layers.ts";
export { type LsuvOptions, type LsuvResult, lsuv } from "./lsuv.ts";
export { mapModules, mapParameters, namedModules } from "./map-modules.ts";
export {
  CheckpointError,
  checkpointKey,
  loadStateDict,
  ModelBuffer,
  Module,
  Parameter,
  type ParameterOptions,
  type StateDict,
  type StateTensor,
} from "./module.ts";
export { parameterCount } from "./parameter-count.ts";
export { biasOf, EmbeddingTable, Projection, TiedProjection } from "./projection.ts";
export { Recurrent, type RecurrentConfig, type RecurrentInputs, type RecurrentState } from "./recurrent.ts";
export { ResidualAdapter, ResidualLayer, residualSum } from "./residual-layer.ts";
export { type RopeParameters, RotaryEmbedding } from "./rope.ts";
export { addSinusoidalPositions, Transformer, type TransformerConfig, type TransformerInputs } from "./transformer.ts";
export {
  AttentionBlock,
  type AttentionInputs,
  type KeysAndValues,
  TransformerLayer,
  type TransformerLayerConfig,
  type TransformerLayerInputs,
} from "./transformer-layer.ts";
