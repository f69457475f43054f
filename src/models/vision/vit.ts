/**
 * ViT and its relatives: a Transformer over patches of an image. Dosovitskiy et al. 2020, arXiv:2010.11929.
 *   deit    with a second token that learns from a teacher. Touvron et al. 2020, arXiv:2012.12877
 *   dinov2  with learned factors on both branches, trained without labels. Oquab et al. 2023, arXiv:2304.07193
 */
import {
  type Activation,
  activations,
  dropout,
  LayerNorm,
  Linear,
  Module,
  normalInit,
  type Parameter,
  type Projection,
  TransformerLayer,
  type TransformerLayerConfig,
} from "../../nn/index.ts";
import {
  add,
  broadcastTo,
  concat,
  mul,
  type RandomKey,
  reshape,
  slice,
  type Tensor,
  withScope,
} from "../../tensor/index.ts";
import {
  activation,
  type Fields,
  flag,
  number,
  optional,
  positive,
  probability,
  requireField,
  size,
} from "../config.ts";
import { firstToken } from "../encoders/heads.ts";
import type { LabelConfig } from "../labels.ts";
import type { RunOptions } from "../model.ts";
import {
  ImageClassifier,
  ImageEncoder,
  type ImageHead,
  type ImageInputs,
  ImageModel,
  type ImageOutput,
  imageFamily,
  PatchEmbeddings,
  requireSize,
  sideField,
  sides,
  stretchPositions,
  token,
} from "./image.ts";

/**
 * The sizes of ViT and DeiT. Mirrors transformers' ViTConfig and DeiTConfig; the defaults are those of ViT base with
 * patches of 16 x 16. arXiv:2010.11929, table 1.
 */
export interface ViTConfig extends LabelConfig {
  hiddenSize: number;
  numLayers: number;
  numHeads: number;
  intermediateSize: number;
  activation: Activation;
  hiddenDropout: number;
  attentionDropout: number;
  initializerRange: number;
  layerNormEpsilon: number;
  /** In pixels: a number for both sides, or height and width. */
  imageSize: number | readonly number[];
  /** Side of a patch, in pixels. */
  patchSize: number;
  numChannels: number;
  qkvBias: boolean;
  /** @default hiddenSize */
  poolerSize: number | null;
  /** Of the pooler of models without a head. */
  poolerActivation: Activation;
}

/** The fields of ViT, which DeiT, DINOv2 and YOLOS build on. */
export const vitFields: Fields<Omit<ViTConfig, keyof LabelConfig>> = {
  hiddenSize: size("hidden_size", 768),
  numLayers: size("num_hidden_layers", 12),
  numHeads: size("num_attention_heads", 12),
  intermediateSize: size("intermediate_size", 3072),
  activation: activation("hidden_act", "gelu"),
  hiddenDropout: probability("hidden_dropout_prob", 0),
  attentionDropout: probability("attention_probs_dropout_prob", 0),
  initializerRange: number("initializer_range", 0.02),
  layerNormEpsilon: positive("layer_norm_eps", 1e-12),
  imageSize: sideField("image_size", 224),
  patchSize: size("patch_size", 16),
  numChannels: size("num_channels", 3),
  qkvBias: flag("qkv_bias", true),
  poolerSize: optional(size("pooler_output_size", 768)),
  poolerActivation: activation("pooler_act", "tanh"),
};

/** The names of the parts of a layer. */
export const vitLayerKeys = {
  attention: "attention",
  "attention.query": "attention.query",
  "attention.key": "attention.key",
  "attention.value": "attention.value",
  "attention.output": "output.dense",
  attentionNorm: "layernorm_before",
  up: "intermediate.dense",
  down: "output.dense",
  feedForwardNorm: "layernorm_after",
};

type EmbeddingsConfig = Pick<
  ViTConfig,
  "hiddenSize" | "imageSize" | "patchSize" | "numChannels" | "initializerRange" | "hiddenDropout"
>;
interface EmbeddingsTraits {
  hasDistillationToken?: boolean;
  hasMaskToken?: boolean;
  /** Positions are fitted to images of any size without being asked. */
  alwaysStretches?: boolean;
}

/** Class token, patches, and learned positions. */
class Embeddings extends Module {
  readonly clsToken: Parameter; // [1, 1, D]
  readonly distillationToken?: Parameter; // [1, 1, D]
  readonly maskToken?: Parameter; // [1, D], of pretraining
  readonly positionEmbeddings: Parameter; // [1, tokens + patches, D]
  readonly patchEmbeddings: PatchEmbeddings;
  private readonly config: EmbeddingsConfig;
  private readonly traits: EmbeddingsTraits;

  constructor(config: EmbeddingsConfig, traits: EmbeddingsTraits, key: RandomKey) {
    super();
    const { hiddenSize: width, patchSize, initializerRange: range } = config;
    const [clsKey, extraKey, positionKey, patchKey] = key.split(4);
    const [height, columns] = sides(config.imageSize).map((side) => Math.floor(side / patchSize));
    this.clsToken = token([1, 1, width], range, clsKey);
    if (traits.hasDistillationToken) this.distillationToken = token([1, 1, width], range, extraKey);
    if (traits.hasMaskToken) this.maskToken = token([1, width], 0, extraKey);
    this.positionEmbeddings = token(
      [1, (traits.hasDistillationToken ? 2 : 1) + height * columns, width],
      range,
      positionKey,
    );
    this.patchEmbeddings = new PatchEmbeddings({ ...config, width }, patchKey);
    this.config = config;
    this.traits = traits;
  }

  /** pixelValues: [B, 3, H, W] -> [B, tokens + patches, D] */
  forward({ pixelValues, interpolatePosEncoding, key }: ImageInputs & RunOptions): Tensor<"f32"> {
    const { hiddenSize: width, imageSize, patchSize, hiddenDropout } = this.config;
    const size = sides(imageSize);
    const isStretched = this.traits.alwaysStretches || interpolatePosEncoding;
    if (!isStretched) requireSize("image", pixelValues, size);
    const { patches, grid } = this.patchEmbeddings.forward(pixelValues);
    const tokens = [this.clsToken, this.distillationToken].filter((each) => each !== undefined);
    const positions = this.positionEmbeddings.value;
    const nativeGrid = size.map((side) => Math.floor(side / patchSize)) as [number, number];
    // transformers leaves the positions alone where the count is the same and the image square
    const [, , height, columns] = pixelValues.shape;
    const isSame = grid[0] * grid[1] === nativeGrid[0] * nativeGrid[1] && height === columns;
    const stretched = isSame
      ? positions
      : concat(
          [
            slice(positions, { axis: 1, end: tokens.length }),
            stretchPositions(slice(positions, { axis: 1, start: tokens.length }), nativeGrid, grid),
          ],
          1,
        );
    const batch = pixelValues.shape[0];
    const all = concat([...tokens.map((each) => broadcastTo(each.value, [batch, 1, width])), patches], 1);
    return dropout(add(all, stretched), hiddenDropout, key?.fold(999)); // [B, tokens + patches, D]
  }
}

class Layers extends Module {
  readonly layer: TransformerLayer[];

  constructor(config: TransformerLayerConfig, numLayers: number, key: RandomKey) {
    super();
    this.layer = key.split(numLayers).map((part) => new TransformerLayer(config, part));
  }
}

/** A dense layer with an activation on the class token's state. */
class Pooler extends Module {
  readonly dense: Projection; // [P, D]
  private readonly activation: Activation;

  constructor({ hiddenSize, poolerSize, poolerActivation, initializerRange }: ViTConfig, key: RandomKey) {
    super();
    this.dense = new Linear(
      { inFeatures: hiddenSize, outFeatures: poolerSize ?? hiddenSize, init: normalInit(initializerRange) },
      key,
    );
    this.activation = poolerActivation;
  }

  /** x: [B, T, D] -> [B, P] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    return activations[this.activation](this.dense.forward(firstToken(x)));
  }
}

/** ViT without a head, which DeiT and DINOv2 share. */
export class ViTEncoder extends ImageEncoder {
  readonly embeddings: Embeddings;
  readonly encoder: Layers;
  readonly layernorm: LayerNorm;
  readonly pooler?: Pooler;

  constructor({ config, layer, traits, pooler }: ViTParts, key: RandomKey) {
    super();
    const [embeddingKey, layerKey, poolerKey] = key.split(3);
    this.embeddings = new Embeddings(config, traits, embeddingKey);
    this.encoder = new Layers(layer, config.numLayers, layerKey);
    this.layernorm = new LayerNorm({ width: config.hiddenSize, epsilon: config.layerNormEpsilon }, layerKey);
    if (pooler) this.pooler = new Pooler(pooler, poolerKey);
  }

  /**
   * pixelValues: [B, 3, H, W] -> [B, tokens + patches, D]; without a pooler, poolerOutput is the class token's state
   */
  encode(inputs: ImageInputs & RunOptions): ImageOutput {
    const hiddenStates = [withScope("embeddings", () => this.embeddings.forward(inputs))];
    for (const [i, layer] of this.encoder.layer.entries()) {
      hiddenStates.push(withScope(`layer.${i}`, () => layer.forward(hiddenStates[i], { key: inputs.key?.fold(i) })));
    }
    const lastHiddenState = this.layernorm.forward(hiddenStates[hiddenStates.length - 1]);
    return {
      lastHiddenState,
      poolerOutput: this.pooler?.forward(lastHiddenState) ?? firstToken(lastHiddenState),
      hiddenStates,
    };
  }
}

interface ViTParts {
  config: EmbeddingsConfig & { numLayers: number; layerNormEpsilon: number };
  layer: TransformerLayerConfig;
  traits: EmbeddingsTraits;
  pooler?: ViTConfig;
}

const vitParts = (config: ViTConfig, hasPooler: boolean, traits: EmbeddingsTraits): ViTParts => ({
  config,
  layer: {
    ...config,
    normPlacement: "pre",
    epsilon: config.layerNormEpsilon,
    init: normalInit(config.initializerRange),
    keys: vitLayerKeys,
  },
  traits,
  pooler: hasPooler ? config : undefined,
});

/** A linear layer on the state of a token. */
class TokenClassifierHead extends Module implements ImageHead {
  readonly classifier: Projection; // [N, D]

  constructor(
    { hiddenSize, labels, initializerRange }: Pick<ViTConfig, "hiddenSize" | "labels" | "initializerRange">,
    key: RandomKey,
  ) {
    super();
    this.classifier = new Linear(
      { inFeatures: hiddenSize, outFeatures: labels.length, init: normalInit(initializerRange) },
      key,
    );
  }

  /** lastHiddenState: [B, T, D] -> logits [B, N] */
  forward({ lastHiddenState }: ImageOutput): Tensor<"f32"> {
    return this.classifier.forward(firstToken(lastHiddenState));
  }
}

/** The mean of two classifiers, on the class token and on the one that learned from the teacher. */
class TeacherHead extends Module implements ImageHead {
  readonly clsClassifier: Projection; // [N, D]
  readonly distillationClassifier: Projection; // [N, D]

  constructor({ hiddenSize, labels, initializerRange }: ViTConfig, key: RandomKey) {
    super();
    const [clsKey, teacherKey] = key.split(2);
    const config = { inFeatures: hiddenSize, outFeatures: labels.length, init: normalInit(initializerRange) };
    this.clsClassifier = new Linear(config, clsKey);
    this.distillationClassifier = new Linear(config, teacherKey);
  }

  /** lastHiddenState: [B, T, D] -> logits [B, N] */
  forward(output: ImageOutput): Tensor<"f32"> {
    const { clsLogits, distillationLogits } = this.parts(output);
    return mul(add(clsLogits, distillationLogits), 0.5);
  }

  /** lastHiddenState: [B, T, D] -> both classifiers' logits, [B, N] each */
  parts({ lastHiddenState }: ImageOutput) {
    const [batch, , width] = lastHiddenState.shape;
    const second = reshape(slice(lastHiddenState, { axis: 1, start: 1, end: 2 }), [batch, width]);
    return {
      clsLogits: this.clsClassifier.forward(firstToken(lastHiddenState)),
      distillationLogits: this.distillationClassifier.forward(second),
    };
  }
}

/** Checks that heads divide the width. @throws OptionError naming the config */
export const checkViTHeads =
  (name: string) =>
  ({ hiddenSize, numHeads }: { hiddenSize: number; numHeads: number }): void =>
    requireField(name, hiddenSize % numHeads === 0, "hiddenSize to be a multiple of numHeads", [hiddenSize, numHeads]);

/** ViT that classifies pictures: [B, 3, H, W] -> logits [B, N]. arXiv:2010.11929. */
export class ViTForImageClassification extends ImageClassifier<ViTConfig> {
  constructor(options: Partial<ViTConfig>, key: RandomKey) {
    super(vit, options, key);
  }
}

/** ViT without a head: [B, 3, H, W] -> states [B, T, D], and the pooled one [B, P]. arXiv:2010.11929. */
export class ViTModel extends ImageModel<ViTConfig> {
  constructor(options: Partial<ViTConfig>, key: RandomKey) {
    super(vit, options, key);
  }
}

/** How ViT is stored: model_type vit. */
export const vit = imageFamily<ViTConfig>({
  modelType: "vit",
  classes: { ViTForImageClassification, ViTModel },
  configName: "ViTConfig",
  prefix: "vit",
  fields: vitFields,
  check: checkViTHeads("ViTConfig"),
  encoder: (config, key, { hasPooler }) => new ViTEncoder(vitParts(config, hasPooler, {}), key),
  classifier: (config, key) => new TokenClassifierHead(config, key),
});

/** DeiT that classifies pictures: [B, 3, H, W] -> logits [B, N]. arXiv:2012.12877. */
export class DeiTForImageClassification extends ImageClassifier<ViTConfig> {
  constructor(options: Partial<ViTConfig>, key: RandomKey) {
    super(deit, options, key);
  }
}

/**
 * DeiT whose two classifiers, one of which a teacher has taught, are averaged: [B, 3, H, W] -> logits [B, N].
 * arXiv:2012.12877.
 */
export class DeiTForImageClassificationWithTeacher extends ImageClassifier<ViTConfig> {
  constructor(options: Partial<ViTConfig>, key: RandomKey) {
    super(deit, options, key, (config, headKey) => new TeacherHead(config, headKey));
  }
}

/** DeiT without a head: [B, 3, H, W] -> states [B, T, D], and the pooled one [B, P]. arXiv:2012.12877. */
export class DeiTModel extends ImageModel<ViTConfig> {
  constructor(options: Partial<ViTConfig>, key: RandomKey) {
    super(deit, options, key);
  }
}

/** How DeiT is stored: model_type deit. */
export const deit = imageFamily<ViTConfig>({
  modelType: "deit",
  classes: { DeiTForImageClassification, DeiTForImageClassificationWithTeacher, DeiTModel },
  configName: "DeiTConfig",
  prefix: "deit",
  fields: vitFields,
  check: checkViTHeads("DeiTConfig"),
  encoder: (config, key, { hasPooler }) =>
    new ViTEncoder(vitParts(config, hasPooler, { hasDistillationToken: true }), key),
  classifier: (config, key) => new TokenClassifierHead(config, key),
});
