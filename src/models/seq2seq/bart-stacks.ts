/** The encoder and the decoder of BART and Marian. */
import {
  type Activation,
  dropout,
  Embedding,
  type EmbeddingTable,
  LayerNorm,
  Module,
  normalInit,
  TransformerLayer,
} from "../../nn/index.ts";
import { add, arange, gather, mul, type RandomKey, type Tensor, tensor, withScope } from "../../tensor/index.ts";
import type { RunOptions } from "../model.ts";
import type { DecodeInputs, EncoderSideInputs, Seq2SeqConfig } from "./encoder-decoder.ts";
import { newPositions, runDecoderLayers, runEncoderLayers } from "./seq2seq.ts";

/**
 * The sizes of BART and of Marian's translators. Mirrors transformers' BartConfig and MarianConfig; the defaults are
 * those of BART large, with Marian's vocabulary in MarianMTModel. arXiv:1910.13461, section 2.1; arXiv:1804.00344.
 */
export interface BartConfig extends Seq2SeqConfig {
  encoderLayers: number;
  decoderLayers: number;
  encoderHeads: number;
  decoderHeads: number;
  encoderIntermediateSize: number;
  decoderIntermediateSize: number;
  activation: Activation;
  maxPositionEmbeddings: number;
  /** Embeddings are multiplied by sqrt(hiddenSize). */
  scaleEmbedding: boolean;
  dropout: number;
  attentionDropout: number;
  activationDropout: number;
  classifierDropout: number;
  initStd: number;
  /** Size of the decoder's vocabulary, if it is another. */
  decoderVocabSize: number | null;
  /** Encoder and decoder have one table of embeddings. */
  sharesEmbeddings: boolean;
}

/** How BART and Marian differ. */
export interface BartTraits {
  hasEmbeddingNorm: boolean;
  /** Learned positions begin at this row; fixed ones have none. */
  positionOffset: number | null;
  ignored: RegExp;
}

const EPSILON = 1e-5;

/** The names of a layer's parts, in BART, Marian, Whisper and DETR. */
export const bartLayerKeys = {
  attention: "self_attn",
  "attention.query": "q_proj",
  "attention.key": "k_proj",
  "attention.value": "v_proj",
  "attention.output": "out_proj",
  attentionNorm: "self_attn_layer_norm",
  crossAttention: "encoder_attn",
  "crossAttention.query": "q_proj",
  "crossAttention.key": "k_proj",
  "crossAttention.value": "v_proj",
  "crossAttention.output": "out_proj",
  crossNorm: "encoder_attn_layer_norm",
  up: "fc1",
  down: "fc2",
  feedForwardNorm: "final_layer_norm",
};

/** Sines, then cosines, of positions: [positions, width]. Vaswani et al. 2017, section 3.5. */
function sinusoids(positions: number, width: number): Tensor<"f32"> {
  const half = Math.ceil(width / 2);
  const rows = Float32Array.from({ length: positions * width }, (_, n) => {
    const [position, i] = [Math.floor(n / width), n % width];
    const angle = position / 10000 ** ((2 * (i % half)) / width);
    return i < half ? Math.sin(angle) : Math.cos(angle);
  });
  return tensor(rows, { shape: [positions, width] });
}

/** The encoder or the decoder: embeddings with positions, then layers. */
class Stack extends Module {
  readonly embedTokens: EmbeddingTable; // [V, D], which the model lists where it is shared
  readonly embedPositions?: EmbeddingTable; // [positions + 2, D]
  readonly layernormEmbedding?: LayerNorm;
  readonly layers: TransformerLayer[];
  private readonly config: BartConfig;
  private readonly traits: BartTraits;

  constructor(config: BartConfig, traits: BartTraits, table: EmbeddingTable, isDecoder: boolean, key: RandomKey) {
    super();
    const { hiddenSize, maxPositionEmbeddings, initStd } = config;
    const [positionKey, layerKey] = key.split(2);
    this.embedTokens = table;
    if (traits.positionOffset !== null) {
      const numEmbeddings = maxPositionEmbeddings + traits.positionOffset;
      this.embedPositions = new Embedding(
        { numEmbeddings, embeddingDim: hiddenSize, init: normalInit(initStd) },
        positionKey,
      );
    }
    if (traits.hasEmbeddingNorm)
      this.layernormEmbedding = new LayerNorm({ width: hiddenSize, epsilon: EPSILON }, positionKey);
    const sizes = isDecoder
      ? { numHeads: config.decoderHeads, intermediateSize: config.decoderIntermediateSize }
      : { numHeads: config.encoderHeads, intermediateSize: config.encoderIntermediateSize };
    const shared = {
      ...config,
      ...sizes,
      epsilon: EPSILON,
      hiddenDropout: config.dropout,
      init: normalInit(initStd),
      keys: bartLayerKeys,
    };
    const make = (part: RandomKey) => new TransformerLayer({ ...shared, hasCrossAttention: isDecoder }, part);
    this.layers = layerKey.split(isDecoder ? config.decoderLayers : config.encoderLayers).map(make);
    this.config = config;
    this.traits = traits;
  }

  /** ids: i32 [B, T], positions i32 [...,T] -> [B, T, D] */
  embed(ids: Tensor<"i32">, positions: Tensor<"i32">, key: RandomKey | undefined): Tensor<"f32"> {
    const { scaleEmbedding, hiddenSize, maxPositionEmbeddings, dropout: probability } = this.config;
    const words = this.embedTokens.forward(ids); // [B, T, D]
    const scaled = scaleEmbedding ? mul(words, Math.sqrt(hiddenSize)) : words;
    const placed = this.embedPositions
      ? this.embedPositions.forward(add(positions, this.traits.positionOffset as number))
      : gather(sinusoids(maxPositionEmbeddings, hiddenSize), positions);
    const x = add(scaled, placed);
    return dropout(this.layernormEmbedding?.forward(x) ?? x, probability, key?.fold(999));
  }
}

/** BART or Marian without a head: both stacks, and the table of embeddings that they may share. */
export class EncoderDecoder extends Module {
  readonly shared?: EmbeddingTable; // [V, D]
  readonly encoder: Stack;
  readonly decoder: Stack;

  constructor(config: BartConfig, traits: BartTraits, key: RandomKey) {
    super();
    const { vocabSize, decoderVocabSize, hiddenSize, padTokenId: paddingIndex, sharesEmbeddings, initStd } = config;
    const [tableKey, decoderTableKey, encoderKey, decoderKey] = key.split(4);
    const newTable = (rows: number, part: RandomKey) =>
      new Embedding({ numEmbeddings: rows, embeddingDim: hiddenSize, paddingIndex, init: normalInit(initStd) }, part);
    const table = newTable(vocabSize, tableKey);
    if (sharesEmbeddings) this.shared = table;
    this.encoder = new Stack(config, traits, table, false, encoderKey);
    this.decoder = new Stack(
      config,
      traits,
      sharesEmbeddings ? table : newTable(decoderVocabSize ?? vocabSize, decoderTableKey),
      true,
      decoderKey,
    );
  }

  /** inputIds: i32 [B, S] -> [B, S, D] */
  encode({ inputIds, attentionMask, key }: EncoderSideInputs & RunOptions): Tensor<"f32"> {
    const ids = inputIds as Tensor<"i32">;
    const embedded = withScope("embeddings", () => this.encoder.embed(ids, arange(ids.shape[1]), key));
    return runEncoderLayers(this.encoder.layers, embedded, { mask: attentionMask, key });
  }

  /** ids: i32 [B, T] -> [B, T, D] */
  decode(ids: Tensor<"i32">, inputs: DecodeInputs): Tensor<"f32"> {
    const positions = newPositions(ids, inputs.cache);
    const embedded = withScope("embeddings", () => this.decoder.embed(ids, positions, inputs.key));
    return runDecoderLayers(this.decoder.layers, embedded, inputs);
  }
}
