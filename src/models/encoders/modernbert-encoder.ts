/**
 * ModernBERT: an encoder with rotary positions, gated feed-forward layers, no biases, and a window in two of three
 * layers. Warner et al. 2024, arXiv:2412.13663.
 */
import {
  type Activation,
  activations,
  dropout,
  Embedding,
  type EmbeddingTable,
  LayerNorm,
  Linear,
  Module,
  multiHeadAttention,
  normalInit,
  type Projection,
  ResidualLayer,
  type RopeParameters,
  RotaryEmbedding,
  residualSum,
} from "../../nn/index.ts";
import {
  arange,
  mul,
  type RandomKey,
  reshape,
  rotaryEmbedding,
  split,
  type Tensor,
  withScope,
} from "../../tensor/index.ts";
import { ofLayer } from "../attention-scores.ts";
import type { RunOptions } from "../model.ts";
import { type EncoderConfig, type EncoderInputs, type EncoderOutput, keyMask, TextEncoder } from "./encoder.ts";

/** Whether a layer sees everything, or a window around each token. */
export type LayerType = "full_attention" | "sliding_attention";

/**
 * The sizes of ModernBERT, its windows and its biases. Mirrors transformers' ModernBertConfig; the defaults are those
 * of ModernBERT base. arXiv:2412.13663.
 */
export interface ModernBertConfig extends Omit<EncoderConfig, "hiddenDropout" | "typeVocabSize"> {
  normBias: boolean;
  attentionBias: boolean;
  mlpBias: boolean;
  classifierBias: boolean;
  /** Of the masked-language-model head, on its V logits. */
  decoderBias: boolean;
  embeddingDropout: number;
  mlpDropout: number;
  classifierActivation: Activation;
  /** What a classifier of texts reads: the first token, or the mean over all. */
  classifierPooling: "cls" | "mean";
  /** Positions that a sliding layer sees, half of them to each side. */
  localAttention: number;
  /** @default full attention in layers 0, 3, 6, ... */
  layerTypes: readonly LayerType[] | null;
  /** Rotary positions. @default bases of 160 thousand where all is seen, of 10 thousand in windows */
  rope: Readonly<Record<LayerType, RopeParameters>>;
}

type Angles = ReturnType<RotaryEmbedding["angles"]>;
interface LayerInputs extends RunOptions {
  mask?: Tensor<"bool">;
  angles: Readonly<Record<LayerType, Angles>>;
  /** Sees the attention scores, [B, H, T, T]. */
  onScores?: (scores: Tensor<"f32">) => void;
}

/** Attention with rotary positions, over everything or over a window. */
class Attention extends Module {
  readonly wqkv: Projection; // [3 D, D]
  readonly wo: Projection; //   [D, D]
  protected override readonly checkpointKeys = { wqkv: "Wqkv", wo: "Wo" };
  private readonly config: ModernBertConfig;
  private readonly type: LayerType;

  constructor(config: ModernBertConfig, type: LayerType, key: RandomKey) {
    super();
    const [inKey, outKey] = key.split(2);
    const { hiddenSize: width, attentionBias: bias, initializerRange } = config;
    this.wqkv = new Linear(
      { inFeatures: width, outFeatures: 3 * width, bias, init: normalInit(initializerRange) },
      inKey,
    );
    this.wo = new Linear({ inFeatures: width, outFeatures: width, bias, init: normalInit(initializerRange) }, outKey);
    this.config = config;
    this.type = type;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, { mask, angles, key, onScores }: LayerInputs): Tensor<"f32"> {
    const { numHeads, hiddenSize, localAttention, attentionDropout } = this.config;
    const [batch, length] = x.shape;
    const { cos, sin } = angles[this.type];
    const turned = (y: Tensor<"f32">) =>
      reshape(rotaryEmbedding(reshape(y, [batch, length, numHeads, hiddenSize / numHeads]), cos, sin), [
        batch,
        length,
        hiddenSize,
      ]);
    const [q, k, v] = split(this.wqkv.forward(x), 3); // [B, T, D] each
    const slidingWindow = this.type === "sliding_attention" ? Math.floor(localAttention / 2) + 1 : undefined;
    const options = { numHeads, mask, slidingWindow, key, onScores, dropoutProbability: attentionDropout };
    return this.wo.forward(multiHeadAttention(turned(q), turned(k), v, options));
  }
}

/** down(activation(in x) * gate x) */
class FeedForward extends Module {
  readonly wi: Projection; // [2 F, D]
  readonly wo: Projection; // [D, F]
  protected override readonly checkpointKeys = { wi: "Wi", wo: "Wo" };
  private readonly config: ModernBertConfig;

  constructor(config: ModernBertConfig, key: RandomKey) {
    super();
    const [inKey, outKey] = key.split(2);
    const { hiddenSize, intermediateSize, mlpBias: bias, initializerRange } = config;
    this.wi = new Linear(
      { inFeatures: hiddenSize, outFeatures: 2 * intermediateSize, bias, init: normalInit(initializerRange) },
      inKey,
    );
    this.wo = new Linear(
      { inFeatures: intermediateSize, outFeatures: hiddenSize, bias, init: normalInit(initializerRange) },
      outKey,
    );
    this.config = config;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, key: RandomKey | undefined): Tensor<"f32"> {
    const [input, gate] = split(this.wi.forward(x), 2); // [B, T, F]
    return this.wo.forward(dropout(mul(activations[this.config.activation](input), gate), this.config.mlpDropout, key));
  }
}

/** A layer norm over D features, with a bias where the config has one. */
export const newNorm = (
  { hiddenSize: width, layerNormEpsilon: epsilon, normBias: bias }: ModernBertConfig,
  key: RandomKey,
) => new LayerNorm({ width, epsilon, bias }, key);

/** One layer: x + attention(norm x), then that + mlp(norm of it). */
class Layer extends ResidualLayer {
  readonly attnNorm?: LayerNorm; // none in the first layer, whose input is normalised
  readonly attn: Attention;
  readonly mlpNorm: LayerNorm;
  readonly mlp: FeedForward;

  constructor(config: ModernBertConfig, index: number, key: RandomKey) {
    super();
    const [attentionKey, mlpKey, normKey] = key.split(3);
    if (index > 0) this.attnNorm = newNorm(config, normKey);
    this.attn = new Attention(config, (config.layerTypes as readonly LayerType[])[index], attentionKey);
    this.mlpNorm = newNorm(config, normKey);
    this.mlp = new FeedForward(config, mlpKey);
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, inputs: LayerInputs): Tensor<"f32"> {
    const attended = withScope("attn", () => this.attn.forward(this.attnNorm?.forward(x) ?? x, inputs));
    const middle = residualSum(x, attended, this.attentionAdapters);
    const mlpOutput = withScope("mlp", () => this.mlp.forward(this.mlpNorm.forward(middle), inputs.key?.fold(1)));
    return residualSum(middle, mlpOutput, this.outputAdapters);
  }
}

class Embeddings extends Module {
  readonly tokEmbeddings: EmbeddingTable; // [V, D]
  readonly norm: LayerNorm;

  constructor(config: ModernBertConfig, key: RandomKey) {
    super();
    const { vocabSize, hiddenSize, padTokenId: paddingIndex, initializerRange } = config;
    this.tokEmbeddings = new Embedding(
      { numEmbeddings: vocabSize, embeddingDim: hiddenSize, paddingIndex, init: normalInit(initializerRange) },
      key,
    );
    this.norm = newNorm(config, key);
  }
}

/** ModernBERT without a head. */
export class ModernBertEncoder extends TextEncoder {
  readonly embeddings: Embeddings;
  readonly layers: Layer[];
  readonly finalNorm: LayerNorm;
  private readonly config: ModernBertConfig;
  private readonly rotary: Readonly<Record<LayerType, RotaryEmbedding>>;

  constructor(config: ModernBertConfig, key: RandomKey) {
    super();
    const [embeddingKey, layerKey, normKey] = key.split(3);
    const { numLayers, hiddenSize, numHeads, maxPositionEmbeddings, rope } = config;
    const rotary = (type: LayerType) => new RotaryEmbedding(hiddenSize / numHeads, maxPositionEmbeddings, rope[type]);
    this.embeddings = new Embeddings(config, embeddingKey);
    this.layers = layerKey.split(numLayers).map((part, i) => new Layer(config, i, part));
    this.finalNorm = newNorm(config, normKey);
    this.rotary = { full_attention: rotary("full_attention"), sliding_attention: rotary("sliding_attention") };
    this.config = config;
  }

  get wordEmbeddings() {
    return this.embeddings.tokEmbeddings;
  }

  encode({ inputIds, attentionMask, onAttentionScores, key }: EncoderInputs & RunOptions): EncoderOutput {
    const { tokEmbeddings, norm } = this.embeddings;
    const positions = arange(inputIds.shape[1]);
    const angles = {
      full_attention: this.rotary.full_attention.angles(positions),
      sliding_attention: this.rotary.sliding_attention.angles(positions),
    };
    const embedded = withScope("embeddings", () => norm.forward(tokEmbeddings.forward(inputIds))); // [B, T, D]
    const hiddenStates = [dropout(embedded, this.config.embeddingDropout, key?.fold(999))];
    const mask = keyMask(attentionMask);
    for (const [i, layer] of this.layers.entries()) {
      const inputs = { mask, angles, key: key?.fold(i), onScores: ofLayer(onAttentionScores, i) };
      hiddenStates.push(withScope(`layers.${i}`, () => layer.forward(hiddenStates[i], inputs)));
    }
    hiddenStates[this.layers.length] = this.finalNorm.forward(hiddenStates[this.layers.length]);
    return { lastHiddenState: hiddenStates[this.layers.length], hiddenStates };
  }
}
