/**
 * Phi-3 to Phi-4: Llama with one weight for queries, keys and values and one for gate and up, and longer contexts by
 * LongRoPE. Abdin et al. 2024, arXiv:2404.14219.
 */
import type { RandomKey } from "../../tensor/index.ts";
import { flag, optional, positive, size, tokenId, tokenIds } from "../config.ts";
import type { Json } from "../labels.ts";
import { DecoderForCausalLM } from "./decoder.ts";
import { decoderFamily, decoderFields } from "./family.ts";
import type { WindowConfig } from "./llama-relatives.ts";
import { rotaryFor } from "./rope.ts";

/** Context of pretraining, where config.json does not say. */
const ORIGINAL_POSITIONS = 4096;

/** "su" and "yarn" are what LongRoPE was called in the first files. */
function modernize(json: Json): Json {
  const renamed = (value: unknown) => {
    if (value === null || typeof value !== "object") return value;
    const { type, rope_type: kind = type, ...rest } = value as Json;
    const isLong = kind === "su" || kind === "yarn" || kind === "longrope";
    return { ...rest, ...(kind === undefined ? {} : { rope_type: isLong ? "longrope" : kind }) };
  };
  const original = json.original_max_position_embeddings ?? ORIGINAL_POSITIONS;
  const [scaling, rope] = [renamed(json.rope_scaling), renamed(json.rope_parameters)];
  const isLong = [scaling, rope].some((value) => (value as Json | undefined)?.rope_type === "longrope");
  return {
    ...json,
    rope_scaling: scaling,
    rope_parameters: rope,
    original_max_position_embeddings: isLong ? original : undefined,
  };
}

/**
 * Phi-3 or Phi-4 with its language-modelling head: i32 [B, T] -> logits [B, T, V]. Abdin et al. 2024, arXiv:2404.14219.
 */
export class Phi3ForCausalLM extends DecoderForCausalLM<WindowConfig> {
  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<WindowConfig>, key: RandomKey) {
    super(phi3, options, key);
  }
}

/** How Phi-3 and Phi-4 are stored: model_type phi3. */
export const phi3 = decoderFamily<WindowConfig>({
  modelType: "phi3",
  classes: { Phi3ForCausalLM },
  fields: {
    ...decoderFields,
    vocabSize: size("vocab_size", 32064),
    hiddenSize: size("hidden_size", 3072),
    intermediateSize: size("intermediate_size", 8192),
    maxPositionEmbeddings: size("max_position_embeddings", 4096),
    rmsNormEpsilon: positive("rms_norm_eps", 1e-5),
    tieWordEmbeddings: flag("tie_word_embeddings", false),
    slidingWindow: optional(size("sliding_window", 4096)),
    padTokenId: tokenId("pad_token_id", 32000),
    bosTokenId: tokenId("bos_token_id", 1),
    eosTokenId: tokenIds("eos_token_id", 32000),
  },
  rope: {
    theta: 10000,
    partialFactor: 1,
    types: ["default", "longrope"],
    oldTypes: { su: "longrope", yarn: "longrope" },
  },
  training: { resid_pdrop: [0], embd_pdrop: [0] },
  modernize,
  writeJson: (json) => {
    const { original_max_position_embeddings: original } = json.rope_parameters as Json;
    return { ...json, ...(original === undefined ? {} : { original_max_position_embeddings: original }) };
  },
  traits: (config) => ({
    rotary: [rotaryFor(config)],
    windowOf: () => config.slidingWindow ?? undefined,
    isFused: { qkv: true, gateUp: true },
  }),
});
