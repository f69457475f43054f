/**
 * GPT-NeoX, and Pythia: rotary positions on a part of each head, attention and feed-forward layer side by side. Black
 * et al. 2022, arXiv:2204.06745.
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
import { type RandomKey, reshape, rotaryEmbedding, slice, type Tensor, withScope } from "../../tensor/index.ts";
import {
  activation,
  anything,
  type Fields,
  flag,
  fromJson,
  makeConfig,
  number,
  positive,
  probability,
  requireField,
  size,
  toJson,
  tokenId,
  tokenIds,
} from "../config.ts";
import { untiedWords } from "../family.ts";
import type { Family } from "../model.ts";
import type { CausalLMConfig, ForwardOptions } from "./causal-decoder.ts";
import { type BlockOptions, CausalLM, runBlocks } from "./causal-lm.ts";
import { ropeFromJson } from "./rope.ts";

/**
 * The sizes of GPT-NeoX. Mirrors transformers' GPTNeoXConfig; the defaults are those of GPT-NeoX 20B. arXiv:2204.06745.
 */
export interface GPTNeoXConfig extends CausalLMConfig {
  numHeads: number;
  intermediateSize: number;
  activation: Activation;
  layerNormEpsilon: number;
  /** Both parts read the layer's input, and are added to it together. */
  useParallelResidual: boolean;
  attentionBias: boolean;
  /** Dropout after the embeddings and before each residual sum. */
  hiddenDropout: number;
  attentionDropout: number;
  initializerRange: number;
  /** Rotary positions. @default base 10000, on a quarter of each head */
  rope: RopeParameters;
}

/** Part of each head that turns, where config.json does not say. */
const ROTARY_PART = 0.25;
const ROPE_THETA = 10000;

const fields: Fields<GPTNeoXConfig> = {
  vocabSize: size("vocab_size", 50432),
  hiddenSize: size("hidden_size", 6144),
  numLayers: size("num_hidden_layers", 44),
  numHeads: size("num_attention_heads", 64),
  intermediateSize: size("intermediate_size", 24576),
  activation: activation("hidden_act", "gelu"),
  maxPositionEmbeddings: size("max_position_embeddings", 2048),
  layerNormEpsilon: positive("layer_norm_eps", 1e-5),
  useParallelResidual: flag("use_parallel_residual", true),
  attentionBias: flag("attention_bias", true),
  hiddenDropout: probability("hidden_dropout", 0),
  attentionDropout: probability("attention_dropout", 0),
  initializerRange: number("initializer_range", 0.02),
  tieWordEmbeddings: flag("tie_word_embeddings", false),
  bosTokenId: tokenId("bos_token_id", 0),
  eosTokenId: tokenIds("eos_token_id", 2),
  rope: anything<RopeParameters>("rope_parameters", {}),
};

type NeoXBlockOptions = BlockOptions & { angles: ReturnType<RotaryEmbedding["angles"]> };

/**
 * Attention whose queries and keys are turned in the first part of each head's features, a quarter of them by default.
 */
class Attention extends Module {
  readonly queryKeyValue: Projection; // [3 D, D], for each head its query, key and value
  readonly dense: Projection; // [D, D]
  private readonly config: GPTNeoXConfig;

  constructor(config: GPTNeoXConfig, key: RandomKey) {
    super();
    const { hiddenSize, attentionBias: bias, initializerRange } = config;
    const [inKey, outKey] = key.split(2);
    this.queryKeyValue = new Linear(
      { inFeatures: hiddenSize, outFeatures: 3 * hiddenSize, bias, init: normalInit(initializerRange) },
      inKey,
    );
    this.dense = new Linear(
      { inFeatures: hiddenSize, outFeatures: hiddenSize, bias, init: normalInit(initializerRange) },
      outKey,
    );
    this.config = config;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, { angles, key, cache, mask, onScores }: NeoXBlockOptions): Tensor<"f32"> {
    const { numHeads, hiddenSize, attentionDropout: dropoutProbability } = this.config;
    const [batch, length] = x.shape;
    const width = hiddenSize / numHeads;
    const all = reshape(this.queryKeyValue.forward(x), [batch, length, numHeads, 3 * width]);
    // [B, T, H, Dh]
    const [q, k, v] = [0, 1, 2].map((i) => slice(all, { axis: -1, start: i * width, end: (i + 1) * width }));
    const merged = (y: Tensor<"f32">) => reshape(y, [batch, length, hiddenSize]);
    const turned = (y: Tensor<"f32">) => merged(rotaryEmbedding(y, angles.cos, angles.sin));
    const attended = multiHeadAttention(turned(q), turned(k), merged(v), {
      numHeads,
      isCausal: true,
      dropoutProbability,
      key,
      cache,
      mask,
      onScores,
    });
    return this.dense.forward(attended);
  }
}

/** down(activation(up x)) */
class FeedForward extends Module {
  readonly denseHTo4h: Projection; // [F, D]
  readonly dense4hToH: Projection; // [D, F]
  private readonly activation: Activation;

  constructor({ hiddenSize, intermediateSize, activation, initializerRange }: GPTNeoXConfig, key: RandomKey) {
    super();
    const [upKey, downKey] = key.split(2);
    const init = normalInit(initializerRange);
    this.denseHTo4h = new Linear({ inFeatures: hiddenSize, outFeatures: intermediateSize, init }, upKey);
    this.dense4hToH = new Linear({ inFeatures: intermediateSize, outFeatures: hiddenSize, init }, downKey);
    this.activation = activation;
  }

  /** x: [B, T, D] -> [B, T, D], F wide inside */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    return this.dense4hToH.forward(activations[this.activation](this.denseHTo4h.forward(x)));
  }
}

/** One layer, whose two parts read the same input in models of useParallelResidual. */
class Block extends ResidualLayer {
  readonly inputLayernorm: LayerNorm;
  readonly postAttentionLayernorm: LayerNorm;
  readonly attention: Attention;
  readonly mlp: FeedForward;
  private readonly config: GPTNeoXConfig;

  constructor(config: GPTNeoXConfig, key: RandomKey) {
    super();
    const { hiddenSize: width, layerNormEpsilon: epsilon } = config;
    const [attentionKey, mlpKey, normKey] = key.split(3);
    this.inputLayernorm = new LayerNorm({ width, epsilon }, normKey);
    this.postAttentionLayernorm = new LayerNorm({ width, epsilon }, normKey);
    this.attention = new Attention(config, attentionKey);
    this.mlp = new FeedForward(config, mlpKey);
    this.config = config;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, options: NeoXBlockOptions): Tensor<"f32"> {
    const { useParallelResidual, hiddenDropout } = this.config;
    const drop = (y: Tensor<"f32">, part: number) => dropout(y, hiddenDropout, options.key?.fold(part));
    const attended = withScope("attention", () => this.attention.forward(this.inputLayernorm.forward(x), options));
    const middle = residualSum(x, drop(attended, 1), this.attentionAdapters);
    const mlpOutput = withScope("mlp", () =>
      this.mlp.forward(this.postAttentionLayernorm.forward(useParallelResidual ? x : middle)),
    );
    return residualSum(middle, drop(mlpOutput, 2), this.outputAdapters);
  }
}

class Decoder extends Module {
  readonly embedIn: EmbeddingTable; // [V, D]
  readonly layers: Block[];
  readonly finalLayerNorm: LayerNorm;

  constructor(config: GPTNeoXConfig, key: RandomKey) {
    super();
    const { vocabSize, hiddenSize, numLayers, layerNormEpsilon: epsilon, initializerRange } = config;
    const [tokenKey, layerKey, normKey] = key.split(3);
    this.embedIn = new Embedding(
      { numEmbeddings: vocabSize, embeddingDim: hiddenSize, init: normalInit(initializerRange) },
      tokenKey,
    );
    this.layers = layerKey.split(numLayers).map((part) => new Block(config, part));
    this.finalLayerNorm = new LayerNorm({ width: hiddenSize, epsilon }, normKey);
  }
}

/**
 * GPT-NeoX or Pythia with its language-modelling head: i32 [B, T] -> logits [B, T, V]. Black et al. 2022,
 * arXiv:2204.06745.
 */
export class GPTNeoXForCausalLM extends CausalLM {
  readonly gptNeox: Decoder;
  readonly embedOut?: Projection; // [V, D], when not tied to the token embedding
  readonly config: GPTNeoXConfig;
  readonly family = gptNeox;
  private readonly rotary: RotaryEmbedding;

  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<GPTNeoXConfig>, key: RandomKey) {
    super();
    const rope = ropeFromJson({ rope_parameters: options.rope }, { theta: ROPE_THETA, partialFactor: ROTARY_PART });
    const config = makeConfig("GPTNeoXConfig", fields, { ...options, rope });
    const { hiddenSize, numHeads, vocabSize, tieWordEmbeddings, initializerRange, maxPositionEmbeddings } = config;
    requireField("GPTNeoXConfig", hiddenSize % numHeads === 0, "hiddenSize to be a multiple of numHeads", [
      hiddenSize,
      numHeads,
    ]);
    const [modelKey, headKey] = key.split(2);
    this.config = config;
    this.rotary = new RotaryEmbedding(hiddenSize / numHeads, maxPositionEmbeddings, rope);
    this.gptNeox = new Decoder(config, modelKey);
    if (!tieWordEmbeddings)
      this.embedOut = new Linear(
        { inFeatures: hiddenSize, outFeatures: vocabSize, bias: false, init: normalInit(initializerRange) },
        headKey,
      );
  }

  get cacheShape() {
    const { numLayers, numHeads, hiddenSize } = this.config;
    return { numLayers, numKeyHeads: numHeads, headDim: hiddenSize / numHeads };
  }

  embed(inputIds: Tensor<"i32">): Tensor<"f32"> {
    return withScope("embed_in", () => this.gptNeox.embedIn.forward(inputIds)); // [B, T, D]
  }

  hidden(inputIds: Tensor<"i32">, options: ForwardOptions = {}): Tensor<"f32"> {
    const { layers, finalLayerNorm } = this.gptNeox;
    const angles = withScope("rotary_emb", () => this.rotary.angles(this.positionsOf(inputIds, options)));
    const embedded = dropout(
      options.embeddings ?? this.embed(inputIds),
      this.config.hiddenDropout,
      options.key?.fold(999),
    ); // [B, T, D]
    const states = runBlocks("layers", layers, embedded, options, { angles });
    return withScope("final_layer_norm", () => finalLayerNorm.forward(states)); // [B, T, D]
  }

  override get outputLayer() {
    return { layer: this.embedOut ?? this.gptNeox.embedIn };
  }

  logits(hidden: Tensor<"f32">): Tensor<"f32"> {
    return withScope("embed_out", () =>
      this.embedOut ? this.embedOut.forward(hidden) : this.gptNeox.embedIn.project(hidden),
    ); // [..., V]
  }
}

/** How GPT-NeoX is stored: model_type gpt_neox. */
export const gptNeox: Family = {
  modelType: "gpt_neox",
  prefix: "gpt_neox",
  classes: { GPTNeoXForCausalLM },
  configFromJson: (path, json) => {
    const {
      rotary_emb_base: theta = ROPE_THETA,
      rotary_pct: part = ROTARY_PART,
      rope_theta: __,
      partial_rotary_factor: ___,
      ...rest
    } = json;
    const rope = ropeFromJson(rest, { theta: theta as number, partialFactor: part as number });
    return fromJson(path, { ...json, rope_parameters: rope }, fields);
  },
  configKeys: { fields, rope: { turnsPart: true } },
  configToJson: ({ config }) => toJson(config as GPTNeoXConfig, fields),
  ignored: /attention.bias|attention.masked_bias|rotary_emb\.inv_freq/, // causal masks
  tied: ({ config }): Readonly<Record<string, string>> =>
    (config as GPTNeoXConfig).tieWordEmbeddings ? { "embed_out.weight": "gpt_neox.embed_in.weight" } : {},
  untie: untiedWords,
};
