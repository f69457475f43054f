/**
 * Llama and the families that differ from it in a detail. Touvron et al. 2023, arXiv:2302.13971: rotary positions,
 * pre-normalisation by the root mean square, a gated feed-forward layer, and from Llama 2 on fewer heads for keys and values.
 *   mistral  attention over a sliding window. Jiang et al. 2023, arXiv:2310.06825
 *   qwen2    biases for queries, keys and values; a window in the later layers. arXiv:2407.10671
 *   qwen3    normalised queries and keys, no biases. arXiv:2505.09388
 * Parameter names and config.json are those of Hugging Face transformers.
 */
import { OptionError } from "../ir/index.ts";
import {
  type Activation,
  activations,
  cachedHeadDim,
  Embedding,
  Linear,
  Module,
  multiHeadAttention,
  normalInit,
  RMSNorm,
  type RopeParameters,
  RotaryEmbedding,
} from "../nn/index.ts";
import { add, matmul, mul, type RandomKey, reshape, rotaryEmbedding, type Tensor, withScope } from "../tensor/index.ts";
import { type BlockOptions, type BlockResult, CausalLM, type CausalLMConfig, type ForwardOptions, type ForwardResult, runBlocks } from "./causal-lm.ts";
import type { ConfigField } from "./config.ts";

export type LlamaModelType = "llama" | "mistral" | "qwen2" | "qwen3";

export interface LlamaConfig extends CausalLMConfig {
  /** @default "llama" */
  modelType: LlamaModelType;
  numHeads: number;
  /** Heads of keys and values. @default numHeads */
  numKeyHeads: number;
  /** @default hiddenSize / numHeads, of qwen3 128 */
  headDim: number;
  intermediateSize: number;
  activation: Activation;
  rmsNormEpsilon: number;
  /** Standard deviation of initial weights. */
  initializerRange: number;
  attentionDropout: number;
  /** Biases of the attention's layers; qwen2 has those of queries, keys and values in any case. */
  attentionBias: boolean;
  mlpBias: boolean;
  rope: RopeParameters;
  /** Positions that a sliding layer sees. */
  slidingWindow: number | null;
  /** "full_attention" or "sliding_attention" for each layer. @default by the family's rule */
  layerTypes: readonly string[] | null;
  /** Older files of qwen: whether layers from maxWindowLayers on slide. */
  useSlidingWindow: boolean;
  maxWindowLayers: number;
}

/** Field, its key in config.json, and its default: those of transformers' LlamaConfig. `rope` is stored apart. */
export const llamaFields: readonly ConfigField<LlamaConfig>[] = [
  { field: "modelType", key: "model_type", default: "llama" },
  { field: "vocabSize", key: "vocab_size", default: 32000 },
  { field: "hiddenSize", key: "hidden_size", default: 4096 },
  { field: "intermediateSize", key: "intermediate_size", default: 11008 },
  { field: "numLayers", key: "num_hidden_layers", default: 32 },
  { field: "numHeads", key: "num_attention_heads", default: 32 },
  { field: "numKeyHeads", key: "num_key_value_heads", default: null },
  { field: "headDim", key: "head_dim", default: null },
  { field: "activation", key: "hidden_act", default: "silu" },
  { field: "maxPositionEmbeddings", key: "max_position_embeddings", default: 2048 },
  { field: "initializerRange", key: "initializer_range", default: 0.02 },
  { field: "rmsNormEpsilon", key: "rms_norm_eps", default: 1e-6 },
  { field: "tieWordEmbeddings", key: "tie_word_embeddings", default: false },
  { field: "attentionBias", key: "attention_bias", default: false },
  { field: "attentionDropout", key: "attention_dropout", default: 0 },
  { field: "mlpBias", key: "mlp_bias", default: false },
  { field: "slidingWindow", key: "sliding_window", default: null },
  { field: "layerTypes", key: "layer_types", default: null },
  { field: "useSlidingWindow", key: "use_sliding_window", default: false },
  { field: "maxWindowLayers", key: "max_window_layers", default: 28 },
  { field: "bosTokenId", key: "bos_token_id", default: null },
  { field: "eosTokenId", key: "eos_token_id", default: null },
];

/** Fills in defaults and checks. @throws OptionError naming the field */
export function llamaConfig(options: Partial<LlamaConfig> = {}): LlamaConfig {
  const defaults = Object.fromEntries(llamaFields.map((entry) => [entry.field, entry.default])) as unknown as LlamaConfig;
  const config: LlamaConfig = { ...defaults, rope: {}, ...options };
  config.numKeyHeads = config.numKeyHeads ?? config.numHeads;
  config.headDim = config.headDim ?? (config.modelType === "qwen3" ? 128 : config.hiddenSize / config.numHeads);
  if (config.modelType === "mistral" && options.slidingWindow === undefined) config.slidingWindow = 4096;
  const require = (isFine: boolean, expected: string, received: unknown) => {
    if (!isFine) throw new OptionError({ where: "LlamaConfig", expected, received: JSON.stringify(received), fix: "correct the config" });
  };
  for (const field of ["vocabSize", "maxPositionEmbeddings", "hiddenSize", "numLayers", "numHeads", "numKeyHeads", "headDim", "intermediateSize"] as const) {
    require(Number.isInteger(config[field]) && config[field] > 0, `${field} to be a positive integer`, config[field]);
  }
  const { numHeads, numKeyHeads, activation, attentionDropout, layerTypes, slidingWindow, numLayers } = config;
  require(numHeads % numKeyHeads === 0, "numHeads to be a multiple of numKeyHeads", [numHeads, numKeyHeads]);
  require(activation in activations, `activation to be one of ${Object.keys(activations).join(", ")}`, activation);
  require(attentionDropout >= 0 && attentionDropout < 1, "attentionDropout from 0 to below 1", attentionDropout);
  require(slidingWindow === null || (Number.isInteger(slidingWindow) && slidingWindow > 0), "slidingWindow to be null or a positive integer", slidingWindow);
  if (layerTypes) {
    const kinds = ["full_attention", "sliding_attention"];
    require(layerTypes.length === numLayers &&
      layerTypes.every((kind) => kinds.includes(kind)), `layerTypes with ${numLayers} of ${kinds.join(", ")}`, layerTypes);
  }
  return config;
}

/** How far back a layer sees; undefined for everything. */
function windowOf({ modelType, slidingWindow, layerTypes, useSlidingWindow, maxWindowLayers }: LlamaConfig, layer: number): number | undefined {
  const isSliding = layerTypes ? layerTypes[layer] === "sliding_attention" : modelType === "mistral" || (useSlidingWindow && layer >= maxWindowLayers);
  return isSliding ? (slidingWindow ?? undefined) : undefined;
}

type LlamaBlockOptions = BlockOptions & { angles: ReturnType<RotaryEmbedding["angles"]> };

class Attention extends Module {
  readonly qProj: Linear; // [H Dh, D]
  readonly kProj: Linear; // [K Dh, D]
  readonly vProj: Linear; // [K Dh, D]
  readonly oProj: Linear; // [D, H Dh]
  readonly qNorm?: RMSNorm; // [Dh]
  readonly kNorm?: RMSNorm; // [Dh]
  private readonly config: LlamaConfig;
  private readonly slidingWindow?: number;

  constructor(config: LlamaConfig, layer: number, key: RandomKey) {
    super();
    const { modelType, hiddenSize, numHeads, numKeyHeads, headDim, attentionBias, initializerRange, rmsNormEpsilon: epsilon } = config;
    const [qKey, kKey, vKey, oKey, normKey] = key.split(5);
    const init = normalInit(initializerRange);
    const into = { inFeatures: hiddenSize, bias: attentionBias || modelType === "qwen2", init };
    this.qProj = new Linear({ ...into, outFeatures: numHeads * headDim }, qKey);
    this.kProj = new Linear({ ...into, outFeatures: numKeyHeads * headDim }, kKey);
    this.vProj = new Linear({ ...into, outFeatures: numKeyHeads * headDim }, vKey);
    this.oProj = new Linear({ inFeatures: numHeads * headDim, outFeatures: hiddenSize, bias: attentionBias, init }, oKey);
    if (modelType === "qwen3") {
      this.qNorm = new RMSNorm({ width: headDim, epsilon }, normKey);
      this.kNorm = new RMSNorm({ width: headDim, epsilon }, normKey);
    }
    this.config = config;
    this.slidingWindow = windowOf(config, layer);
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, { angles, key, cache, mask }: LlamaBlockOptions): BlockResult {
    const { numHeads, numKeyHeads, headDim, attentionDropout } = this.config;
    const [batch, length] = x.shape;
    const turned = (projected: Tensor<"f32">, heads: number, norm: RMSNorm | undefined) => {
      const split = reshape(projected, [batch, length, heads, headDim]);
      return reshape(rotaryEmbedding(norm ? norm.forward(split) : split, angles.cos, angles.sin), [batch, length, heads * headDim]);
    };
    const q = turned(this.qProj.forward(x), numHeads, this.qNorm);
    const k = turned(this.kProj.forward(x), numKeyHeads, this.kNorm);
    const attended = multiHeadAttention(q, k, this.vProj.forward(x), {
      numHeads,
      numKeyHeads,
      isCausal: true,
      slidingWindow: this.slidingWindow,
      dropoutProbability: attentionDropout,
      key,
      cache,
      mask,
    });
    return { ...attended, output: this.oProj.forward(attended.output) };
  }
}

/** down(activation(gate x) * up x). Shazeer 2020, arXiv:2002.05202. */
class FeedForward extends Module {
  readonly gateProj: Linear; // [F, D]
  readonly upProj: Linear; //   [F, D]
  readonly downProj: Linear; // [D, F]
  private readonly activation: Activation;

  constructor({ hiddenSize, intermediateSize, mlpBias: bias, initializerRange, activation }: LlamaConfig, key: RandomKey) {
    super();
    const [gateKey, upKey, downKey] = key.split(3);
    const init = normalInit(initializerRange);
    this.gateProj = new Linear({ inFeatures: hiddenSize, outFeatures: intermediateSize, bias, init }, gateKey);
    this.upProj = new Linear({ inFeatures: hiddenSize, outFeatures: intermediateSize, bias, init }, upKey);
    this.downProj = new Linear({ inFeatures: intermediateSize, outFeatures: hiddenSize, bias, init }, downKey);
    this.activation = activation;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    return this.downProj.forward(mul(activations[this.activation](this.gateProj.forward(x)), this.upProj.forward(x)));
  }
}

class Block extends Module {
  readonly selfAttn: Attention;
  readonly mlp: FeedForward;
  readonly inputLayernorm: RMSNorm;
  readonly postAttentionLayernorm: RMSNorm;

  constructor(config: LlamaConfig, layer: number, key: RandomKey) {
    super();
    const { hiddenSize: width, rmsNormEpsilon: epsilon } = config;
    const [attentionKey, mlpKey, key1, key2] = key.split(4);
    this.selfAttn = new Attention(config, layer, attentionKey);
    this.mlp = new FeedForward(config, mlpKey);
    this.inputLayernorm = new RMSNorm({ width, epsilon }, key1);
    this.postAttentionLayernorm = new RMSNorm({ width, epsilon }, key2);
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, options: LlamaBlockOptions): BlockResult {
    const attended = withScope("self_attn", () => this.selfAttn.forward(this.inputLayernorm.forward(x), options));
    const middle = add(x, attended.output);
    const output = withScope("mlp", () => add(middle, this.mlp.forward(this.postAttentionLayernorm.forward(middle))));
    return { output, cache: attended.cache };
  }
}

class Decoder extends Module {
  readonly embedTokens: Embedding; // [V, D]
  readonly layers: Block[];
  readonly norm: RMSNorm; // [D]

  constructor(config: LlamaConfig, key: RandomKey) {
    super();
    const { vocabSize, hiddenSize, numLayers, initializerRange, rmsNormEpsilon: epsilon } = config;
    const [tokenKey, layerKey, normKey] = key.split(3);
    this.embedTokens = new Embedding({ numEmbeddings: vocabSize, embeddingDim: hiddenSize, init: normalInit(initializerRange) }, tokenKey);
    this.layers = layerKey.split(numLayers).map((part, layer) => new Block(config, layer, part));
    this.norm = new RMSNorm({ width: hiddenSize, epsilon }, normKey);
  }
}

/** Llama, Mistral, Qwen2 or Qwen3 with its language-modelling head. */
export class LlamaForCausalLM extends CausalLM {
  readonly model: Decoder;
  readonly lmHead?: Linear; // [V, D], when not tied to the token embedding
  readonly config: LlamaConfig;
  private readonly rotary: RotaryEmbedding;

  /** @throws OptionError when the config contradicts itself */
  constructor(config: Partial<LlamaConfig>, key: RandomKey) {
    super();
    this.config = llamaConfig(config);
    const { hiddenSize, vocabSize, tieWordEmbeddings, initializerRange, headDim, maxPositionEmbeddings, rope } = this.config;
    const [modelKey, headKey] = key.split(2);
    this.rotary = new RotaryEmbedding(headDim, maxPositionEmbeddings, rope);
    this.model = new Decoder(this.config, modelKey);
    if (!tieWordEmbeddings)
      this.lmHead = new Linear({ inFeatures: hiddenSize, outFeatures: vocabSize, bias: false, init: normalInit(initializerRange) }, headKey);
  }

  get modelType() {
    return this.config.modelType;
  }

  get cacheShape() {
    const { numKeyHeads, headDim } = this.config;
    return { numKeyHeads, headDim: cachedHeadDim(headDim) };
  }

  hidden(inputIds: Tensor<"i32">, options: ForwardOptions = {}): ForwardResult {
    const { embedTokens, layers, norm } = this.model;
    const angles = withScope("rotary_emb", () => this.rotary.angles(this.positionsOf(inputIds, options)));
    const embedded = withScope("embed_tokens", () => embedTokens.forward(inputIds)); // [B, T, D]
    const result = runBlocks("layers", layers, embedded, options, { angles });
    return { hidden: withScope("norm", () => norm.forward(result.output)), layers: result.caches };
  }

  logits(hidden: Tensor<"f32">): Tensor<"f32"> {
    return withScope("lm_head", () => matmul(hidden, (this.lmHead ?? this.model.embedTokens).weight.value, { transposeB: true }));
  }
}
