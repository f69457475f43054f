import { add, mul, type RandomKey, reshape, rotaryEmbedding, split, type Tensor, withScope } from "../tensor/index.ts";
import { type Activation, activations } from "./activations.ts";
import { multiHeadAttention } from "./attention.ts";
import { dropout } from "./dropout.ts";
import { headWidth, requireHeads } from "./heads.ts";
import { constantInit, type Initializer } from "./init.ts";
import type { LayerCache } from "./key-value-cache.ts";
import { LayerNorm, Linear, type Norm, RMSNorm } from "./layers.ts";
import { Module, Parameter } from "./module.ts";
import type { Projection } from "./projection.ts";
import { type ResidualAdapter, ResidualLayer, residualSum } from "./residual-layer.ts";

/** Sizes of a `TransformerLayer`, and what families do differently. */
export interface TransformerLayerConfig {
  /** Width of input and output, D. */
  hiddenSize: number;
  /** Heads of attention, H. */
  numHeads: number;
  /** Width of a head, Dh. @default hiddenSize / numHeads */
  headDim?: number;
  /** Width inside the feed-forward layer, F. */
  intermediateSize: number;
  /** What is applied inside the feed-forward layer. */
  activation: Activation;
  /**
   * Whether parts are normalised before they run, or their sum with the residual after. Xiong et al. 2020,
   * arXiv:2002.04745. @default "post"
   */
  normPlacement?: "pre" | "post";
  /** LayerNorm or RMSNorm. @default "layer" */
  norm?: "layer" | "rms";
  /** Added to the variance, or the mean square, in norms. */
  epsilon: number;
  /** Factor on attention scores. @default 1 / sqrt(headDim) */
  attentionScale?: number;
  /** Biases of all linear layers. @default true */
  bias?: boolean;
  /** Bias of keys. @default qkvBias */
  keyBias?: boolean;
  /** Biases of queries, keys and values. @default bias */
  qkvBias?: boolean;
  /** The feed-forward layer is down(activation(gate x) up x). Shazeer 2020, arXiv:2002.05202. @default false */
  isGated?: boolean;
  /** Gate and up are one weight, gate first: of isGated. @default false */
  isFusedGate?: boolean;
  /** Queries, keys and values are one weight, in this order. @default false */
  isFusedQkv?: boolean;
  /** A second attention, to the states of an encoder. @default false */
  hasCrossAttention?: boolean;
  /** Width of the encoder's states. @default hiddenSize */
  encoderHiddenSize?: number;
  /** Start of learned factors on both residual branches. Touvron et al. 2021, arXiv:2103.17239. @default none */
  layerScale?: number;
  /** Probability of dropping an attention weight, in runs that have a key. @default 0 */
  attentionDropout?: number;
  /** Probability of dropping a number that a part adds to the residual, in runs that have a key. @default 0 */
  hiddenDropout?: number;
  /** Probability of dropping a number inside the feed-forward layer, in runs that have a key. @default 0 */
  activationDropout?: number;
  /** First weights of linear layers. @default as in PyTorch */
  init?: Initializer;
  /** Of the layers that begin otherwise. @default init */
  inits?: Partial<Record<"output" | "up" | "down", Initializer>>;
  /** Checkpoint keys of the parts, where they differ from the fields below. */
  keys?: Readonly<Record<string, string>>;
}

/** Masks, positions and cache of one attention. */
export interface AttentionInputs {
  /** bool, broadcasts to [B, H, T, S]; false hides a key. */
  mask?: Tensor<"bool">;
  /** Added to the scores, broadcasts to [B, H, T, S]. */
  bias?: Tensor<"f32">;
  /** Each position sees only itself and those before. @default false */
  isCausal?: boolean;
  /** Generation: attend to earlier positions too, and add the new ones. Implies isCausal. */
  cache?: LayerCache;
  /** Added to what queries are made of, and not to values: positions in DETR. [B, T, D] @default none */
  queryPosition?: Tensor<"f32">;
  /** Added to what keys are made of, [B, S, D]. @default queryPosition, in self-attention */
  keyPosition?: Tensor<"f32">;
  /** Sees the attention weights, [B, H, T, S]. Not together with `cache`. */
  onWeights?: (weights: Tensor<"f32">) => void;
  /** Sees the scores before the softmax, [B, H, T, S]: see MultiHeadOptions. Not together with `cache`. */
  onScores?: (scores: Tensor<"f32">) => void;
  /** Cosines and sines by which queries and keys are turned, as `RotaryEmbedding` makes them: [T, 1, Dh / 2] each. */
  angles?: { cos: Tensor<"f32">; sin: Tensor<"f32"> };
}

/** What a `TransformerLayer` takes besides x: for attention to itself, to an encoder, and for dropout. */
export interface TransformerLayerInputs extends AttentionInputs {
  /** Random key of the dropouts. @default none: nothing is dropped */
  key?: RandomKey;
  /** For cross attention: states to attend to, [B, S, encoderHiddenSize]. */
  encoderStates?: Tensor<"f32">;
  /** bool, broadcasts to [B, H, T, S]; false hides one of these states. */
  encoderMask?: Tensor<"bool">;
  /** Added to what keys of cross attention are made of, and not to values: [B, S, D]. */
  encoderPosition?: Tensor<"f32">;
  /** Keys and values of the encoder's states, from `crossKeysAndValues`, so that they are made once for many steps. */
  encoderKeysAndValues?: KeysAndValues;
  /** Sees the weights of cross attention, [B, H, T, S]. */
  onCrossWeights?: (weights: Tensor<"f32">) => void;
}

/** Projected keys and values, [B, S, H Dh] each. */
export interface KeysAndValues {
  k: Tensor<"f32">;
  v: Tensor<"f32">;
}

/** Projections to queries, keys and values, attention, projection back. */
export class AttentionBlock extends Module {
  readonly qkv?: Projection; //   [3 H Dh, D], of isFusedQkv
  readonly query?: Projection; // [H Dh, D]
  readonly key?: Projection; //   [H Dh, E], E the width of what is attended to
  readonly value?: Projection; // [H Dh, E]
  readonly output: Projection; // [D, H Dh]
  private readonly config: TransformerLayerConfig;
  protected override readonly checkpointKeys: Readonly<Record<string, string>>;

  /**
   * @param keys checkpoint keys of the fields, where they differ
   * @param sourceSize width of what keys and values are made of, E
   * @throws OptionError when hiddenSize is no multiple of numHeads and there is no headDim
   */
  constructor(
    config: TransformerLayerConfig,
    keys: Readonly<Record<string, string>>,
    key: RandomKey,
    sourceSize = config.hiddenSize,
  ) {
    super();
    const {
      hiddenSize,
      numHeads,
      headDim = hiddenSize / numHeads,
      bias = true,
      qkvBias = bias,
      keyBias = qkvBias,
      init,
    } = config;
    if (config.headDim === undefined) requireHeads("attention", config);
    const [qKey, kKey, vKey, oKey] = key.split(4);
    const into = { inFeatures: hiddenSize, outFeatures: numHeads * headDim, init };
    const from = { ...into, inFeatures: sourceSize };
    this.checkpointKeys = keys;
    if (config.isFusedQkv) this.qkv = new Linear({ ...into, outFeatures: 3 * numHeads * headDim, bias: qkvBias }, qKey);
    else {
      this.query = new Linear({ ...into, bias: qkvBias }, qKey);
      this.key = new Linear({ ...from, bias: keyBias }, kKey);
      this.value = new Linear({ ...from, bias: qkvBias }, vKey);
    }
    this.output = new Linear(
      { inFeatures: numHeads * headDim, outFeatures: hiddenSize, bias, init: config.inits?.output ?? init },
      oKey,
    );
    this.config = config;
  }

  /** x: [B, T, D]; keys and values are made of `source` [B, S, E], by default x, or are `projected`. -> [B, T, D] */
  forward(
    x: Tensor<"f32">,
    {
      mask,
      bias,
      isCausal,
      cache,
      queryPosition,
      keyPosition,
      source = x,
      projected,
      angles,
      onWeights,
      onScores,
      key,
    }: AttentionInputs & { source?: Tensor<"f32">; projected?: KeysAndValues; key?: RandomKey },
  ): Tensor<"f32"> {
    const { numHeads, attentionDropout = 0, attentionScale: scale } = this.config;
    const { q, k, v } = this.qkv
      ? this.fused(x)
      : {
          q: this.queries(x, queryPosition),
          ...(projected ?? this.keysAndValues(source, keyPosition ?? (source === x ? queryPosition : undefined))),
        };
    const options = {
      numHeads,
      scale,
      mask,
      bias,
      isCausal,
      cache,
      key,
      onWeights,
      onScores,
      dropoutProbability: attentionDropout,
    };
    const turned = (states: Tensor<"f32">) => (angles ? turn(states, numHeads, angles) : states);
    return this.output.forward(multiHeadAttention(turned(q), turned(k), v, options));
  }

  /** x: [B, T, D] -> [B, T, H Dh] each */
  private fused(x: Tensor<"f32">): { q: Tensor<"f32">; k: Tensor<"f32">; v: Tensor<"f32"> } {
    const [q, k, v] = split((this.qkv as Projection).forward(x), 3);
    return { q, k, v };
  }

  private queries(x: Tensor<"f32">, position?: Tensor<"f32">): Tensor<"f32"> {
    return (this.query as Projection).forward(position ? add(x, position) : x);
  }

  /** source: [B, S, E], of which keys are made with `position` [B, S, E] added -> [B, S, H Dh] each */
  keysAndValues(source: Tensor<"f32">, position?: Tensor<"f32">): KeysAndValues {
    return {
      k: (this.key as Projection).forward(position ? add(source, position) : source),
      v: (this.value as Projection).forward(source),
    };
  }
}

/** Turns the features of each head by their angles: [B, T, H Dh] -> the same. */
function turn(
  x: Tensor<"f32">,
  numHeads: number,
  { cos, sin }: { cos: Tensor<"f32">; sin: Tensor<"f32"> },
): Tensor<"f32"> {
  const [batch, length] = x.shape;
  return reshape(rotaryEmbedding(reshape(x, [batch, length, numHeads, headWidth(x, numHeads)]), cos, sin), x.shape);
}

/**
 * A Transformer layer as encoders, and decoders with cross attention, have it: attention, perhaps cross attention, a
 * feed-forward layer, each with a residual sum and a norm. Vaswani et al. 2017, arXiv:1706.03762. Families differ in
 * the names of the parts (`keys`), in where the norms are, and in activation and biases.
 */
export class TransformerLayer extends ResidualLayer {
  readonly attention: AttentionBlock;
  readonly attentionNorm: Norm;
  readonly crossAttention?: AttentionBlock;
  readonly crossNorm?: Norm;
  readonly gate?: Projection; // [F, D]
  readonly up: Projection; //    [F, D]
  readonly down: Projection; //  [D, F]
  readonly feedForwardNorm: Norm;
  readonly attentionScale?: Parameter; //   [D]
  readonly feedForwardScale?: Parameter; // [D]
  private readonly config: TransformerLayerConfig;
  protected override readonly checkpointKeys: Readonly<Record<string, string>>;

  constructor(config: TransformerLayerConfig, key: RandomKey) {
    super();
    const { hiddenSize, intermediateSize, bias = true, init, epsilon, norm = "layer", keys = {}, layerScale } = config;
    const [attentionKey, crossKey, gateKey, upKey, downKey, normKey] = key.split(6);
    const newNorm = () =>
      norm === "rms"
        ? new RMSNorm({ width: hiddenSize, epsilon }, normKey)
        : new LayerNorm({ width: hiddenSize, epsilon }, normKey);
    const partKeys = (part: string) =>
      Object.fromEntries(
        ["qkv", "query", "key", "value", "output"].flatMap((name) =>
          keys[`${part}.${name}`] === undefined ? [] : [[name, keys[`${part}.${name}`]]],
        ),
      );
    this.config = config;
    this.checkpointKeys = keys;
    this.attention = new AttentionBlock(config, partKeys("attention"), attentionKey);
    this.attentionNorm = newNorm();
    if (config.hasCrossAttention) {
      this.crossAttention = new AttentionBlock(
        { ...config, isFusedQkv: false },
        partKeys("crossAttention"),
        crossKey,
        config.encoderHiddenSize,
      );
      this.crossNorm = newNorm();
    }
    const isSplit = config.isGated && !config.isFusedGate;
    if (isSplit) this.gate = new Linear({ inFeatures: hiddenSize, outFeatures: intermediateSize, bias, init }, gateKey);
    this.up = new Linear(
      {
        inFeatures: hiddenSize,
        outFeatures: config.isFusedGate ? 2 * intermediateSize : intermediateSize,
        bias,
        init: config.inits?.up ?? init,
      },
      upKey,
    );
    this.down = new Linear(
      { inFeatures: intermediateSize, outFeatures: hiddenSize, bias, init: config.inits?.down ?? init },
      downKey,
    );
    this.feedForwardNorm = newNorm();
    if (layerScale !== undefined) {
      this.attentionScale = new Parameter([hiddenSize], constantInit(layerScale)(normKey, [hiddenSize]));
      this.feedForwardScale = new Parameter([hiddenSize], constantInit(layerScale)(normKey, [hiddenSize]));
    }
  }

  /** x: [B, T, D] -> [B, T, D]. There is cross attention when the layer has it and gets states, or keys and values. */
  forward(x: Tensor<"f32">, inputs: TransformerLayerInputs = {}): Tensor<"f32"> {
    const { encoderStates, encoderMask, encoderPosition, encoderKeysAndValues, onCrossWeights, key, ...toItself } =
      inputs;
    const { crossAttention, crossNorm } = this;
    const attention = { norm: this.attentionNorm, scale: this.attentionScale, adapter: this.attentionAdapters };
    let y = this.residual(x, { ...attention, key: key?.fold(0) }, (states) =>
      withScope("attention", () => this.attention.forward(states, { ...toItself, key: key?.fold(1) })),
    );
    if (crossAttention && crossNorm && (encoderStates || encoderKeysAndValues)) {
      const across = {
        source: encoderStates,
        projected: encoderKeysAndValues,
        mask: encoderMask,
        queryPosition: toItself.queryPosition,
        keyPosition: encoderPosition,
        onWeights: onCrossWeights,
        key: key?.fold(2),
      };
      y = this.residual(y, { norm: crossNorm, key: key?.fold(3) }, (states) =>
        withScope("cross_attention", () => crossAttention.forward(states, across)),
      );
    }
    const feedForward = { norm: this.feedForwardNorm, scale: this.feedForwardScale, adapter: this.outputAdapters };
    return this.residual(y, { ...feedForward, key: key?.fold(4) }, (states) =>
      withScope("feed_forward", () => this.feedForward(states, key?.fold(5))),
    );
  }

  /** Keys and values for cross attention: states [B, S, D] -> [B, S, H Dh] each. */
  crossKeysAndValues(states: Tensor<"f32">): KeysAndValues {
    return (this.crossAttention as AttentionBlock).keysAndValues(states);
  }

  /** x + run(norm(x)), or norm(x + run(x)). */
  private residual(
    x: Tensor<"f32">,
    { norm, key, scale, adapter }: { norm: Norm; key?: RandomKey; scale?: Parameter; adapter?: ResidualAdapter },
    run: (x: Tensor<"f32">) => Tensor<"f32">,
  ): Tensor<"f32"> {
    const { normPlacement = "post", hiddenDropout = 0 } = this.config;
    const isBefore = normPlacement === "pre";
    const branch = run(isBefore ? norm.forward(x) : x);
    const dropped = dropout(scale ? mul(branch, scale.value) : branch, hiddenDropout, key);
    const sum = residualSum(x, dropped, adapter, isBefore ? undefined : norm);
    return isBefore ? sum : norm.forward(sum);
  }

  /** x: [B, T, D] -> [B, T, D] */
  private feedForward(x: Tensor<"f32">, key: RandomKey | undefined): Tensor<"f32"> {
    const { activation, activationDropout = 0 } = this.config;
    const act = activations[activation];
    const [first, second] = this.config.isFusedGate
      ? split(this.up.forward(x), 2)
      : [this.gate?.forward(x), this.up.forward(x)];
    const hidden = first ? mul(act(first), second) : act(second); // [B, T, F]
    return this.down.forward(dropout(hidden, activationDropout, key));
  }
}
