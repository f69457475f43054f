/** The towers of CLIP and SigLIP: a Transformer over tokens, and one over patches. */
import {
  type Activation,
  activations,
  constantInit,
  Embedding,
  type EmbeddingTable,
  LayerNorm,
  Linear,
  Module,
  multiHeadAttention,
  Parameter,
  type Projection,
  TransformerLayer,
  xavierUniform,
} from "../../nn/index.ts";
import {
  add,
  arange,
  argmax,
  broadcastTo,
  cast,
  concat,
  equal,
  matmul,
  mul,
  oneHot,
  type RandomKey,
  reshape,
  slice,
  sum,
  type Tensor,
  unsqueeze,
  withScope,
} from "../../tensor/index.ts";
import { activation, count, type Fields, number, positive, probability, requireField, size } from "../config.ts";
import { keyMask } from "../encoders/encoder.ts";
import { firstToken } from "../encoders/heads.ts";
import type { RunOptions } from "../model.ts";
import { layerInits, tableInit } from "./clip-init.ts";
import { type ImageInputs, PatchEmbeddings, requireSize, stretchPositions, token } from "./image.ts";

/** The sizes of one tower, for texts or for pictures; P = projectionSize is the width of what is compared. */
export interface TowerConfig {
  hiddenSize: number;
  intermediateSize: number;
  numLayers: number;
  numHeads: number;
  activation: Activation;
  layerNormEpsilon: number;
  attentionDropout: number;
  initializerRange: number;
  projectionSize: number;
}
/**
 * The sizes of a tower for texts. Mirrors transformers' CLIPTextConfig and SiglipTextConfig; the defaults are those of
 * CLIP ViT-B/32, in SiglipModel those of SigLIP base.
 */
export interface ClipTextConfig extends TowerConfig {
  vocabSize: number;
  maxPositionEmbeddings: number;
  /** The token whose state stands for the text, in CLIP. */
  eosTokenId: number;
}
/**
 * The sizes of a tower for pictures. Mirrors transformers' CLIPVisionConfig and SiglipVisionConfig; the defaults are
 * those of CLIP ViT-B/32, in SiglipModel those of SigLIP base with patches of 16 x 16.
 */
export interface ClipVisionConfig extends TowerConfig {
  /** Side of the square images, in pixels. */
  imageSize: number;
  /** Side of a patch, in pixels. */
  patchSize: number;
  numChannels: number;
}

/** How the two families differ. */
export interface Traits {
  isSiglip: boolean;
}

/** The fields of CLIP's tower for texts. */
export const clipText: Fields<ClipTextConfig> = {
  vocabSize: size("vocab_size", 49408),
  hiddenSize: size("hidden_size", 512),
  intermediateSize: size("intermediate_size", 2048),
  numLayers: size("num_hidden_layers", 12),
  numHeads: size("num_attention_heads", 8),
  maxPositionEmbeddings: size("max_position_embeddings", 77),
  activation: activation("hidden_act", "quick_gelu"),
  layerNormEpsilon: positive("layer_norm_eps", 1e-5),
  attentionDropout: probability("attention_dropout", 0),
  initializerRange: number("initializer_range", 0.02),
  projectionSize: size("projection_dim", 512),
  eosTokenId: count("eos_token_id", 49407),
};
/** The fields of CLIP's tower for pictures. */
export const clipVision: Fields<ClipVisionConfig> = {
  hiddenSize: size("hidden_size", 768),
  intermediateSize: size("intermediate_size", 3072),
  numLayers: size("num_hidden_layers", 12),
  numHeads: size("num_attention_heads", 12),
  imageSize: size("image_size", 224),
  patchSize: size("patch_size", 32),
  numChannels: size("num_channels", 3),
  activation: activation("hidden_act", "quick_gelu"),
  layerNormEpsilon: positive("layer_norm_eps", 1e-5),
  attentionDropout: probability("attention_dropout", 0),
  initializerRange: number("initializer_range", 0.02),
  projectionSize: size("projection_dim", 512),
};
/** The fields of SigLIP's tower for texts. */
export const siglipText: Fields<ClipTextConfig> = {
  ...clipText,
  vocabSize: size("vocab_size", 32000),
  hiddenSize: size("hidden_size", 768),
  intermediateSize: size("intermediate_size", 3072),
  numHeads: size("num_attention_heads", 12),
  maxPositionEmbeddings: size("max_position_embeddings", 64),
  activation: activation("hidden_act", "gelu_pytorch_tanh"),
  layerNormEpsilon: positive("layer_norm_eps", 1e-6),
  projectionSize: size("projection_size", 768),
};
/** The fields of SigLIP's tower for pictures. */
export const siglipVision: Fields<ClipVisionConfig> = {
  ...clipVision,
  patchSize: size("patch_size", 16),
  activation: activation("hidden_act", "gelu_pytorch_tanh"),
  layerNormEpsilon: positive("layer_norm_eps", 1e-6),
};

const layerKeys = {
  attention: "self_attn",
  "attention.query": "q_proj",
  "attention.key": "k_proj",
  "attention.value": "v_proj",
  "attention.output": "out_proj",
  attentionNorm: "layer_norm1",
  up: "mlp.fc1",
  down: "mlp.fc2",
  feedForwardNorm: "layer_norm2",
};

const newLayers = (config: TowerConfig, traits: Traits, key: RandomKey) =>
  key.split(config.numLayers).map((part) => {
    const shared = {
      ...config,
      normPlacement: "pre",
      epsilon: config.layerNormEpsilon,
      ...layerInits(config, traits),
    } as const;
    return new TransformerLayer({ ...shared, keys: layerKeys }, part);
  });

/**
 * A Transformer over tokens: causal in CLIP, which reads the text's state at its end; not in SigLIP, which reads it at
 * the last place.
 */
export class TextTower extends Module {
  readonly tokenEmbedding: EmbeddingTable; // [V, D]
  readonly positionEmbedding: EmbeddingTable; // [T, D]
  readonly layers: TransformerLayer[];
  readonly finalLayerNorm: LayerNorm;
  readonly head?: Projection; // [P, D], in SigLIP
  protected override readonly checkpointKeys = {
    tokenEmbedding: "embeddings.token_embedding",
    positionEmbedding: "embeddings.position_embedding",
    layers: "encoder.layers",
  };
  private readonly config: ClipTextConfig;

  constructor(config: ClipTextConfig, traits: Traits, key: RandomKey) {
    super();
    const { isSiglip } = traits;
    const [tokenKey, positionKey, layerKey, headKey] = key.split(4);
    const { vocabSize, hiddenSize: width, maxPositionEmbeddings, layerNormEpsilon: epsilon, projectionSize } = config;
    const init = tableInit(config, traits);
    this.tokenEmbedding = new Embedding({ numEmbeddings: vocabSize, embeddingDim: width, init }, tokenKey);
    this.positionEmbedding = new Embedding(
      { numEmbeddings: maxPositionEmbeddings, embeddingDim: width, init },
      positionKey,
    );
    this.layers = newLayers(config, traits, layerKey);
    this.finalLayerNorm = new LayerNorm({ width, epsilon }, layerKey);
    if (isSiglip)
      this.head = new Linear({ inFeatures: width, outFeatures: projectionSize, init: xavierUniform }, headKey);
    this.config = config;
  }

  /** inputIds: i32 [B, T] -> states [B, T, D], and the pooled one [B, D], in SigLIP [B, P] */
  encode({ inputIds, attentionMask, key }: TextInputs & RunOptions): { states: Tensor<"f32">; pooled: Tensor<"f32"> } {
    const { maxPositionEmbeddings } = this.config;
    const [, length] = inputIds.shape; // symbolic in exported models
    requireField(
      "inputIds",
      typeof length !== "number" || length <= maxPositionEmbeddings,
      `at most ${maxPositionEmbeddings} tokens`,
      length,
    );
    let x = add(this.tokenEmbedding.forward(inputIds), this.positionEmbedding.forward(arange(length))); // [B, T, D]
    const options = { mask: keyMask(attentionMask), isCausal: !this.head };
    for (const [i, layer] of this.layers.entries())
      x = withScope(`layers.${i}`, () => layer.forward(x, { ...options, key: key?.fold(i) }));
    const states = this.finalLayerNorm.forward(x); // [B, T, D]
    return {
      states,
      pooled: this.head ? this.head.forward(at(states, states.size(1) - 1)) : this.atEnd(states, inputIds),
    };
  }

  /**
   * The state at the token that ends the text; the oldest checkpoints take the largest id for it. [B, T, D] -> [B, D]
   */
  private atEnd(states: Tensor<"f32">, ids: Tensor<"i32">): Tensor<"f32"> {
    const { eosTokenId } = this.config;
    const [, length] = ids.shape;
    const place =
      eosTokenId === 2 ? argmax(ids, { axis: 1 }) : argmax(cast(equal(ids, eosTokenId), "i32"), { axis: 1 }); // [B]
    return sum(mul(states, unsqueeze(oneHot(place as Tensor<"i64">, length), 2)), { axes: 1 });
  }
}

/** The state in one place: [B, T, D] -> [B, D] */
const at = (x: Tensor<"f32">, index: number): Tensor<"f32"> => {
  const [batch, , width] = x.shape;
  return reshape(slice(x, { axis: 1, start: index, end: index + 1 }), [batch, width]);
};

/** SigLIP's pooling: a learned query attends to all patches. */
class AttentionPooling extends Module {
  readonly probe: Parameter; // [1, 1, D]
  readonly inProjWeight: Parameter; // [3 D, D]: queries, keys, values
  readonly inProjBias: Parameter; // [3 D]
  readonly outProj: Projection; // [D, D]
  readonly layernorm: LayerNorm;
  readonly fc1: Projection; // [F, D]
  readonly fc2: Projection; // [D, F]
  protected override readonly checkpointKeys = {
    inProjWeight: "attention.in_proj_weight",
    inProjBias: "attention.in_proj_bias",
    outProj: "attention.out_proj",
    fc1: "mlp.fc1",
    fc2: "mlp.fc2",
  };
  private readonly config: ClipVisionConfig;

  constructor(config: ClipVisionConfig, key: RandomKey) {
    super();
    const [probeKey, inKey, outKey, upKey, downKey] = key.split(5);
    const { hiddenSize: width, intermediateSize, layerNormEpsilon: epsilon } = config;
    const init = xavierUniform;
    this.probe = new Parameter([1, 1, width], init(probeKey, [1, 1, width]));
    this.inProjWeight = new Parameter([3 * width, width], init(inKey, [3 * width, width]));
    this.inProjBias = new Parameter([3 * width], constantInit(0)(inKey, [3 * width]));
    this.outProj = new Linear({ inFeatures: width, outFeatures: width, init }, outKey);
    this.layernorm = new LayerNorm({ width, epsilon }, key);
    this.fc1 = new Linear({ inFeatures: width, outFeatures: intermediateSize, init }, upKey);
    this.fc2 = new Linear({ inFeatures: intermediateSize, outFeatures: width, init }, downKey);
    this.config = config;
  }

  /** states: [B, N, D] -> [B, D] */
  forward(states: Tensor<"f32">): Tensor<"f32"> {
    const { hiddenSize: width, numHeads, activation } = this.config;
    const batch = states.shape[0];
    const part = (x: Tensor<"f32">, i: number) => {
      const rows = { axis: 0, start: i * width, end: (i + 1) * width };
      return add(
        matmul(x, slice(this.inProjWeight.value, rows), { transposeB: true }),
        slice(this.inProjBias.value, rows),
      );
    };
    const query = broadcastTo(this.probe.value, [batch, 1, width]); // [B, 1, D]
    const attended = multiHeadAttention(part(query, 0), part(states, 1), part(states, 2), { numHeads });
    const y = this.outProj.forward(attended); // [B, 1, D]
    const mlpOutput = this.fc2.forward(activations[activation](this.fc1.forward(this.layernorm.forward(y))));
    return at(add(y, mlpOutput), 0);
  }
}

/** What a tower makes of pictures: N patches, and in CLIP the class token before them. */
export interface VisionStates {
  /** [B, N + 1, D], in SigLIP [B, N, D] and normalised */
  states: Tensor<"f32">;
  /** Of the class token, in SigLIP of all patches, [B, D] */
  pooled: Tensor<"f32">;
  /** What goes into each layer and comes out of the last: [B, N + 1, D] each */
  hiddenStates: Tensor<"f32">[];
}

/** A Transformer over patches: CLIP's pools by its class token, SigLIP's by attention. */
export class VisionTower extends Module {
  readonly classEmbedding?: Parameter; // [D], in CLIP
  readonly patchEmbedding: PatchEmbeddings; // [D, 3, patch, patch]
  readonly positionEmbedding: EmbeddingTable; // [N + 1, D], in SigLIP [N, D]
  readonly preLayrnorm?: LayerNorm; // spelt so in the checkpoints
  readonly layers: TransformerLayer[];
  readonly postLayernorm: LayerNorm;
  readonly head?: AttentionPooling;
  protected override readonly checkpointKeys = {
    classEmbedding: "embeddings.class_embedding",
    patchEmbedding: "embeddings",
    positionEmbedding: "embeddings.position_embedding",
    layers: "encoder.layers",
  };
  private readonly config: ClipVisionConfig;

  constructor(config: ClipVisionConfig, traits: Traits, key: RandomKey) {
    super();
    const { isSiglip } = traits;
    const [classKey, patchKey, positionKey, layerKey, headKey] = key.split(5);
    const { hiddenSize: width, imageSize, patchSize, layerNormEpsilon: epsilon } = config;
    const patches = Math.floor(imageSize / patchSize) ** 2;
    if (!isSiglip) this.classEmbedding = token([width], width ** -0.5, classKey);
    this.patchEmbedding = new PatchEmbeddings({ ...config, width, bias: isSiglip }, patchKey, "patch_embedding");
    const init = tableInit(config, traits);
    this.positionEmbedding = new Embedding(
      { numEmbeddings: patches + (isSiglip ? 0 : 1), embeddingDim: width, init },
      positionKey,
    );
    if (!isSiglip) this.preLayrnorm = new LayerNorm({ width, epsilon }, layerKey);
    this.layers = newLayers(config, traits, layerKey);
    this.postLayernorm = new LayerNorm({ width, epsilon }, layerKey);
    if (isSiglip) this.head = new AttentionPooling(config, headKey);
    this.config = config;
  }

  /**
   * pixelValues: [B, 3, H, W] -> states [B, N + 1, D], in SigLIP [B, N, D], the pooled one [B, D], and what goes into
   * each layer and comes out of the last, before the norm.
   */
  encode({ pixelValues, interpolatePosEncoding, key }: ImageInputs & RunOptions): VisionStates {
    const { imageSize, patchSize, hiddenSize: width } = this.config;
    if (!interpolatePosEncoding) requireSize("image", pixelValues, [imageSize, imageSize]);
    const { patches, grid } = this.patchEmbedding.forward(pixelValues);
    const [batch, , height, columns] = pixelValues.shape;
    const side = Math.floor(imageSize / patchSize);
    const table = unsqueeze(this.positionEmbedding.rows(), 0); // [1, N, D]
    const isSame = grid[0] * grid[1] === side * side && height === columns;
    const extra = this.classEmbedding ? 1 : 0;
    const stretched = () => stretchPositions(slice(table, { axis: 1, start: extra }), [side, side], grid);
    const positions = isSame
      ? table
      : extra
        ? concat([slice(table, { axis: 1, end: 1 }), stretched()], 1)
        : stretched();
    const all = this.classEmbedding
      ? concat([broadcastTo(reshape(this.classEmbedding.value, [1, 1, width]), [batch, 1, width]), patches], 1)
      : patches;
    const embedded = add(all, positions);
    const hiddenStates = [this.preLayrnorm?.forward(embedded) ?? embedded];
    for (const [i, layer] of this.layers.entries())
      hiddenStates.push(withScope(`layers.${i}`, () => layer.forward(hiddenStates[i], { key: key?.fold(i) })));
    const last = hiddenStates[hiddenStates.length - 1];
    if (!this.head) return { states: last, pooled: this.postLayernorm.forward(firstToken(last)), hiddenStates };
    const states = this.postLayernorm.forward(last);
    return { states, pooled: this.head.forward(states), hiddenStates };
  }
}

/** A batch of texts, as a tokenizer makes it. */
export interface TextInputs {
  /** i32 [N, T] */
  inputIds: Tensor<"i32">;
  /** bool [N, T], false for padding. @default all true */
  attentionMask?: Tensor<"bool">;
}
