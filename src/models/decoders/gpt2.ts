/**
 * GPT-2: a decoder-only Transformer. Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".
 * Learned positions, pre-normalisation, GELU feed-forward, tied output head, causal attention over a key/value cache.
 * Parameter names and config.json are those of Hugging Face transformers (GPT2LMHeadModel).
 */
import {
  type Activation,
  activations,
  Conv1D,
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
  residualSum,
} from "../../nn/index.ts";
import { add, type RandomKey, type Tensor, withScope } from "../../tensor/index.ts";
import {
  activation,
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

/**
 * The sizes of GPT-2, and its dropout. Mirrors transformers' GPT2Config; the defaults are those of GPT-2 small, of 124
 * million parameters. Radford et al. 2019, table 2.
 */
export interface GPT2Config extends CausalLMConfig {
  numHeads: number;
  /** @default 4 * hiddenSize */
  intermediateSize: number;
  activation: Activation;
  /** Dropout after the embeddings. */
  embeddingDropout: number;
  /** Dropout on attention weights. */
  attentionDropout: number;
  /** Dropout before each residual sum. */
  residualDropout: number;
  layerNormEpsilon: number;
  /** Standard deviation of initial weights. */
  initializerRange: number;
  /** Divide attention scores by sqrt(headDim). */
  scaleAttentionWeights: boolean;
  /** Divide attention scores by the layer's number too, counted from 1. */
  scaleAttentionByInverseLayer: boolean;
}

const fields: Fields<GPT2Config> = {
  vocabSize: size("vocab_size", 50257),
  maxPositionEmbeddings: size("n_positions", 1024),
  hiddenSize: size("n_embd", 768),
  numLayers: size("n_layer", 12),
  numHeads: size("n_head", 12),
  intermediateSize: size("n_inner", 4 * 768), // in config.json null may stand for 4 * hiddenSize
  activation: activation("activation_function", "gelu_new"),
  embeddingDropout: probability("embd_pdrop", 0.1),
  attentionDropout: probability("attn_pdrop", 0.1),
  residualDropout: probability("resid_pdrop", 0.1),
  layerNormEpsilon: positive("layer_norm_epsilon", 1e-5),
  initializerRange: number("initializer_range", 0.02),
  scaleAttentionWeights: flag("scale_attn_weights", true),
  scaleAttentionByInverseLayer: flag("scale_attn_by_inverse_layer_idx", false),
  tieWordEmbeddings: flag("tie_word_embeddings", true),
  bosTokenId: tokenId("bos_token_id", 50256),
  eosTokenId: tokenIds("eos_token_id", 50256),
};

/** Fills in defaults, those of GPT-2 small, and checks. @throws OptionError naming the field. */
export function gpt2Config(options: Partial<GPT2Config> = {}): GPT2Config {
  const width = options.hiddenSize ?? fields.hiddenSize.default;
  const config = makeConfig("GPT2Config", fields, {
    ...options,
    intermediateSize: options.intermediateSize ?? 4 * width,
  });
  const { hiddenSize, numHeads } = config;
  requireField("GPT2Config", hiddenSize % numHeads === 0, "hiddenSize to be a multiple of numHeads", [
    hiddenSize,
    numHeads,
  ]);
  return config;
}

/** Causal attention, with one weight for queries, keys and values. */
class Attention extends Module {
  readonly cAttn: Projection; // [D, 3D]
  readonly cProj: Projection; // [D, D]
  private readonly config: GPT2Config;
  private readonly scale: number;

  constructor(config: GPT2Config, layer: number, key: RandomKey) {
    super();
    const { hiddenSize, numHeads, numLayers, initializerRange } = config;
    const [inKey, outKey] = key.split(2);
    this.cAttn = new Conv1D(
      { inFeatures: hiddenSize, outFeatures: 3 * hiddenSize, init: normalInit(initializerRange) },
      inKey,
    );
    // weights into the residual stream start smaller, by the number of them: GPT-2 paper, section 2.3
    this.cProj = new Conv1D(
      {
        inFeatures: hiddenSize,
        outFeatures: hiddenSize,
        init: normalInit(initializerRange / Math.sqrt(2 * numLayers)),
      },
      outKey,
    );
    this.config = config;
    const byWidth = config.scaleAttentionWeights ? 1 / Math.sqrt(hiddenSize / numHeads) : 1;
    this.scale = config.scaleAttentionByInverseLayer ? byWidth / (layer + 1) : byWidth;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, { key, cache, mask, onScores }: BlockOptions): Tensor<"f32"> {
    const { numHeads, attentionDropout, residualDropout } = this.config;
    const [q, k, v] = this.cAttn.forwardParts(x, 3); // [B, T, D] each
    const attended = multiHeadAttention(q, k, v, {
      numHeads,
      isCausal: true,
      scale: this.scale,
      dropoutProbability: attentionDropout,
      key: key?.fold(0),
      cache,
      mask,
      onScores,
    });
    return dropout(this.cProj.forward(attended), residualDropout, key?.fold(1));
  }
}

/** down(gelu(up x)), four times as wide inside by default. */
class FeedForward extends Module {
  readonly cFc: Projection; //   [D, F]
  readonly cProj: Projection; // [F, D]
  private readonly config: GPT2Config;

  constructor(config: GPT2Config, key: RandomKey) {
    super();
    const { hiddenSize, intermediateSize, initializerRange, numLayers } = config;
    const [inKey, outKey] = key.split(2);
    this.cFc = new Conv1D(
      { inFeatures: hiddenSize, outFeatures: intermediateSize, init: normalInit(initializerRange) },
      inKey,
    );
    this.cProj = new Conv1D(
      {
        inFeatures: intermediateSize,
        outFeatures: hiddenSize,
        init: normalInit(initializerRange / Math.sqrt(2 * numLayers)),
      },
      outKey,
    );
    this.config = config;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, key?: RandomKey): Tensor<"f32"> {
    const hidden = activations[this.config.activation](this.cFc.forward(x)); // [B, T, F]
    return dropout(this.cProj.forward(hidden), this.config.residualDropout, key); // [B, T, D]
  }
}

/** One layer: x + attn(ln_1 x), then that + mlp(ln_2 of it). */
class Block extends ResidualLayer {
  readonly ln1: LayerNorm;
  readonly attn: Attention;
  readonly ln2: LayerNorm;
  readonly mlp: FeedForward;

  constructor(config: GPT2Config, layer: number, key: RandomKey) {
    super();
    const { hiddenSize: width, layerNormEpsilon: epsilon } = config;
    const [key1, attentionKey, key2, mlpKey] = key.split(4);
    this.ln1 = new LayerNorm({ width, epsilon }, key1);
    this.attn = new Attention(config, layer, attentionKey);
    this.ln2 = new LayerNorm({ width, epsilon }, key2);
    this.mlp = new FeedForward(config, mlpKey);
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, { key, ...options }: BlockOptions): Tensor<"f32"> {
    const attended = withScope("attn", () => this.attn.forward(this.ln1.forward(x), { ...options, key: key?.fold(0) }));
    const middle = residualSum(x, attended, this.attentionAdapters);
    return withScope("mlp", () =>
      residualSum(middle, this.mlp.forward(this.ln2.forward(middle), key?.fold(1)), this.outputAdapters),
    );
  }
}

class Transformer extends Module {
  readonly wte: EmbeddingTable; // [V, D]
  readonly wpe: EmbeddingTable; // [maxPositionEmbeddings, D]
  readonly h: Block[];
  readonly lnF: LayerNorm;

  constructor(config: GPT2Config, key: RandomKey) {
    super();
    const { vocabSize, maxPositionEmbeddings, hiddenSize, numLayers, initializerRange, layerNormEpsilon } = config;
    const [tokenKey, positionKey, blockKey, normKey] = key.split(4);
    this.wte = new Embedding(
      { numEmbeddings: vocabSize, embeddingDim: hiddenSize, init: normalInit(initializerRange) },
      tokenKey,
    );
    this.wpe = new Embedding(
      { numEmbeddings: maxPositionEmbeddings, embeddingDim: hiddenSize, init: normalInit(initializerRange) },
      positionKey,
    );
    this.h = blockKey.split(numLayers).map((part, layer) => new Block(config, layer, part));
    this.lnF = new LayerNorm({ width: hiddenSize, epsilon: layerNormEpsilon }, normKey);
  }
}

/** GPT-2 with its language-modelling head: i32 [B, T] -> logits [B, T, V]. */
export class GPT2LMHeadModel extends CausalLM {
  readonly transformer: Transformer;
  readonly lmHead?: Projection; // [V, D], when not tied to the token embedding
  readonly config: GPT2Config;
  readonly family = gpt2;

  /** @throws OptionError when the config contradicts itself */
  constructor(config: Partial<GPT2Config>, key: RandomKey) {
    super();
    this.config = gpt2Config(config);
    const { hiddenSize, vocabSize, tieWordEmbeddings, initializerRange } = this.config;
    const [transformerKey, headKey] = key.split(2);
    this.transformer = new Transformer(this.config, transformerKey);
    if (!tieWordEmbeddings)
      this.lmHead = new Linear(
        { inFeatures: hiddenSize, outFeatures: vocabSize, bias: false, init: normalInit(initializerRange) },
        headKey,
      );
  }

  get cacheShape() {
    const { numLayers, numHeads, hiddenSize } = this.config;
    return { numLayers, numKeyHeads: numHeads, headDim: hiddenSize / numHeads };
  }

  embed(inputIds: Tensor<"i32">): Tensor<"f32"> {
    return this.transformer.wte.forward(inputIds); // [B, T, D]
  }

  hidden(inputIds: Tensor<"i32">, options: ForwardOptions = {}): Tensor<"f32"> {
    const { wpe, h, lnF } = this.transformer;
    const { embeddingDropout } = this.config;
    const places = this.positionsOf(inputIds, options); // [T] or [B, T]
    const embed = () =>
      dropout(
        add(options.embeddings ?? this.embed(inputIds), wpe.forward(places)),
        embeddingDropout,
        options.key?.fold(h.length),
      );
    const states = runBlocks("h", h, withScope("embeddings", embed), options, {});
    return withScope("ln_f", () => lnF.forward(states)); // [B, T, D]
  }

  override get outputLayer() {
    return { layer: this.lmHead ?? this.transformer.wte };
  }

  logits(hidden: Tensor<"f32">): Tensor<"f32"> {
    return withScope("lm_head", () =>
      this.lmHead ? this.lmHead.forward(hidden) : this.transformer.wte.project(hidden),
    ); // [..., V]
  }
}

/** How GPT-2 is stored: model_type gpt2, with weights of layers as Conv1D, [in, out]. */
export const gpt2: Family = {
  modelType: "gpt2",
  prefix: "transformer",
  classes: { GPT2LMHeadModel },
  configFromJson: (path, json) => fromJson(path, { ...json, n_inner: json.n_inner ?? undefined }, fields),
  configKeys: {
    fields,
    aliases: {
      hidden_size: "n_embd",
      max_position_embeddings: "n_positions",
      num_attention_heads: "n_head",
      num_hidden_layers: "n_layer",
    },
    supported: { add_cross_attention: [false] },
  },
  configToJson: ({ config }) => toJson(config as GPT2Config, fields),
  ignored: /attn.bias|crossattention.bias/, // causal masks
  tied: ({ config }): Readonly<Record<string, string>> =>
    (config as GPT2Config).tieWordEmbeddings ? { "lm_head.weight": "transformer.wte.weight" } : {},
  untie: untiedWords,
};
