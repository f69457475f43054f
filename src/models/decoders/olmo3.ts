/**
 * OLMo 3. Team OLMo 2025, arXiv:2512.13961: OLMo 2 with a window in three layers of four. Longer contexts change the
 * angles of the full layers alone.
 */
import type { RandomKey } from "../../tensor/index.ts";
import { size } from "../config.ts";
import type { Json } from "../labels.ts";
import { DecoderForCausalLM } from "./decoder.ts";
import { decoderFamily, layerTypesField, type RopeDecoderConfig } from "./family.ts";
import { olmoFields, olmoTraits } from "./llama-relatives.ts";
import type { LayerType } from "./rope.ts";
import { type RopeByLayer, ropeByLayer, ropeByLayerFromJson, windowedLayers } from "./rope.ts";

/**
 * The sizes of OLMo 3, its windows, and rotary parameters for each kind of layer. Mirrors transformers' Olmo3Config,
 * whose defaults it has. arXiv:2512.13961.
 */
export interface Olmo3Config extends Omit<RopeDecoderConfig, "rope"> {
  rope: RopeByLayer;
  /** Biases of all layers of the attention. */
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
const modernize = ({ rope_theta: theta = THETA, ...json }: Json): Json => ({
  ...json,
  rope: ropeByLayerFromJson(json, { full_attention: theta, sliding_attention: theta }),
});

/** OLMo 3 with its language-modelling head: i32 [B, T] -> logits [B, T, V]. Team OLMo 2025, arXiv:2512.13961. */
export class Olmo3ForCausalLM extends DecoderForCausalLM<Olmo3Config> {
  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<Olmo3Config>, key: RandomKey) {
    super(olmo3, options, key);
  }
}

/** How OLMo 3 is stored: model_type olmo3. */
export const olmo3 = decoderFamily<Olmo3Config>({
  modelType: "olmo3",
  classes: { Olmo3ForCausalLM },
  fields: {
    ...olmoFields,
    rope: ropeByLayer({ full_attention: THETA, sliding_attention: THETA }),
    slidingWindow: size("sliding_window", 4096),
    layerTypes: layerTypesField,
  },
  rope: { theta: THETA },
  ignored: null,
  modernize,
  traits: (config) => ({ ...olmoTraits(config), ...windowedLayers(config, PATTERN) }),
});
