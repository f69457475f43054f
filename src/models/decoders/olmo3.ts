/**
 * OLMo 3. Team OLMo 2025, arXiv:2512.13961: OLMo 2 with a window in three layers of four. Longer contexts change the angles of the full layers alone.
 */
import { RotaryEmbedding } from "../../nn/index.ts";
import { flag, positive, size, tokenId, tokenIds } from "../config.ts";
import type { Json } from "../labels.ts";
import { type DecoderFamily, decoderFamily, decoderFields, type LayerType, layerTypesField, type RopeDecoderConfig } from "./family.ts";
import { isRopeByLayer, type RopeByLayer, ropeByLayer, ropeFromJson } from "./rope.ts";

export interface Olmo3Config extends Omit<RopeDecoderConfig, "rope"> {
  rope: RopeByLayer;
  attentionBias: boolean;
  /** Positions that a sliding layer sees. */
  slidingWindow: number;
  /** @default full in every fourth layer */
  layerTypes: readonly LayerType[] | null;
}

const THETA = 500_000;
/** A layer in so many sees everything. */
const PATTERN = 4;

/** Before transformers 5 both kinds of layers had rope_theta, and the full ones rope_scaling. */
function modernize(json: Json): Json {
  const { rope_theta = THETA, rope_parameters } = json;
  if (isRopeByLayer(rope_parameters)) return { ...json, rope: rope_parameters };
  return { ...json, rope: { full_attention: ropeFromJson(json, { theta: THETA }), sliding_attention: { rope_type: "default", rope_theta } } };
}

const olmo3Family: DecoderFamily<Olmo3Config> = {
  modelType: "olmo3",
  architecture: "Olmo3ForCausalLM",
  fields: {
    ...decoderFields,
    rope: ropeByLayer({ full_attention: { rope_theta: THETA }, sliding_attention: { rope_theta: THETA } }),
    vocabSize: size("vocab_size", 50304),
    rmsNormEpsilon: positive("rms_norm_eps", 1e-5),
    attentionBias: flag("attention_bias", false),
    slidingWindow: size("sliding_window", 4096),
    layerTypes: layerTypesField,
    padTokenId: tokenId("pad_token_id", 1),
    eosTokenId: tokenIds("eos_token_id", 50279),
  },
  rope: { theta: THETA },
  modernize,
  traits: ({ headDim, maxPositionEmbeddings, rope, slidingWindow, layerTypes, attentionBias }) => {
    const isFull = (layer: number) => (layerTypes ? layerTypes[layer] === "full_attention" : (layer + 1) % PATTERN === 0);
    return {
      rotary: [rope.full_attention, rope.sliding_attention].map((parameters) => new RotaryEmbedding(headDim, maxPositionEmbeddings, parameters)),
      rotaryOf: (layer) => (isFull(layer) ? 0 : 1),
      windowOf: (layer) => (isFull(layer) ? undefined : slidingWindow),
      bias: { qkv: attentionBias, output: attentionBias },
      queryKeyNorm: "all",
      norms: { afterAttention: "post_attention_layernorm", afterMlp: "post_feedforward_layernorm" },
    };
  },
};

export const olmo3 = decoderFamily(olmo3Family);
