/** A stack of T5: layers whose attention knows distances by buckets. Raffel et al. 2019, arXiv:1910.10683. */
import {
  type Activation,
  Embedding,
  type EmbeddingTable,
  Module,
  normalInit,
  RMSNorm,
  TransformerLayer,
} from "../../nn/index.ts";
import {
  add,
  arange,
  clip,
  gather,
  type RandomKey,
  reshape,
  sub,
  type Tensor,
  tensor,
  transpose,
} from "../../tensor/index.ts";
import type { Seq2SeqConfig } from "./encoder-decoder.ts";

export interface T5Config extends Seq2SeqConfig {
  numLayers: number;
  /** @default numLayers */
  numDecoderLayers: number | null;
  numHeads: number;
  headDim: number;
  intermediateSize: number;
  numBuckets: number;
  /** From this distance on everything is in the last bucket. */
  maxDistance: number;
  layerNormEpsilon: number;
  activation: Activation;
  isGated: boolean;
  dropout: number;
  /** The output layer is the embedding table. */
  tieWordEmbeddings: boolean;
  /** States are divided by sqrt(hiddenSize) in front of the output layer. */
  scaleDecoderOutputs: boolean;
  /** For new weights. */
  initializerFactor: number;
}

const layerKeys = (isDecoder: boolean) => {
  const feedForward = `layer.${isDecoder ? 2 : 1}`;
  return {
    attention: "layer.0.SelfAttention",
    "attention.query": "q",
    "attention.key": "k",
    "attention.value": "v",
    "attention.output": "o",
    attentionNorm: "layer.0.layer_norm",
    crossAttention: "layer.1.EncDecAttention",
    "crossAttention.query": "q",
    "crossAttention.key": "k",
    "crossAttention.value": "v",
    "crossAttention.output": "o",
    crossNorm: "layer.1.layer_norm",
    gate: `${feedForward}.DenseReluDense.wi_0`,
    down: `${feedForward}.DenseReluDense.wo`,
    feedForwardNorm: `${feedForward}.layer_norm`,
  };
};

/** The bucket of a distance, key position minus query position. Raffel et al., section 2.1. */
function bucketOf(relative: number, { numBuckets, maxDistance }: T5Config, isCausal: boolean): number {
  const count = isCausal ? numBuckets : Math.floor(numBuckets / 2);
  const base = !isCausal && relative > 0 ? count : 0;
  const distance = isCausal ? Math.max(-relative, 0) : Math.abs(relative);
  const exact = Math.floor(count / 2);
  if (distance < exact) return base + distance;
  const part = Math.log(distance / exact) / Math.log(maxDistance / exact);
  return base + Math.min(count - 1, exact + Math.trunc(part * (count - exact)));
}

/** One of the two stacks: layers, and the biases of distances that they share. */
export class T5Stack extends Module {
  readonly block: TransformerLayer[];
  readonly relativeAttentionBias: EmbeddingTable; // [buckets, H]
  readonly finalLayerNorm: RMSNorm;
  protected override readonly checkpointKeys = {
    relativeAttentionBias: "block.0.layer.0.SelfAttention.relative_attention_bias",
  };
  private readonly config: T5Config;
  private readonly isDecoder: boolean;

  constructor(config: T5Config, isDecoder: boolean, key: RandomKey) {
    super();
    const {
      hiddenSize,
      numLayers,
      numDecoderLayers,
      numHeads,
      numBuckets,
      layerNormEpsilon: epsilon,
      isGated,
      initializerFactor,
    } = config;
    const [layerKey, biasKey] = key.split(2);
    const init = normalInit(initializerFactor / Math.sqrt(hiddenSize));
    const keys = {
      ...layerKeys(isDecoder),
      up: `layer.${isDecoder ? 2 : 1}.DenseReluDense.${isGated ? "wi_1" : "wi"}`,
    };
    const shared = {
      ...config,
      epsilon,
      normPlacement: "pre",
      norm: "rms",
      attentionScale: 1,
      bias: false,
      init,
      keys,
    } as const;
    const dropouts = {
      attentionDropout: config.dropout,
      hiddenDropout: config.dropout,
      activationDropout: config.dropout,
    };
    const make = (part: RandomKey) =>
      new TransformerLayer({ ...shared, ...dropouts, hasCrossAttention: isDecoder }, part);
    this.block = layerKey.split(isDecoder ? (numDecoderLayers ?? numLayers) : numLayers).map(make);
    this.relativeAttentionBias = new Embedding({ numEmbeddings: numBuckets, embeddingDim: numHeads, init }, biasKey);
    this.finalLayerNorm = new RMSNorm({ width: hiddenSize, epsilon }, biasKey);
    this.config = config;
    this.isDecoder = isDecoder;
  }

  /** Biases for queries at positions i32 [B or 1, T] and keys 0 ... keys - 1: [B or 1, H, T, keys] */
  bias(positions: Tensor<"i32">, keys: Tensor["shape"][number]): Tensor<"f32"> {
    const [batch, length] = positions.shape;
    const { maxDistance: far } = this.config; // beyond it all distances are alike
    const buckets = Int32Array.from({ length: 2 * far + 1 }, (_, i) => bucketOf(i - far, this.config, this.isDecoder));
    const relative = sub(arange(keys), reshape(positions, [batch, length, 1])); // [B, T, S]
    const rows = gather(tensor(buckets), add(clip(relative, { min: -far, max: far }), far));
    return transpose(this.relativeAttentionBias.forward(rows), [0, 3, 1, 2]);
  }
}
