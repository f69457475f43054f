/**
 * The decoder that Llama's relatives share: rotary positions, RMS norms, grouped key heads, gated feed-forward layers.
 * A family says by its `DecoderTraits` where it differs; the model files beside this one are such lists.
 */
import {
  type Activation,
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
  residualSum,
} from "../../nn/index.ts";
import {
  mul,
  type RandomKey,
  reshape,
  rotaryEmbedding,
  split,
  type Tensor,
  tanh,
  withScope,
} from "../../tensor/index.ts";
import type { Family } from "../model.ts";
import type { ForwardOptions } from "./causal-decoder.ts";
import { CausalLM, runBlocks } from "./causal-lm.ts";
import { type DecoderFamily, decoderConfig, type RopeDecoderConfig, traitsOf } from "./family.ts";
import type {
  Angles,
  DecoderAttention,
  DecoderBlockOptions,
  DecoderConfig,
  DecoderMlp,
  DecoderTraits,
} from "./traits.ts";

const LLAMA_NORMS = { beforeAttention: "input_layernorm", beforeMlp: "post_attention_layernorm" };

/**
 * Grouped attention with rotary positions, and with what a family's traits add: windows, norms of queries and keys,
 * bounded scores.
 */
class Attention extends Module implements DecoderAttention {
  override readonly sharedInputs = [["qProj", "kProj", "vProj"]];
  readonly qkvProj?: Projection; // [(H + 2 K) Dh, D]
  readonly qProj?: Projection; // [H Dh, D]
  readonly kProj?: Projection; // [K Dh, D]
  readonly vProj?: Projection; // [K Dh, D]
  readonly oProj: Projection; // [D, H Dh]
  readonly qNorm?: RMSNorm; // [Dh], or [H Dh]
  readonly kNorm?: RMSNorm; // [Dh], or [K Dh]
  private readonly config: DecoderConfig;
  private readonly traits: DecoderTraits;
  private readonly layer: number;

  constructor(config: DecoderConfig, traits: DecoderTraits, layer: number, key: RandomKey) {
    super();
    const { hiddenSize, numHeads, numKeyHeads, headDim, initializerRange, rmsNormEpsilon: epsilon } = config;
    const { bias = {}, queryKeyNorm, normOffset: offset, isFused } = traits;
    const [qKey, kKey, vKey, oKey, normKey] = key.split(5);
    const init = normalInit(initializerRange);
    const into = { inFeatures: hiddenSize, bias: bias.qkv ?? false, init };
    if (isFused?.qkv) {
      this.qkvProj = new Linear({ ...into, outFeatures: (numHeads + 2 * numKeyHeads) * headDim }, qKey);
    } else {
      this.qProj = new Linear({ ...into, outFeatures: numHeads * headDim }, qKey);
      this.kProj = new Linear({ ...into, outFeatures: numKeyHeads * headDim }, kKey);
      this.vProj = new Linear({ ...into, outFeatures: numKeyHeads * headDim }, vKey);
    }
    this.oProj = new Linear(
      { inFeatures: numHeads * headDim, outFeatures: hiddenSize, bias: bias.output ?? false, init },
      oKey,
    );
    if (queryKeyNorm) {
      const isByHead = queryKeyNorm === "head";
      this.qNorm = new RMSNorm({ width: isByHead ? headDim : numHeads * headDim, epsilon, offset }, normKey);
      this.kNorm = new RMSNorm({ width: isByHead ? headDim : numKeyHeads * headDim, epsilon, offset }, normKey);
    }
    this.config = config;
    this.traits = traits;
    this.layer = layer;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, { angles, key, cache, mask, onScores }: DecoderBlockOptions): Tensor<"f32"> {
    const { numHeads, numKeyHeads, attentionDropout } = this.config;
    const { rotaryOf = () => 0, windowOf, attentionScale: scale, attentionSoftCap } = this.traits;
    const rotary = rotaryOf(this.layer);
    const layerAngles = rotary === null ? undefined : angles[rotary];
    const [q, k, v] = this.project(x); // [B, T, H Dh], [B, T, K Dh] twice
    const attended = multiHeadAttention(
      this.prepare(q, numHeads, this.qNorm, layerAngles),
      this.prepare(k, numKeyHeads, this.kNorm, layerAngles),
      v,
      {
        numHeads,
        numKeyHeads,
        isCausal: true,
        scale,
        softCap: attentionSoftCap ?? undefined,
        slidingWindow: windowOf?.(this.layer),
        dropoutProbability: attentionDropout,
        key,
        cache,
        mask,
        onScores,
      },
    );
    return this.oProj.forward(attended);
  }

  /** Queries, keys and values: [B, T, H Dh] and twice [B, T, K Dh]. */
  private project(x: Tensor<"f32">): Tensor<"f32">[] {
    const { numHeads, numKeyHeads, headDim } = this.config;
    if (this.qkvProj)
      return split(this.qkvProj.forward(x), [numHeads * headDim, numKeyHeads * headDim, numKeyHeads * headDim], -1);
    return [this.qProj, this.kProj, this.vProj].map((layer) => (layer as Projection).forward(x));
  }

  /** Norm and rotation of queries or keys: [B, T, heads Dh] -> the same. */
  private prepare(
    x: Tensor<"f32">,
    heads: number,
    norm: RMSNorm | undefined,
    angles: Angles | undefined,
  ): Tensor<"f32"> {
    const { headDim } = this.config;
    const { queryKeyNorm, isInterleaved: interleaved } = this.traits;
    const [batch, length] = x.shape;
    const normal = norm && queryKeyNorm === "all" ? norm.forward(x) : x;
    const byHead = reshape(normal, [batch, length, heads, headDim]);
    const turned = norm && queryKeyNorm === "head" ? norm.forward(byHead) : byHead;
    return reshape(angles ? rotaryEmbedding(turned, angles.cos, angles.sin, { interleaved }) : turned, [
      batch,
      length,
      heads * headDim,
    ]);
  }
}

/**
 * The sizes of a gated feed-forward layer; without biases, and with gate and up apart, where it says nothing of them.
 */
export interface GatedMlpConfig {
  hiddenSize: number;
  intermediateSize: number;
  activation: Activation;
  initializerRange: number;
  bias?: boolean;
  /** Gate and up are one weight. @default false */
  isFused?: boolean;
  /** Checkpoint names of the parts. @default gate_proj, up_proj, down_proj */
  keys?: Readonly<Record<string, string>>;
}

/** down(activation(gate x) * up x). Shazeer 2020, arXiv:2002.05202. */
export class GatedMlp extends Module implements DecoderMlp {
  override readonly sharedInputs = [["gateProj", "upProj"]];
  readonly gateUpProj?: Projection; // [2 F, D]
  readonly gateProj?: Projection; // [F, D]
  readonly upProj?: Projection; //   [F, D]
  readonly downProj: Projection; // [D, F]
  private readonly activation: Activation;
  protected override readonly checkpointKeys?: Readonly<Record<string, string>>;

  constructor(
    { hiddenSize, intermediateSize, activation, initializerRange, bias = false, isFused, keys }: GatedMlpConfig,
    key: RandomKey,
  ) {
    super();
    const [gateKey, upKey, downKey] = key.split(3);
    const into = { inFeatures: hiddenSize, outFeatures: intermediateSize, bias, init: normalInit(initializerRange) };
    this.checkpointKeys = keys;
    if (isFused) this.gateUpProj = new Linear({ ...into, outFeatures: 2 * intermediateSize }, gateKey);
    else {
      this.gateProj = new Linear(into, gateKey);
      this.upProj = new Linear(into, upKey);
    }
    this.downProj = new Linear({ ...into, inFeatures: intermediateSize, outFeatures: hiddenSize }, downKey);
    this.activation = activation;
  }

  /** x: [..., D] -> [..., D] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    const [gate, up] = this.gateUpProj
      ? split(this.gateUpProj.forward(x), 2)
      : [this.gateProj, this.upProj].map((layer) => (layer as Projection).forward(x)); // [..., F] each
    return this.downProj.forward(mul(activations[this.activation](gate), up)); // [..., F] -> [..., D]
  }
}

/**
 * One layer: attention, then the feed-forward part, each added to its input, with norms before and behind as the family
 * has them.
 */
class Block extends ResidualLayer {
  readonly selfAttn: DecoderAttention;
  readonly mlp: DecoderMlp;
  readonly beforeAttention?: RMSNorm;
  readonly afterAttention?: RMSNorm;
  readonly beforeMlp?: RMSNorm;
  readonly afterMlp?: RMSNorm;
  protected override readonly checkpointKeys: Readonly<Record<string, string>>;

  constructor(config: DecoderConfig, traits: DecoderTraits, layer: number, key: RandomKey) {
    super();
    const { hiddenSize: width, rmsNormEpsilon: epsilon } = config;
    const {
      norms = LLAMA_NORMS as NonNullable<DecoderTraits["norms"]>,
      normOffset: offset,
      bias,
      isFused,
      attentionOf,
      mlpOf,
    } = traits;
    const [attentionKey, mlpKey, normKey] = key.split(3);
    const newNorm = (name: string | undefined) => name && new RMSNorm({ width, epsilon, offset }, normKey);
    const special = mlpOf?.(layer, mlpKey);
    this.checkpointKeys = { ...norms, mlp: special?.name ?? "mlp" } as Record<string, string>;
    this.selfAttn = attentionOf?.(layer, attentionKey) ?? new Attention(config, traits, layer, attentionKey);
    this.mlp = special ?? new GatedMlp({ ...config, bias: bias?.mlp, isFused: isFused?.gateUp }, mlpKey);
    this.beforeAttention = newNorm(norms.beforeAttention) || undefined;
    this.afterAttention = newNorm(norms.afterAttention) || undefined;
    this.beforeMlp = newNorm(norms.beforeMlp) || undefined;
    this.afterMlp = newNorm(norms.afterMlp) || undefined;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, options: DecoderBlockOptions): Tensor<"f32"> {
    const through = (norm: RMSNorm | undefined, y: Tensor<"f32">) => norm?.forward(y) ?? y;
    const attended = withScope("self_attn", () => this.selfAttn.forward(through(this.beforeAttention, x), options));
    const middle = residualSum(x, through(this.afterAttention, attended), this.attentionAdapters);
    const mlpOutput = withScope("mlp", () =>
      this.mlp.forward(through(this.beforeMlp, middle), { isGenerating: options.cache !== undefined }),
    );
    return residualSum(middle, through(this.afterMlp, mlpOutput), this.outputAdapters);
  }
}

class Decoder extends Module {
  readonly embedTokens: EmbeddingTable; // [V, D]
  readonly layers: Block[];
  readonly norm: RMSNorm; // [D]

  constructor(config: DecoderConfig, traits: DecoderTraits, key: RandomKey) {
    super();
    const {
      vocabSize,
      hiddenSize,
      numLayers,
      initializerRange,
      padTokenId: paddingIndex,
      rmsNormEpsilon: epsilon,
    } = config;
    const [tokenKey, layerKey, normKey] = key.split(3);
    this.embedTokens = new Embedding(
      { numEmbeddings: vocabSize, embeddingDim: hiddenSize, paddingIndex, init: normalInit(initializerRange) },
      tokenKey,
    );
    this.layers = layerKey.split(numLayers).map((part, layer) => new Block(config, traits, layer, part));
    this.norm = new RMSNorm({ width: hiddenSize, epsilon, offset: traits.normOffset }, normKey);
  }
}

/** Llama's decoder as a family's traits change it, with its language-modelling head: i32 [B, T] -> logits [B, T, V]. */
export abstract class DecoderForCausalLM<C extends RopeDecoderConfig = RopeDecoderConfig> extends CausalLM {
  readonly model: Decoder;
  readonly lmHead?: Projection; // [V, D], when not tied to the token embedding
  readonly config: C;
  readonly family: Family;
  private readonly traits: DecoderTraits;

  /** @throws OptionError when the config contradicts itself */
  constructor(family: DecoderFamily<C>, options: Partial<C>, key: RandomKey) {
    super();
    const config = decoderConfig(family.description, options);
    const traits = traitsOf(family.description, config);
    const { hiddenSize, vocabSize, tieWordEmbeddings, initializerRange } = config;
    const [modelKey, headKey] = key.split(2);
    this.config = config;
    this.family = family;
    this.traits = traits;
    this.model = new Decoder(config, traits, modelKey);
    if (!tieWordEmbeddings)
      this.lmHead = new Linear(
        { inFeatures: hiddenSize, outFeatures: vocabSize, bias: false, init: normalInit(initializerRange) },
        headKey,
      );
  }

  get cacheShape() {
    const { numKeyHeads, headDim } = this.traits.cache ?? this.config;
    return { numLayers: this.config.numLayers, numKeyHeads, headDim };
  }

  override get cacheLimit() {
    return this.traits.rotary.find(({ switchLength }) => switchLength !== undefined)?.switchLength;
  }

  embed(inputIds: Tensor<"i32">): Tensor<"f32"> {
    const { embeddingScale = 1 } = this.traits;
    const embedded = withScope("embed_tokens", () => this.model.embedTokens.forward(inputIds)); // [B, T, D]
    return embeddingScale === 1 ? embedded : mul(embedded, embeddingScale);
  }

  hidden(inputIds: Tensor<"i32">, options: ForwardOptions = {}): Tensor<"f32"> {
    const { layers, norm } = this.model;
    const { rotary } = this.traits;
    const positions = this.positionsOf(inputIds, options);
    const angles = withScope("rotary_emb", () =>
      rotary.map((embedding) => embedding.angles(positions, { isByRow: options.cache !== undefined })),
    );
    const states = runBlocks("layers", layers, options.embeddings ?? this.embed(inputIds), options, { angles });
    return withScope("norm", () => norm.forward(states)); // [B, T, D]
  }

  override get outputLayer() {
    return { layer: this.lmHead ?? this.model.embedTokens, softCap: this.traits.logitSoftCap ?? undefined };
  }

  logits(hidden: Tensor<"f32">): Tensor<"f32"> {
    const { logitSoftCap: cap } = this.traits;
    return withScope("lm_head", () => {
      const logits = this.lmHead ? this.lmHead.forward(hidden) : this.model.embedTokens.project(hidden);
      return cap ? mul(tanh(mul(logits, 1 / cap)), cap) : logits; // [..., V]
    });
  }
}
