/** DINOv2: ViT trained without labels, with scaled layers. Oquab et al. 2023, arXiv:2304.07193. */
import { Linear, Module, normalInit, type Projection } from "../../nn/index.ts";
import { concat, mean, type RandomKey, slice, type Tensor } from "../../tensor/index.ts";
import { flag, number, positive, size, writtenWhole } from "../config.ts";
import { firstToken } from "../encoders/heads.ts";
import { ImageClassifier, type ImageHead, ImageModel, type ImageOutput, imageFamily } from "./image.ts";
import { checkViTHeads, type ViTConfig, ViTEncoder, vitFields, vitLayerKeys } from "./vit.ts";

/**
 * The sizes of DINOv2: ViT's, with factors on both branches. Mirrors transformers' Dinov2Config; the defaults are those
 * of DINOv2 base. arXiv:2304.07193.
 */
export interface Dinov2Config extends Omit<ViTConfig, "intermediateSize" | "poolerSize" | "poolerActivation"> {
  /** How much wider the feed-forward layer is inside than hiddenSize. */
  mlpRatio: number;
  /** Start of the learned factors. */
  layerScale: number;
  /** The feed-forward layer is gated, with two thirds of the width. */
  useSwigluFfn: boolean;
  /** Checkpoints have the token that hides patches in pretraining; nothing else reads it. */
  useMaskToken: boolean;
}

/** A linear layer on the class token's state beside the mean of the patches'. */
class MeanHead extends Module implements ImageHead {
  readonly classifier: Projection; // [N, 2 D]

  constructor({ hiddenSize, labels, initializerRange }: Dinov2Config, key: RandomKey) {
    super();
    this.classifier = new Linear(
      { inFeatures: 2 * hiddenSize, outFeatures: labels.length, init: normalInit(initializerRange) },
      key,
    );
  }

  /** lastHiddenState: [B, 1 + patches, D] -> logits [B, N] */
  forward({ lastHiddenState }: ImageOutput): Tensor<"f32"> {
    const patches = mean(slice(lastHiddenState, { axis: 1, start: 1 }), { axes: 1 }); // [B, D]
    return this.classifier.forward(concat([firstToken(lastHiddenState), patches], 1)); // [B, 2 D] -> [B, N]
  }
}

const { intermediateSize: _, poolerSize: __, poolerActivation: ___, ...sharedFields } = vitFields;

const dinov2LayerKeys = (isFused: boolean) => ({
  ...vitLayerKeys,
  attentionNorm: "norm1",
  feedForwardNorm: "norm2",
  up: isFused ? "mlp.weights_in" : "mlp.fc1",
  down: isFused ? "mlp.weights_out" : "mlp.fc2",
  attentionScale: "layer_scale1.lambda1",
  feedForwardScale: "layer_scale2.lambda1",
});

/** DINOv2 that classifies pictures: [B, 3, H, W] -> logits [B, N]. arXiv:2304.07193. */
export class Dinov2ForImageClassification extends ImageClassifier<Dinov2Config> {
  constructor(options: Partial<Dinov2Config>, key: RandomKey) {
    super(dinov2, options, key);
  }
}

/** DINOv2 without a head: [B, 3, H, W] -> states [B, T, D], and that of the class token [B, D]. arXiv:2304.07193. */
export class Dinov2Model extends ImageModel<Dinov2Config> {
  constructor(options: Partial<Dinov2Config>, key: RandomKey) {
    super(dinov2, options, key);
  }
}

/** How DINOv2 is stored: model_type dinov2. */
export const dinov2 = imageFamily<Dinov2Config>({
  modelType: "dinov2",
  classes: { Dinov2ForImageClassification, Dinov2Model },
  configName: "Dinov2Config",
  prefix: "dinov2",
  fields: {
    ...sharedFields,
    layerNormEpsilon: positive("layer_norm_eps", 1e-6),
    patchSize: size("patch_size", 14),
    mlpRatio: writtenWhole(positive("mlp_ratio", 4)),
    layerScale: number("layerscale_value", 1),
    useSwigluFfn: flag("use_swiglu_ffn", false),
    useMaskToken: flag("use_mask_token", true),
  },
  training: { drop_path_rate: [0] },
  check: checkViTHeads("Dinov2Config"),
  encoder: (config, key) => {
    const { hiddenSize, mlpRatio, useSwigluFfn, layerScale, useMaskToken } = config;
    const wide = Math.floor(hiddenSize * mlpRatio);
    const gated = {
      intermediateSize: Math.floor((Math.floor((wide * 2) / 3) + 7) / 8) * 8,
      isGated: true,
      isFusedGate: true,
      activation: "silu",
    } as const;
    const feedForward = useSwigluFfn ? gated : { intermediateSize: wide };
    const keys = dinov2LayerKeys(useSwigluFfn);
    const shared = {
      ...config,
      normPlacement: "pre",
      epsilon: config.layerNormEpsilon,
      init: normalInit(config.initializerRange),
    } as const;
    const layer = { ...shared, ...feedForward, layerScale, keys };
    return new ViTEncoder({ config, layer, traits: { alwaysStretches: true, hasMaskToken: useMaskToken } }, key);
  },
  classifier: (config, key) => new MeanHead(config, key),
});
