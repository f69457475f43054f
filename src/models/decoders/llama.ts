/**
 * Llama. Touvron et al. 2023, arXiv:2302.13971 and 2307.09288; Grattafiori et al. 2024, arXiv:2407.21783.
 *   - rotary positions: queries and keys are turned by angles that grow with the position. Su et al. 2021,
 *     arXiv:2104.09864
 *   - norms by the root mean square, in front of each part. Zhang and Sennrich 2019, arXiv:1910.07467
 *   - a gated feed-forward layer. Shazeer 2020, arXiv:2002.05202
 *   - from Llama 2 on fewer heads for keys and values than for queries. Ainslie et al. 2023, arXiv:2305.13245
 *   - no biases
 * This file is the whole model; its relatives (llama-relatives.ts, gemma.ts, phi3.ts and others) are said as
 * differences from it, on the frame of decoder.ts. Letters: B batch, T length, D hiddenSize, H heads, K heads of keys,
 * Dh headDim, F intermediateSize, V vocabSize.
 */
import {
  activations,
  Embedding,
  type EmbeddingTable,
  Linear,
  Module,
  multiHeadAttention,
  normalInit,
  type Projection,
  ResidualLayer,
  RMSNorm,
  type RotaryEmbedding,
  residualSum,
} from "../../nn/index.ts";
import { mul, type RandomKey, reshape, rotaryEmbedding, type Tensor, withScope } from "../../tensor/index.ts";
import { flag, tokenId, tokenIds } from "../config.ts";
import type { ForwardOptions } from "./causal-decoder.ts";
import { type BlockOptions, CausalLM, runBlocks } from "./causal-lm.ts";
import { type DecoderFamily, decoderConfig, decoderFamily, decoderFields, type RopeDecoderConfig } from "./family.ts";
import { rotaryFor } from "./rope.ts";
import type { Angles } from "./traits.ts";

/**
 * The sizes of Llama. Mirrors transformers' LlamaConfig; the defaults are those of Llama 7B. arXiv:2302.13971, table 2.
 */
export interface LlamaConfig extends RopeDecoderConfig {
  /** Biases of all layers of the attention. */
  attentionBias: boolean;
  /** Biases of the feed-forward layers. */
  mlpBias: boolean;
}

type LlamaBlockOptions = BlockOptions & {
  /** Cosines and sines of the tokens' positions. */
  angles: Angles;
};

/** Grouped attention with rotary positions. */
class Attention extends Module {
  override readonly sharedInputs = [["qProj", "kProj", "vProj"]];
  readonly qProj: Projection; // [H Dh, D]
  readonly kProj: Projection; // [K Dh, D]
  readonly vProj: Projection; // [K Dh, D]
  readonly oProj: Projection; // [D, H Dh]
  private readonly config: LlamaConfig;

  constructor(config: LlamaConfig, key: RandomKey) {
    super();
    const { hiddenSize, numHeads, numKeyHeads, headDim, attentionBias: bias, initializerRange } = config;
    const [qKey, kKey, vKey, oKey] = key.split(5);
    const shared = { bias, init: normalInit(initializerRange) };
    this.qProj = new Linear({ ...shared, inFeatures: hiddenSize, outFeatures: numHeads * headDim }, qKey);
    this.kProj = new Linear({ ...shared, inFeatures: hiddenSize, outFeatures: numKeyHeads * headDim }, kKey);
    this.vProj = new Linear({ ...shared, inFeatures: hiddenSize, outFeatures: numKeyHeads * headDim }, vKey);
    this.oProj = new Linear({ ...shared, inFeatures: numHeads * headDim, outFeatures: hiddenSize }, oKey);
    this.config = config;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, { angles, key, cache, mask, onScores }: LlamaBlockOptions): Tensor<"f32"> {
    const { numHeads, numKeyHeads, attentionDropout: dropoutProbability } = this.config;
    const q = this.turn(this.qProj.forward(x), numHeads, angles); // [B, T, H Dh]
    const k = this.turn(this.kProj.forward(x), numKeyHeads, angles); // [B, T, K Dh]
    const v = this.vProj.forward(x); // [B, T, K Dh]
    const options = { numHeads, numKeyHeads, isCausal: true, dropoutProbability, key, cache, mask, onScores };
    return this.oProj.forward(multiHeadAttention(q, k, v, options));
  }

  /** Turns pairs of features of each head by the angles of its position: [B, T, heads Dh] -> the same. */
  private turn(x: Tensor<"f32">, heads: number, { cos, sin }: Angles): Tensor<"f32"> {
    const [batch, length] = x.shape;
    const byHead = reshape(x, [batch, length, heads, this.config.headDim]);
    return reshape(rotaryEmbedding(byHead, cos, sin), x.shape);
  }
}

/** down(silu(gate x) * up x) */
class Mlp extends Module {
  override readonly sharedInputs = [["gateProj", "upProj"]];
  readonly gateProj: Projection; // [F, D]
  readonly upProj: Projection; //   [F, D]
  readonly downProj: Projection; // [D, F]
  private readonly config: LlamaConfig;

  constructor(config: LlamaConfig, key: RandomKey) {
    super();
    const { hiddenSize, intermediateSize, mlpBias: bias, initializerRange } = config;
    const [gateKey, upKey, downKey] = key.split(3);
    const shared = { bias, init: normalInit(initializerRange) };
    this.gateProj = new Linear({ ...shared, inFeatures: hiddenSize, outFeatures: intermediateSize }, gateKey);
    this.upProj = new Linear({ ...shared, inFeatures: hiddenSize, outFeatures: intermediateSize }, upKey);
    this.downProj = new Linear({ ...shared, inFeatures: intermediateSize, outFeatures: hiddenSize }, downKey);
    this.config = config;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    const gate = activations[this.config.activation](this.gateProj.forward(x)); // [B, T, F]
    return this.downProj.forward(mul(gate, this.upProj.forward(x)));
  }
}

/** One layer: x + attention(norm x), then that + mlp(norm of it). */
class Block extends ResidualLayer {
  readonly selfAttn: Attention;
  readonly mlp: Mlp;
  readonly inputLayernorm: RMSNorm; //         [D]
  readonly postAttentionLayernorm: RMSNorm; // [D]

  constructor(config: LlamaConfig, key: RandomKey) {
    super();
    const { hiddenSize: width, rmsNormEpsilon: epsilon } = config;
    const [attentionKey, mlpKey, normKey] = key.split(3);
    this.selfAttn = new Attention(config, attentionKey);
    this.mlp = new Mlp(config, mlpKey);
    this.inputLayernorm = new RMSNorm({ width, epsilon }, normKey);
    this.postAttentionLayernorm = new RMSNorm({ width, epsilon }, normKey);
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, options: LlamaBlockOptions): Tensor<"f32"> {
    const attended = withScope("self_attn", () => this.selfAttn.forward(this.inputLayernorm.forward(x), options));
    const middle = residualSum(x, attended, this.attentionAdapters);
    const mlpOutput = withScope("mlp", () => this.mlp.forward(this.postAttentionLayernorm.forward(middle)));
    return residualSum(middle, mlpOutput, this.outputAdapters);
  }
}

class LlamaModel extends Module {
  readonly embedTokens: EmbeddingTable; // [V, D]
  readonly layers: Block[];
  readonly norm: RMSNorm; // [D]

  constructor(config: LlamaConfig, key: RandomKey) {
    super();
    const { vocabSize, hiddenSize, numLayers, padTokenId, rmsNormEpsilon: epsilon, initializerRange } = config;
    const [tokenKey, layerKey, normKey] = key.split(3);
    const table = { numEmbeddings: vocabSize, embeddingDim: hiddenSize, paddingIndex: padTokenId };
    this.embedTokens = new Embedding({ ...table, init: normalInit(initializerRange) }, tokenKey);
    this.layers = layerKey.split(numLayers).map((part) => new Block(config, part));
    this.norm = new RMSNorm({ width: hiddenSize, epsilon }, normKey);
  }
}

/** Llama with its language-modelling head: i32 [B, T] -> logits [B, T, V]. */
export class LlamaForCausalLM extends CausalLM {
  readonly model: LlamaModel;
  readonly lmHead?: Projection; // [V, D], when not tied to the token embedding
  readonly config: LlamaConfig;
  readonly family: DecoderFamily<LlamaConfig> = llama;
  private readonly rotary: RotaryEmbedding;

  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<LlamaConfig>, key: RandomKey) {
    super();
    this.config = llamaConfig(options);
    const { hiddenSize, vocabSize, tieWordEmbeddings, initializerRange } = this.config;
    const [modelKey, headKey] = key.split(2);
    const head = { inFeatures: hiddenSize, outFeatures: vocabSize, bias: false, init: normalInit(initializerRange) };
    this.rotary = rotaryFor(this.config);
    this.model = new LlamaModel(this.config, modelKey);
    if (!tieWordEmbeddings) this.lmHead = new Linear(head, headKey);
  }

  get cacheShape() {
    const { numLayers, numKeyHeads, headDim } = this.config;
    return { numLayers, numKeyHeads, headDim };
  }

  override get cacheLimit() {
    return this.rotary.switchLength;
  }

  embed(inputIds: Tensor<"i32">): Tensor<"f32"> {
    return withScope("embed_tokens", () => this.model.embedTokens.forward(inputIds)); // [B, T, D]
  }

  hidden(inputIds: Tensor<"i32">, options: ForwardOptions = {}): Tensor<"f32"> {
    const positions = this.positionsOf(inputIds, options); // [T] or [B, T]
    const isByRow = options.cache !== undefined; // each text of a batch that is written has its own length
    const angles = withScope("rotary_emb", () => this.rotary.angles(positions, { isByRow }));
    const embedded = options.embeddings ?? this.embed(inputIds); // [B, T, D]
    const states = runBlocks("layers", this.model.layers, embedded, options, { angles });
    return withScope("norm", () => this.model.norm.forward(states)); // [B, T, D]
  }

  override get outputLayer() {
    return { layer: this.lmHead ?? this.model.embedTokens };
  }

  /** hidden: [..., D] -> [..., V] */
  logits(hidden: Tensor<"f32">): Tensor<"f32"> {
    return withScope("lm_head", () => this.lmHead?.forward(hidden) ?? this.model.embedTokens.project(hidden));
  }
}

/** How Llama is stored: model_type llama. */
export const llama: DecoderFamily<LlamaConfig> = decoderFamily<LlamaConfig>({
  modelType: "llama",
  classes: { LlamaForCausalLM },
  fields: {
    ...decoderFields,
    attentionBias: flag("attention_bias", false),
    mlpBias: flag("mlp_bias", false),
    bosTokenId: tokenId("bos_token_id", 1),
    eosTokenId: tokenIds("eos_token_id", 2),
  },
  rope: { theta: 10000 },
});

/** Fills in defaults and checks. @throws OptionError naming the field */
export const llamaConfig = (options: Partial<LlamaConfig> = {}): LlamaConfig =>
  decoderConfig(llama.description, options);
