/**
 * DeepSeek-V3: keys and values come from a narrow latent, so that a cache could hold just that; many small experts,
 * chosen by groups. DeepSeek-AI 2024, arXiv:2412.19437.
 */
import {
  constantInit,
  Linear,
  ModelBuffer,
  Module,
  multiHeadAttention,
  normalInit,
  type Projection,
  RMSNorm,
  RotaryEmbedding,
} from "../../nn/index.ts";
import {
  add,
  broadcastTo,
  concat,
  div,
  less,
  maskedFill,
  mul,
  oneHot,
  pad,
  type RandomKey,
  repeatInterleave,
  reshape,
  rotaryEmbedding,
  sigmoid,
  slice,
  split,
  stopGradient,
  sum,
  type Tensor,
  takeAlong,
  topk,
} from "../../tensor/index.ts";
import { count, flag, number, optional, requireField, size, tokenId, tokenIds } from "../config.ts";
import { DecoderForCausalLM, GatedMlp } from "./decoder.ts";
import { decoderFamily, decoderFields, type RopeDecoderConfig } from "./family.ts";
import { type MixtureConfig, MixtureOfExperts, Router, type Routing } from "./mixture.ts";
import type { Angles, DecoderAttention, DecoderBlockOptions } from "./traits.ts";

/**
 * The sizes of DeepSeek-V3: latents of its attention, groups of its experts. Mirrors transformers' DeepseekV3Config,
 * whose defaults it has: those of the published model of 671 billion parameters. arXiv:2412.19437, section 4.2.
 */
export interface DeepseekV3Config extends RopeDecoderConfig {
  /** Biases of the projections into the latents, and of the last one. */
  attentionBias: boolean;
  /** Width of the latent that queries come from; null for none. */
  qLoraRank: number | null;
  /** Width of the latent that keys and values come from. */
  kvLoraRank: number;
  /** Features of a head with positions. */
  qkRopeHeadDim: number;
  /** Features of a head without positions. */
  qkNopeHeadDim: number;
  /** Features of a head's values. */
  vHeadDim: number;
  /** Neighbouring features turn together, and not those half a head apart. */
  ropeInterleave: boolean;
  /** Width of an expert; intermediateSize is that of layers without experts. */
  moeIntermediateSize: number;
  /** Experts that every token goes to; numExperts are those of which it goes to numExpertsPerToken. */
  numSharedExperts: number;
  numExperts: number;
  numExpertsPerToken: number;
  /** Groups of experts, of which a token uses topkGroup. */
  numGroups: number;
  /** Groups whose experts a token can go to. */
  topkGroup: number;
  /** The weights of a token's experts are divided by their sum. */
  normTopkProb: boolean;
  /** Factor on the weights of a token's experts. */
  routedScalingFactor: number;
  /** The first layers have no experts. */
  firstKDenseReplace: number;
}

/** Of the norms of both latents, whatever the config says of others. */
const LATENT_EPSILON = 1e-6;

/**
 * Multi-head latent attention: a narrow latent of each token holds all its keys and values, beside one rotated part of
 * the keys that all heads share. arXiv:2412.19437, section 2.1.1.
 */
class LatentAttention extends Module implements DecoderAttention {
  readonly qProj?: Projection; // [H (nope + rope), D]
  readonly qAProj?: Projection; // [q latent, D]
  readonly qALayernorm?: RMSNorm;
  readonly qBProj?: Projection; // [H (nope + rope), q latent]
  readonly kvAProjWithMqa: Projection; // [kv latent + rope, D]
  readonly kvALayernorm: RMSNorm;
  readonly kvBProj: Projection; // [H (nope + v), kv latent]
  readonly oProj: Projection; // [D, H v]
  private readonly config: DeepseekV3Config;

  constructor(config: DeepseekV3Config, key: RandomKey) {
    super();
    const {
      hiddenSize,
      numHeads,
      qLoraRank,
      kvLoraRank,
      qkRopeHeadDim,
      qkNopeHeadDim,
      vHeadDim,
      attentionBias,
      initializerRange,
    } = config;
    const keys = key.split(5);
    const linear = (i: number, inFeatures: number, outFeatures: number, bias: boolean) =>
      new Linear({ inFeatures, outFeatures, bias, init: normalInit(initializerRange) }, keys[i]);
    const queries = numHeads * (qkNopeHeadDim + qkRopeHeadDim);
    if (qLoraRank === null) this.qProj = linear(0, hiddenSize, queries, false);
    else {
      this.qAProj = linear(0, hiddenSize, qLoraRank, attentionBias);
      this.qALayernorm = new RMSNorm({ width: qLoraRank, epsilon: LATENT_EPSILON }, keys[0]);
      this.qBProj = linear(1, qLoraRank, queries, false);
    }
    this.kvAProjWithMqa = linear(2, hiddenSize, kvLoraRank + qkRopeHeadDim, attentionBias);
    this.kvALayernorm = new RMSNorm({ width: kvLoraRank, epsilon: LATENT_EPSILON }, keys[2]);
    this.kvBProj = linear(3, kvLoraRank, numHeads * (qkNopeHeadDim + vHeadDim), false);
    this.oProj = linear(4, numHeads * vHeadDim, hiddenSize, attentionBias);
    this.config = config;
  }

  /** x: [B, T, D] -> [B, T, D]; nope and rope: features of a head without and with positions, v: those of its values */
  forward(x: Tensor<"f32">, { angles: [angles], key, cache, mask, onScores }: DecoderBlockOptions): Tensor<"f32"> {
    const { numHeads, kvLoraRank, qkRopeHeadDim: rope, qkNopeHeadDim: nope, vHeadDim, attentionDropout } = this.config;
    const [batch, length] = x.shape;
    const width = nope + rope;
    const q = reshape(this.queries(x), [batch, length, numHeads, width]); // [B, T, H, nope + rope]
    // [B, T, kv latent], [B, T, rope]
    const [latent, keyPosition] = split(this.kvAProjWithMqa.forward(x), [kvLoraRank, rope], -1);
    const expanded = reshape(this.kvBProj.forward(this.kvALayernorm.forward(latent)), [
      batch,
      length,
      numHeads,
      nope + vHeadDim,
    ]);
    const [keys, values] = split(expanded, [nope, vHeadDim], -1); // [B, T, H, nope], [B, T, H, v]
    const [plainQ, turningQ] = split(q, [nope, rope], -1); // [B, T, H, nope], [B, T, H, rope]
    // one turned part of the keys serves all heads
    const turnedK = broadcastTo(this.turn(reshape(keyPosition, [batch, length, 1, rope]), angles), [
      batch,
      length,
      numHeads,
      rope,
    ]);
    const query = concat([plainQ, this.turn(turningQ, angles)], -1);
    const merged = (y: Tensor<"f32">, features: number) => reshape(y, [batch, length, numHeads * features]);
    // the kernel wants keys and values of one width: the narrower ones are filled up with zeros
    const common = Math.max(width, vHeadDim);
    const widen = (y: Tensor<"f32">, from: number) => merged(from < common ? pad(y, [[0, common - from]]) : y, common);
    const attended = multiHeadAttention(
      widen(query, width),
      widen(concat([keys, turnedK], -1), width),
      widen(values, vHeadDim),
      {
        numHeads,
        isCausal: true,
        scale: attentionScale(this.config),
        dropoutProbability: attentionDropout,
        key,
        cache,
        mask,
        onScores,
      },
    );
    const byHead = slice(reshape(attended, [batch, length, numHeads, common]), { axis: -1, end: vHeadDim });
    return this.oProj.forward(merged(byHead, vHeadDim));
  }

  /** x: [B, T, D] -> [B, T, H (nope + rope)] */
  private queries(x: Tensor<"f32">): Tensor<"f32"> {
    if (this.qProj) return this.qProj.forward(x);
    const [down, norm, up] = [this.qAProj as Projection, this.qALayernorm as RMSNorm, this.qBProj as Projection];
    return up.forward(norm.forward(down.forward(x)));
  }

  /** x: [B, T, heads, rope] -> the same, turned by the angles of its position */
  private turn(x: Tensor<"f32">, { cos, sin }: Angles): Tensor<"f32"> {
    return rotaryEmbedding(x, cos, sin, { interleaved: this.config.ropeInterleave });
  }
}

/** 1 / sqrt of a head's width; YaRN makes scores of longer contexts sharper. */
function attentionScale({ qkNopeHeadDim, qkRopeHeadDim, rope }: DeepseekV3Config): number {
  const plain = 1 / Math.sqrt(qkNopeHeadDim + qkRopeHeadDim);
  const { rope_type: type = "default", mscale_all_dim: all, factor } = rope;
  if (type === "default" || !all) return plain;
  const sharper = (factor ?? 1) <= 1 ? 1 : 0.1 * all * Math.log(factor as number) + 1;
  return plain * sharper * sharper;
}

/** A router whose choice, and not its weights, is moved by a bias that training keeps balanced. */
class BiasedRouter extends Router {
  readonly eScoreCorrectionBias: ModelBuffer; // [E]

  constructor(config: MixtureConfig, key: RandomKey) {
    super(config, key);
    this.eScoreCorrectionBias = new ModelBuffer([config.numExperts], constantInit(0)(key, [config.numExperts]));
  }
}

/**
 * The experts of each token: of the best groups, by the two best experts of each, the best by their sigmoids and the
 * bias; the weights are the sigmoids alone. arXiv:2412.19437, section 2.1.2.
 */
const groupedRouting =
  (
    { numExperts, numExpertsPerToken, numGroups, topkGroup, normTopkProb, routedScalingFactor }: DeepseekV3Config,
    { eScoreCorrectionBias }: BiasedRouter,
  ): Routing =>
  (logits) => {
    const scores = sigmoid(logits); // [N, E]
    const choice = add(stopGradient(scores), eScoreCorrectionBias.value);
    const size = numExperts / numGroups;
    const byGroup = reshape(choice, [-1, numGroups, size]);
    const groupScores = sum(topk(byGroup, Math.min(2, size)).values, { axes: -1 }); // [N, G]
    // [N, G], 1 for the best groups
    const kept = sum(oneHot(topk(groupScores, topkGroup).indices, numGroups), { axes: 1 });
    const isOut = less(repeatInterleave(kept, size, -1), 0.5); // [N, E]
    const { indices } = topk(maskedFill(choice, isOut, Number.NEGATIVE_INFINITY), numExpertsPerToken);
    const chosen = takeAlong(scores, indices, -1); // [N, k]
    const weights = normTopkProb ? div(chosen, add(sum(chosen, { axes: -1, keepDims: true }), 1e-20)) : chosen;
    return { indices, weights: mul(weights, routedScalingFactor) as Tensor<"f32"> };
  };

/** DeepSeek-V3 with its language-modelling head: i32 [B, T] -> logits [B, T, V]. DeepSeek-AI 2024, arXiv:2412.19437. */
export class DeepseekV3ForCausalLM extends DecoderForCausalLM<DeepseekV3Config> {
  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<DeepseekV3Config>, key: RandomKey) {
    super(deepseek, options, key);
  }
}

/** How DeepSeek-V3 is stored: model_type deepseek_v3. */
export const deepseek = decoderFamily<DeepseekV3Config>({
  modelType: "deepseek_v3",
  classes: { DeepseekV3ForCausalLM },
  fields: {
    ...decoderFields,
    vocabSize: size("vocab_size", 129280),
    hiddenSize: size("hidden_size", 7168),
    intermediateSize: size("intermediate_size", 18432),
    moeIntermediateSize: size("moe_intermediate_size", 2048),
    numLayers: size("num_hidden_layers", 61),
    numHeads: size("num_attention_heads", 128),
    numSharedExperts: count("n_shared_experts", 1),
    numExperts: size("n_routed_experts", 256),
    routedScalingFactor: number("routed_scaling_factor", 2.5),
    kvLoraRank: size("kv_lora_rank", 512),
    qLoraRank: { ...optional(size("q_lora_rank", 1536)), default: 1536 },
    qkRopeHeadDim: size("qk_rope_head_dim", 64),
    vHeadDim: size("v_head_dim", 128),
    qkNopeHeadDim: size("qk_nope_head_dim", 128),
    numGroups: size("n_group", 8),
    topkGroup: size("topk_group", 4),
    numExpertsPerToken: size("num_experts_per_tok", 8),
    firstKDenseReplace: count("first_k_dense_replace", 3),
    normTopkProb: flag("norm_topk_prob", true),
    maxPositionEmbeddings: size("max_position_embeddings", 4096),
    ropeInterleave: flag("rope_interleave", true),
    attentionBias: flag("attention_bias", false),
    bosTokenId: tokenId("bos_token_id", 0),
    eosTokenId: tokenIds("eos_token_id", 1),
  },
  rope: { theta: 10000 },
  supported: {
    scoring_func: ["sigmoid"],
    topk_method: ["noaux_tc"],
    moe_layer_freq: [1],
    output_router_logits: [false],
  },
  aliases: { num_local_experts: "n_routed_experts" },
  check: ({ numExperts, numGroups, topkGroup, numHeads, numKeyHeads }) => {
    requireField("DeepseekV3Config", numExperts % numGroups === 0, "numExperts to be a multiple of numGroups", [
      numExperts,
      numGroups,
    ]);
    requireField("DeepseekV3Config", topkGroup <= numGroups, "topkGroup of at most numGroups", [topkGroup, numGroups]);
    requireField("DeepseekV3Config", numHeads === numKeyHeads, "as many key heads as heads", [numKeyHeads, numHeads]);
  },
  // the layer beyond the last of the published model predicts further tokens in training
  ignored: /rotary_emb\.inv_freq|model\.layers\.61.*/,
  traits: (config) => {
    const {
      qkRopeHeadDim,
      qkNopeHeadDim,
      vHeadDim,
      maxPositionEmbeddings,
      rope,
      numHeads,
      firstKDenseReplace,
      moeIntermediateSize,
    } = config;
    return {
      rotary: [new RotaryEmbedding(qkRopeHeadDim, maxPositionEmbeddings, rope)],
      attentionOf: (_, key) => new LatentAttention(config, key),
      mlpOf: (layer, key) => {
        if (layer < firstKDenseReplace) return undefined;
        const [gateKey, sharedKey, expertKey] = key.split(3);
        const expert = { ...config, intermediateSize: moeIntermediateSize };
        const gate = new BiasedRouter(expert, gateKey);
        const shared =
          config.numSharedExperts > 0
            ? new GatedMlp({ ...config, intermediateSize: moeIntermediateSize * config.numSharedExperts }, sharedKey)
            : undefined;
        return new MixtureOfExperts(expert, { gate, routing: groupedRouting(config, gate), shared }, expertKey);
      },
      cache: { numKeyHeads: numHeads, headDim: Math.max(qkNopeHeadDim + qkRopeHeadDim, vHeadDim) },
    };
  },
});
