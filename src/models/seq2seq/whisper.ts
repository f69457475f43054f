/**
 * Whisper: speech to text. Radford et al. 2022, arXiv:2212.04356: convolutions over a log-mel spectrogram, then a
 * pre-normalised encoder-decoder.
 */
import { ShapeError } from "../../base/index.ts";
import {
  type Activation,
  constantInit,
  dropout,
  Embedding,
  type EmbeddingTable,
  type KeysAndValues,
  LayerNorm,
  ModelBuffer,
  Module,
  normalInit,
  Parameter,
  TransformerLayer,
} from "../../nn/index.ts";
import {
  add,
  concat,
  conv,
  gelu,
  type RandomKey,
  reshape,
  slice,
  type Tensor,
  tensor,
  transpose,
  withScope,
} from "../../tensor/index.ts";
import {
  activation,
  type Fields,
  fromJson,
  makeConfig,
  number,
  probability,
  requireField,
  size,
  toJson,
  tokenId,
  tokenIds,
} from "../config.ts";
import type { EncoderDecoderLayout } from "../formats/onnx-parts/encoder-decoder.ts";
import { BATCH } from "../formats/onnx-parts/part.ts";
import type { Family, RunOptions } from "../model.ts";
import { bartLayerKeys } from "./bart-stacks.ts";
import type { DecodeInputs, EncoderSideInputs, Seq2SeqConfig } from "./encoder-decoder.ts";
import { layerDrop, newPositions, runDecoderLayers, runEncoderLayers, Seq2SeqLM, seq2seqAliases } from "./seq2seq.ts";

/**
 * The sizes of Whisper. Mirrors transformers' WhisperConfig; the defaults are those of Whisper tiny, of 30 s of sound
 * in 3000 frames. arXiv:2212.04356, table 1.
 */
export interface WhisperConfig extends Seq2SeqConfig {
  /** Rows of the spectrogram. */
  numMelBins: number;
  encoderLayers: number;
  decoderLayers: number;
  encoderHeads: number;
  decoderHeads: number;
  encoderIntermediateSize: number;
  decoderIntermediateSize: number;
  activation: Activation;
  /** Positions of the encoder, each two frames of the spectrogram. */
  maxSourcePositions: number;
  /** The longest text, in tokens. */
  maxTargetPositions: number;
  dropout: number;
  attentionDropout: number;
  activationDropout: number;
  initStd: number;
  /** Steps over which attention is smoothed for the times of words. */
  medianFilterWidth: number;
}

const fields: Fields<WhisperConfig> = {
  vocabSize: size("vocab_size", 51865),
  numMelBins: size("num_mel_bins", 80),
  hiddenSize: size("d_model", 384),
  encoderLayers: size("encoder_layers", 4),
  decoderLayers: size("decoder_layers", 4),
  encoderHeads: size("encoder_attention_heads", 6),
  decoderHeads: size("decoder_attention_heads", 6),
  encoderIntermediateSize: size("encoder_ffn_dim", 1536),
  decoderIntermediateSize: size("decoder_ffn_dim", 1536),
  activation: activation("activation_function", "gelu"),
  maxSourcePositions: size("max_source_positions", 1500),
  maxTargetPositions: size("max_target_positions", 448),
  dropout: probability("dropout", 0),
  attentionDropout: probability("attention_dropout", 0),
  activationDropout: probability("activation_dropout", 0),
  initStd: number("init_std", 0.02),
  medianFilterWidth: size("median_filter_width", 7),
  padTokenId: tokenId("pad_token_id", 50256),
  eosTokenId: tokenIds("eos_token_id", 50256),
  decoderStartTokenId: tokenId("decoder_start_token_id", 50257),
};

const EPSILON = 1e-5;

/** A convolution over time, [out, in, 3]. */
class Conv1d extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;
  private readonly stride: number;

  constructor(inputs: number, outputs: number, stride: number, init: number, key: RandomKey) {
    super();
    const shape = [outputs, inputs, 3];
    this.weight = new Parameter(shape, normalInit(init)(key, shape));
    this.bias = new Parameter([outputs], constantInit(0)(key, [outputs]));
    this.stride = stride;
  }

  /** x: [B, in, frames] -> [B, out, frames / stride] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    return gelu(conv(x, this.weight.value, this.bias.value, { stride: this.stride, padding: 1 }));
  }
}

/** Sines and cosines of positions; the longest wavelength is reached by the last pair. */
function sinusoids(positions: number, width: number): Tensor<"f32"> {
  const half = width / 2;
  const rows = Float32Array.from({ length: positions * width }, (_, n) => {
    const [position, i] = [Math.floor(n / width), n % width];
    const angle = position * Math.exp((-Math.log(10000) / (half - 1)) * (i % half));
    return i < half ? Math.sin(angle) : Math.cos(angle);
  });
  return tensor(rows, { shape: [positions, width] });
}

const layersOf = (config: WhisperConfig, isDecoder: boolean, key: RandomKey) => {
  const sizes = isDecoder
    ? { numHeads: config.decoderHeads, intermediateSize: config.decoderIntermediateSize }
    : { numHeads: config.encoderHeads, intermediateSize: config.encoderIntermediateSize };
  const shared = {
    ...config,
    ...sizes,
    epsilon: EPSILON,
    normPlacement: "pre",
    keyBias: false,
    hiddenDropout: config.dropout,
  } as const;
  const make = (part: RandomKey) =>
    new TransformerLayer(
      { ...shared, hasCrossAttention: isDecoder, init: normalInit(config.initStd), keys: bartLayerKeys },
      part,
    );
  return key.split(isDecoder ? config.decoderLayers : config.encoderLayers).map(make);
};

class Encoder extends Module {
  readonly conv1: Conv1d; // [D, mels, 3]
  readonly conv2: Conv1d; // [D, D, 3]
  readonly embedPositions: ModelBuffer; // [positions, D], fixed
  readonly layers: TransformerLayer[];
  readonly layerNorm: LayerNorm;
  protected override readonly checkpointKeys = {
    conv1: "conv1",
    conv2: "conv2",
    embedPositions: "embed_positions.weight",
  };

  constructor(config: WhisperConfig, key: RandomKey) {
    super();
    const { numMelBins, hiddenSize, maxSourcePositions, initStd } = config;
    const [key1, key2, layerKey] = key.split(3);
    this.conv1 = new Conv1d(numMelBins, hiddenSize, 1, initStd, key1);
    this.conv2 = new Conv1d(hiddenSize, hiddenSize, 2, initStd, key2);
    this.embedPositions = new ModelBuffer([maxSourcePositions, hiddenSize], sinusoids(maxSourcePositions, hiddenSize));
    this.layers = layersOf(config, false, layerKey);
    this.layerNorm = new LayerNorm({ width: hiddenSize, epsilon: EPSILON }, layerKey);
  }
}

class Decoder extends Module {
  readonly embedTokens: EmbeddingTable; // [V, D]
  readonly embedPositions: EmbeddingTable; // [positions, D]
  readonly layers: TransformerLayer[];
  readonly layerNorm: LayerNorm;

  constructor(config: WhisperConfig, key: RandomKey) {
    super();
    const { vocabSize, hiddenSize, maxTargetPositions, padTokenId: paddingIndex, initStd } = config;
    const [tokenKey, positionKey, layerKey] = key.split(3);
    const init = normalInit(initStd);
    this.embedTokens = new Embedding(
      { numEmbeddings: vocabSize, embeddingDim: hiddenSize, paddingIndex, init },
      tokenKey,
    );
    this.embedPositions = new Embedding(
      { numEmbeddings: maxTargetPositions, embeddingDim: hiddenSize, init },
      positionKey,
    );
    this.layers = layersOf(config, true, layerKey);
    this.layerNorm = new LayerNorm({ width: hiddenSize, epsilon: EPSILON }, layerKey);
  }
}

class EncoderDecoder extends Module {
  readonly encoder: Encoder;
  readonly decoder: Decoder;

  constructor(config: WhisperConfig, key: RandomKey) {
    super();
    const [encoderKey, decoderKey] = key.split(2);
    this.encoder = new Encoder(config, encoderKey);
    this.decoder = new Decoder(config, decoderKey);
  }
}

/**
 * Whisper that writes what is said, or its translation: a log-mel spectrogram [B, mels, 3000] and what is written, i32
 * [B, T], -> logits [B, T, V]. Radford et al. 2022, arXiv:2212.04356.
 */
export class WhisperForConditionalGeneration extends Seq2SeqLM {
  readonly model: EncoderDecoder;
  readonly config: WhisperConfig;
  static readonly task = "speech-seq2seq";
  readonly task = WhisperForConditionalGeneration.task;
  readonly family = whisper;

  constructor(options: Partial<WhisperConfig>, key: RandomKey) {
    super();
    this.config = makeConfig("WhisperConfig", fields, options);
    const { hiddenSize, encoderHeads, decoderHeads } = this.config;
    for (const heads of [encoderHeads, decoderHeads]) {
      requireField("WhisperConfig", hiddenSize % heads === 0, "hiddenSize to be a multiple of the heads", [
        hiddenSize,
        heads,
      ]);
    }
    this.model = new EncoderDecoder(this.config, key);
  }

  protected override onnxLayout(): EncoderDecoderLayout {
    const { numMelBins, maxSourcePositions } = this.config;
    const sounds = { dtype: "f32", shape: [BATCH, numMelBins, 2 * maxSourcePositions] } as const;
    return { ...super.onnxLayout(), encoderInputs: { input_features: sounds } };
  }

  protected get decoderLayers() {
    return this.model.decoder.layers;
  }

  get cacheShape() {
    const { decoderLayers, decoderHeads, hiddenSize, maxTargetPositions: maxLength } = this.config;
    return {
      numLayers: decoderLayers,
      numKeyHeads: decoderHeads,
      headDim: hiddenSize / decoderHeads,
      maxLength,
    };
  }

  /** inputFeatures: [B, mels, 2 positions] -> [B, positions, D]. @throws ShapeError for another number of frames */
  encode({ inputFeatures, key }: EncoderSideInputs & RunOptions): Tensor<"f32"> {
    const { maxSourcePositions, numMelBins, dropout: probability } = this.config;
    const frames = 2 * maxSourcePositions;
    if (inputFeatures?.rank !== 3 || inputFeatures.shape[1] !== numMelBins || inputFeatures.shape[2] !== frames) {
      const received = inputFeatures ? `[${inputFeatures.shape.join(", ")}]` : "none";
      const expected = `[B, ${numMelBins}, ${frames}], that is 30 s of sound`;
      throw new ShapeError({
        where: "inputFeatures",
        expected,
        received,
        fix: "pad or cut the sound, as logMelSpectrogram does",
      });
    }
    const { conv1, conv2, embedPositions, layers, layerNorm } = this.model.encoder;
    const frontEnd = withScope("conv", () => conv2.forward(conv1.forward(inputFeatures))); // [B, D, positions]
    const placed = add(transpose(frontEnd, [0, 2, 1]), embedPositions.value); // [B, positions, D]
    return layerNorm.forward(runEncoderLayers(layers, dropout(placed, probability, key?.fold(999)), { key }));
  }

  /** ids: i32 [B, T] -> [B, T, D] */
  decode(ids: Tensor<"i32">, inputs: DecodeInputs): Tensor<"f32"> {
    const { embedTokens, embedPositions, layers, layerNorm } = this.model.decoder;
    const positions = newPositions(ids, inputs.cache);
    const embedded = add(embedTokens.forward(ids), embedPositions.forward(positions)); // [B, T, D]
    const dropped = dropout(embedded, this.config.dropout, inputs.key?.fold(999));
    return layerNorm.forward(runDecoderLayers(layers, dropped, inputs));
  }

  /**
   * How much some heads attend to each step of a sound, for times of words. ids: i32 [1, T]; heads: pairs of a layer
   * and a head.
   * -> [heads, T, positions]
   */
  alignment(
    ids: Tensor<"i32">,
    encoderKeysAndValues: readonly KeysAndValues[],
    heads: readonly (readonly [number, number])[],
  ): Tensor<"f32"> {
    const weights: Tensor<"f32">[] = [];
    this.decode(ids, { encoderKeysAndValues, onCrossWeights: (seen, layer) => (weights[layer] = seen) });
    return concat(
      heads.map(([layer, head]) =>
        reshape(slice(weights[layer], { axis: 1, start: head, end: head + 1 }), [1, ...weights[layer].shape.slice(2)]),
      ),
      0,
    );
  }

  logits(hidden: Tensor<"f32">): Tensor<"f32"> {
    return withScope("proj_out", () => this.model.decoder.embedTokens.project(hidden)); // [..., V]
  }
}

/** How Whisper is stored: model_type whisper. */
export const whisper: Family = {
  modelType: "whisper",
  prefix: "model",
  classes: { WhisperForConditionalGeneration },
  configFromJson: (path, json) => fromJson(path, json, fields),
  configKeys: {
    fields,
    aliases: { num_key_value_heads: "encoder_attention_heads", ...seq2seqAliases },
    supported: { tie_word_embeddings: [true], scale_embedding: [false] },
    training: { ...layerDrop, apply_spec_augment: [false] },
  },
  configToJson: ({ config }) => ({ ...toJson(config as WhisperConfig, fields), is_encoder_decoder: true }),
  tied: () => ({ "proj_out.weight": "model.decoder.embed_tokens.weight" }),
};
