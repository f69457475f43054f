/**
 * GPT-2: a decoder-only Transformer. Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".
 * Learned positions, pre-normalisation, GELU feed-forward, tied output head, causal attention over a key/value cache.
 * Parameter names and config.json are those of Hugging Face transformers (GPT2LMHeadModel).
 */
import { OptionError } from "../ir/index.ts";
import {
  type Activation,
  activations,
  Conv1D,
  cachedHeadDim,
  dropout,
  Embedding,
  LayerNorm,
  Linear,
  Module,
  multiHeadAttention,
  normalInit,
} from "../nn/index.ts";
import { add, matmul, type RandomKey, type Tensor, withScope } from "../tensor/index.ts";
import { type BlockOptions, type BlockResult, CausalLM, type CausalLMConfig, type ForwardOptions, type ForwardResult, runBlocks } from "./causal-lm.ts";
import type { ConfigField } from "./config.ts";

export interface GPT2Config extends CausalLMConfig {
  numHeads: number;
  /** @default 4 * hiddenSize */
  intermediateSize: number;
  activation: Activation;
  /** Dropout after the embeddings, on attention weights, and before each residual sum. */
  embeddingDropout: number;
  attentionDropout: number;
  residualDropout: number;
  layerNormEpsilon: number;
  /** Standard deviation of initial weights. */
  initializerRange: number;
  /** Divide attention scores by sqrt(headDim). */
  scaleAttentionWeights: boolean;
  /** Divide them by the layer's number, counted from 1, too. */
  scaleAttentionByInverseLayer: boolean;
}

/** Field, its key in config.json, and its default: those of GPT-2 small. */
export const gpt2Fields: readonly ConfigField<GPT2Config>[] = [
  { field: "vocabSize", key: "vocab_size", default: 50257 },
  { field: "maxPositionEmbeddings", key: "n_positions", default: 1024 },
  { field: "hiddenSize", key: "n_embd", default: 768 },
  { field: "numLayers", key: "n_layer", default: 12 },
  { field: "numHeads", key: "n_head", default: 12 },
  { field: "intermediateSize", key: "n_inner", default: null }, // null stands for 4 * hiddenSize
  { field: "activation", key: "activation_function", default: "gelu_new" },
  { field: "embeddingDropout", key: "embd_pdrop", default: 0.1 },
  { field: "attentionDropout", key: "attn_pdrop", default: 0.1 },
  { field: "residualDropout", key: "resid_pdrop", default: 0.1 },
  { field: "layerNormEpsilon", key: "layer_norm_epsilon", default: 1e-5 },
  { field: "initializerRange", key: "initializer_range", default: 0.02 },
  { field: "scaleAttentionWeights", key: "scale_attn_weights", default: true },
  { field: "scaleAttentionByInverseLayer", key: "scale_attn_by_inverse_layer_idx", default: false },
  { field: "tieWordEmbeddings", key: "tie_word_embeddings", default: true },
  { field: "bosTokenId", key: "bos_token_id", default: 50256 },
  { field: "eosTokenId", key: "eos_token_id", default: 50256 },
];

/** Fills in defaults and checks. @throws OptionError naming the field. */
export function gpt2Config(options: Partial<GPT2Config> = {}): GPT2Config {
  const defaults = Object.fromEntries(gpt2Fields.map((entry) => [entry.field, entry.default])) as unknown as GPT2Config;
  const config: GPT2Config = { ...defaults, ...options };
  config.intermediateSize = options.intermediateSize ?? 4 * config.hiddenSize;
  const require = (isFine: boolean, expected: string, received: unknown) => {
    if (!isFine) throw new OptionError({ where: "GPT2Config", expected, received: String(received), fix: "correct the config" });
  };
  for (const field of ["vocabSize", "maxPositionEmbeddings", "hiddenSize", "numLayers", "numHeads", "intermediateSize"] as const) {
    require(Number.isInteger(config[field]) && config[field] > 0, `${field} to be a positive integer`, config[field]);
  }
  require(config.hiddenSize % config.numHeads === 0, "hiddenSize to be a multiple of numHeads", `${config.hiddenSize} and ${config.numHeads}`);
  require(config.activation in activations, `activation to be one of ${Object.keys(activations).join(", ")}`, config.activation);
  for (const field of ["embeddingDropout", "attentionDropout", "residualDropout"] as const) {
    require(config[field] >= 0 && config[field] < 1, `${field} from 0 to below 1`, config[field]);
  }
  return config;
}

class Attention extends Module {
  readonly cAttn: Conv1D; // [D, 3D]
  readonly cProj: Conv1D; // [D, D]
  private readonly config: GPT2Config;
  private readonly scale: number;

  constructor(config: GPT2Config, layer: number, key: RandomKey) {
    super();
    const { hiddenSize, numHeads, numLayers, initializerRange } = config;
    const [inKey, outKey] = key.split(2);
    this.cAttn = new Conv1D({ inFeatures: hiddenSize, outFeatures: 3 * hiddenSize, init: normalInit(initializerRange) }, inKey);
    // weights into the residual stream start smaller, by the number of them: GPT-2 paper, section 2.3
    this.cProj = new Conv1D({ inFeatures: hiddenSize, outFeatures: hiddenSize, init: normalInit(initializerRange / Math.sqrt(2 * numLayers)) }, outKey);
    this.config = config;
    const byWidth = config.scaleAttentionWeights ? 1 / Math.sqrt(hiddenSize / numHeads) : 1;
    this.scale = config.scaleAttentionByInverseLayer ? byWidth / (layer + 1) : byWidth;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, { key, cache, mask }: BlockOptions): BlockResult {
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
    });
    return { output: dropout(this.cProj.forward(attended.output), residualDropout, key?.fold(1)), cache: attended.cache };
  }
}

class FeedForward extends Module {
  readonly cFc: Conv1D; //   [D, F]
  readonly cProj: Conv1D; // [F, D]
  private readonly config: GPT2Config;

  constructor(config: GPT2Config, key: RandomKey) {
    super();
    const { hiddenSize, intermediateSize, initializerRange, numLayers } = config;
    const [inKey, outKey] = key.split(2);
    this.cFc = new Conv1D({ inFeatures: hiddenSize, outFeatures: intermediateSize, init: normalInit(initializerRange) }, inKey);
    this.cProj = new Conv1D({ inFeatures: intermediateSize, outFeatures: hiddenSize, init: normalInit(initializerRange / Math.sqrt(2 * numLayers)) }, outKey);
    this.config = config;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, key?: RandomKey): Tensor<"f32"> {
    const hidden = activations[this.config.activation](this.cFc.forward(x)); // [B, T, F]
    return dropout(this.cProj.forward(hidden), this.config.residualDropout, key); // [B, T, D]
  }
}

class Block extends Module {
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
  forward(x: Tensor<"f32">, { key, ...options }: BlockOptions): BlockResult {
    const attended = withScope("attn", () => this.attn.forward(this.ln1.forward(x), { ...options, key: key?.fold(0) }));
    const middle = add(x, attended.output);
    const output = withScope("mlp", () => add(middle, this.mlp.forward(this.ln2.forward(middle), key?.fold(1))));
    return { output, cache: attended.cache };
  }
}

class Transformer extends Module {
  readonly wte: Embedding; // [V, D]
  readonly wpe: Embedding; // [maxPositionEmbeddings, D]
  readonly h: Block[];
  readonly lnF: LayerNorm;

  constructor(config: GPT2Config, key: RandomKey) {
    super();
    const { vocabSize, maxPositionEmbeddings, hiddenSize, numLayers, initializerRange, layerNormEpsilon } = config;
    const [tokenKey, positionKey, blockKey, normKey] = key.split(4);
    this.wte = new Embedding({ numEmbeddings: vocabSize, embeddingDim: hiddenSize, init: normalInit(initializerRange) }, tokenKey);
    this.wpe = new Embedding({ numEmbeddings: maxPositionEmbeddings, embeddingDim: hiddenSize, init: normalInit(initializerRange) }, positionKey);
    this.h = blockKey.split(numLayers).map((part, layer) => new Block(config, layer, part));
    this.lnF = new LayerNorm({ width: hiddenSize, epsilon: layerNormEpsilon }, normKey);
  }
}

/** GPT-2 with its language-modelling head. */
export class GPT2LMHeadModel extends CausalLM {
  readonly transformer: Transformer;
  readonly lmHead?: Linear; // [V, D], when not tied to the token embedding
  readonly config: GPT2Config;

  /** @throws OptionError when the config contradicts itself */
  constructor(config: Partial<GPT2Config>, key: RandomKey) {
    super();
    this.config = gpt2Config(config);
    const { hiddenSize, vocabSize, tieWordEmbeddings, initializerRange } = this.config;
    const [transformerKey, headKey] = key.split(2);
    this.transformer = new Transformer(this.config, transformerKey);
    if (!tieWordEmbeddings)
      this.lmHead = new Linear({ inFeatures: hiddenSize, outFeatures: vocabSize, bias: false, init: normalInit(initializerRange) }, headKey);
  }

  get modelType() {
    return "gpt2";
  }

  get cacheShape() {
    const { numHeads, hiddenSize } = this.config;
    return { numKeyHeads: numHeads, headDim: cachedHeadDim(hiddenSize / numHeads) };
  }

  hidden(inputIds: Tensor<"i32">, options: ForwardOptions = {}): ForwardResult {
    const { wte, wpe, h, lnF } = this.transformer;
    const { embeddingDropout } = this.config;
    const places = this.positionsOf(inputIds, options);
    const embed = () => dropout(add(wte.forward(inputIds), wpe.forward(places)), embeddingDropout, options.key?.fold(h.length));
    const result = runBlocks("h", h, withScope("embeddings", embed), options, {});
    return { hidden: withScope("ln_f", () => lnF.forward(result.output)), layers: result.caches };
  }

  logits(hidden: Tensor<"f32">): Tensor<"f32"> {
    return withScope("lm_head", () => matmul(hidden, (this.lmHead ?? this.transformer.wte).weight.value, { transposeB: true }));
  }
}
