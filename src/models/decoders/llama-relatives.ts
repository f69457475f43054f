/**
 * Llama's nearest relatives, as what they do otherwise.
 *   mistral  attention over a sliding window. Jiang et al. 2023, arXiv:2310.06825
 *   qwen2    biases for queries, keys and values; a window in the later layers. arXiv:2407.10671
 *   qwen3    normalised queries and keys, no biases. arXiv:2505.09388
 *   olmo2    normalised queries and keys, norms after the parts and not before. arXiv:2501.00656
 *   smollm3  every fourth layer has no positions. huggingface.co/blog/smollm3
 */
import type { RandomKey } from "../../tensor/index.ts";
import { anything, count, type Fields, flag, optional, positive, size, tokenId, tokenIds } from "../config.ts";
import { DecoderForCausalLM } from "./decoder.ts";
import { decoderFamily, decoderFields, layerTypesField, type RopeDecoderConfig } from "./family.ts";
import { type LlamaConfig, llama } from "./llama.ts";
import { type LayerType, rotaryFor } from "./rope.ts";

/**
 * A decoder's config with a sliding window: that of Mistral and Phi-3, as transformers' MistralConfig and Phi3Config.
 * The defaults of MistralForCausalLM are those of Mistral 7B, those of Phi3ForCausalLM of Phi-3 mini.
 */
export interface WindowConfig extends RopeDecoderConfig {
  /** Positions that a sliding layer sees. @default all */
  slidingWindow: number | null;
}

/**
 * The sizes of Qwen2 and Qwen3, and which layers have a window. Mirrors transformers' Qwen2Config and Qwen3Config,
 * whose defaults it has: no layer has one. arXiv:2407.10671, arXiv:2505.09388.
 */
export interface QwenConfig extends WindowConfig {
  /** Of Qwen3: biases of all layers of the attention. Qwen2 has those of queries, keys and values always. */
  attentionBias: boolean;
  /** Whether there are layers with a window. */
  useSlidingWindow: boolean;
  /** Layers from this one on slide, where layerTypes does not say. */
  maxWindowLayers: number;
  /** The kind of each layer. @default by maxWindowLayers */
  layerTypes: readonly LayerType[] | null;
}

const window = (key: string, fallback: number | null) => ({ ...optional(size(key, 4096)), default: fallback });

/** Mistral with its language-modelling head: i32 [B, T] -> logits [B, T, V]. Jiang et al. 2023, arXiv:2310.06825. */
export class MistralForCausalLM extends DecoderForCausalLM<WindowConfig> {
  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<WindowConfig>, key: RandomKey) {
    super(mistral, options, key);
  }
}

const mistral = decoderFamily<WindowConfig>({
  modelType: "mistral",
  classes: { MistralForCausalLM },
  fields: {
    ...decoderFields,
    intermediateSize: size("intermediate_size", 14336),
    numKeyHeads: size("num_key_value_heads", 8),
    maxPositionEmbeddings: size("max_position_embeddings", 131072),
    slidingWindow: window("sliding_window", 4096),
    bosTokenId: tokenId("bos_token_id", 1),
    eosTokenId: tokenIds("eos_token_id", 2),
  },
  rope: { theta: 10000 },
  traits: (config) => ({ rotary: [rotaryFor(config)], windowOf: () => config.slidingWindow ?? undefined }),
});

const qwenFields: Fields<QwenConfig> = {
  ...decoderFields,
  vocabSize: size("vocab_size", 151936),
  intermediateSize: size("intermediate_size", 22016),
  numKeyHeads: size("num_key_value_heads", 32),
  maxPositionEmbeddings: size("max_position_embeddings", 32768),
  attentionBias: flag("attention_bias", false),
  useSlidingWindow: flag("use_sliding_window", false),
  slidingWindow: window("sliding_window", 4096),
  maxWindowLayers: count("max_window_layers", 28),
  layerTypes: layerTypesField,
};

/** How far back a layer of Qwen sees. */
function qwenWindow(
  { useSlidingWindow, slidingWindow, layerTypes, maxWindowLayers }: QwenConfig,
  layer: number,
): number | undefined {
  const isSliding = layerTypes ? layerTypes[layer] === "sliding_attention" : layer >= maxWindowLayers;
  return useSlidingWindow && isSliding ? (slidingWindow ?? undefined) : undefined;
}

/** Qwen2 with its language-modelling head: i32 [B, T] -> logits [B, T, V]. arXiv:2407.10671. */
export class Qwen2ForCausalLM extends DecoderForCausalLM<QwenConfig> {
  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<QwenConfig>, key: RandomKey) {
    super(qwen2, options, key);
  }
}

/** How Qwen2 is stored: model_type qwen2. */
export const qwen2 = decoderFamily<QwenConfig>({
  modelType: "qwen2",
  classes: { Qwen2ForCausalLM },
  fields: qwenFields,
  rope: { theta: 10000 },
  traits: (config) => ({
    rotary: [rotaryFor(config)],
    windowOf: (layer) => qwenWindow(config, layer),
    bias: { qkv: true },
  }),
});

/** Qwen3 with its language-modelling head: i32 [B, T] -> logits [B, T, V]. arXiv:2505.09388. */
export class Qwen3ForCausalLM extends DecoderForCausalLM<QwenConfig> {
  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<QwenConfig>, key: RandomKey) {
    super(qwen3, options, key);
  }
}

const qwen3 = decoderFamily<QwenConfig>({
  modelType: "qwen3",
  classes: { Qwen3ForCausalLM },
  fields: qwenFields,
  rope: { theta: 10000 },
  derivesHeadDim: false,
  traits: (config) => ({
    rotary: [rotaryFor(config)],
    windowOf: (layer) => qwenWindow(config, layer),
    bias: { qkv: config.attentionBias, output: config.attentionBias },
    queryKeyNorm: "head",
  }),
});

/**
 * The sizes of OLMo 2: Llama's without biases in the feed-forward layers. Mirrors transformers' Olmo2Config, whose
 * defaults it has. arXiv:2501.00656.
 */
export type Olmo2Config = Omit<LlamaConfig, "mlpBias">;

/** The fields of OLMo 2, which OLMo 3 adds windows to. */
export const olmoFields: Fields<Olmo2Config> = {
  ...decoderFields,
  vocabSize: size("vocab_size", 50304),
  rmsNormEpsilon: positive("rms_norm_eps", 1e-5),
  attentionBias: flag("attention_bias", false),
  padTokenId: tokenId("pad_token_id", 1),
  eosTokenId: tokenIds("eos_token_id", 50279),
};

/** Where OLMo 2 and 3 differ from Llama: norms on all heads of queries and keys together, and behind both parts. */
export const olmoTraits = ({ attentionBias }: Pick<Olmo2Config, "attentionBias">) =>
  ({
    bias: { qkv: attentionBias, output: attentionBias },
    queryKeyNorm: "all",
    norms: { afterAttention: "post_attention_layernorm", afterMlp: "post_feedforward_layernorm" },
  }) as const;

/** OLMo 2 with its language-modelling head: i32 [B, T] -> logits [B, T, V]. arXiv:2501.00656. */
export class Olmo2ForCausalLM extends DecoderForCausalLM<Olmo2Config> {
  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<Olmo2Config>, key: RandomKey) {
    super(olmo2, options, key);
  }
}

const olmo2 = decoderFamily<Olmo2Config>({
  modelType: "olmo2",
  classes: { Olmo2ForCausalLM },
  fields: olmoFields,
  rope: { theta: 10000 },
  traits: (config) => ({ ...olmoTraits(config), rotary: [rotaryFor(config)] }),
});

/**
 * The sizes of SmolLM3, and which layers have positions. Mirrors transformers' SmolLM3Config; the defaults are those of
 * SmolLM3 3B.
 */
export interface SmolLM3Config extends LlamaConfig, WindowConfig {
  /** Whether layers without positions have the window, where layerTypes does not say. */
  useSlidingWindow: boolean;
  /** The kind of each layer. @default by useSlidingWindow */
  layerTypes: readonly LayerType[] | null;
  /** For each layer 1 where positions are used. @default 0 in every noRopeLayerInterval-th layer */
  noRopeLayers: readonly number[] | null;
  noRopeLayerInterval: number;
}

const hasRope = ({ noRopeLayers, noRopeLayerInterval }: SmolLM3Config, layer: number) =>
  noRopeLayers ? noRopeLayers[layer] === 1 : (layer + 1) % noRopeLayerInterval !== 0;

/** SmolLM3 with its language-modelling head: i32 [B, T] -> logits [B, T, V]. huggingface.co/blog/smollm3. */
export class SmolLM3ForCausalLM extends DecoderForCausalLM<SmolLM3Config> {
  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<SmolLM3Config>, key: RandomKey) {
    super(smollm3, options, key);
  }
}

const smollm3 = decoderFamily<SmolLM3Config>({
  modelType: "smollm3",
  classes: { SmolLM3ForCausalLM },
  fields: {
    ...decoderFields,
    vocabSize: size("vocab_size", 128256),
    hiddenSize: size("hidden_size", 2048),
    numLayers: size("num_hidden_layers", 36),
    numHeads: size("num_attention_heads", 16),
    numKeyHeads: size("num_key_value_heads", 4),
    maxPositionEmbeddings: size("max_position_embeddings", 32768),
    tieWordEmbeddings: flag("tie_word_embeddings", true),
    attentionBias: flag("attention_bias", false),
    mlpBias: flag("mlp_bias", false),
    useSlidingWindow: flag("use_sliding_window", false),
    slidingWindow: window("sliding_window", null),
    layerTypes: layerTypesField,
    noRopeLayers: optional(anything<readonly number[]>("no_rope_layers", [])),
    noRopeLayerInterval: size("no_rope_layer_interval", 4),
    padTokenId: tokenId("pad_token_id", 128004),
    bosTokenId: tokenId("bos_token_id", 128000),
    eosTokenId: tokenIds("eos_token_id", 128001),
  },
  rope: { theta: 2_000_000 },
  traits: (config) => ({
    rotary: [rotaryFor(config)],
    rotaryOf: (layer) => (hasRope(config, layer) ? 0 : null),
    windowOf: (layer) => {
      const { layerTypes, useSlidingWindow, slidingWindow } = config;
      const isSliding = layerTypes
        ? layerTypes[layer] === "sliding_attention"
        : useSlidingWindow && !hasRope(config, layer);
      return isSliding ? (slidingWindow ?? undefined) : undefined;
    },
    bias: { qkv: config.attentionBias, output: config.attentionBias, mlp: config.mlpBias },
  }),
});

/** Llama and these. */
export const llamas = [llama, mistral, qwen2, qwen3, olmo2, smollm3];
