/** DeBERTa's attention: scores also compare content with relative positions. */
import {
  type Activation,
  dropout,
  Linear,
  Module,
  mergeHeads,
  normalInit,
  type Projection,
  splitHeads,
} from "../../nn/index.ts";
import {
  add,
  arange,
  attentionScores,
  broadcastTo,
  clip,
  gather,
  matmul,
  type RandomKey,
  reshape,
  scaledDotProductAttention,
  sub,
  type Tensor,
  takeAlong,
  tensor,
  transpose,
  unsqueeze,
} from "../../tensor/index.ts";
import type { RunOptions } from "../model.ts";
import type { EncoderConfig } from "./encoder.ts";

/**
 * The sizes of DeBERTa v2 and v3, and what their attention compares. Mirrors transformers' DebertaV2Config, whose
 * defaults it has: the sizes of v2 xlarge, without relative positions. arXiv:2006.03654, arXiv:2111.09543.
 */
export interface DebertaConfig extends EncoderConfig {
  /** @default hiddenSize */
  embeddingSize: number | null;
  /** Kinds of segments. @default 0, none */
  typeVocabSize: number;
  /** Whether scores look at relative positions at all. */
  relativeAttention: boolean;
  /** What is compared: "c2p" content with position, "p2c" position with content. */
  positionTypes: readonly string[];
  /** Distances from half of this on share buckets that grow logarithmically. @default no buckets */
  positionBuckets: number;
  /** Largest distance. @default maxPositionEmbeddings */
  maxRelativePositions: number;
  /** Positions go through the projections of content. */
  sharesAttentionKey: boolean;
  /** A layer norm on the table of relative positions. */
  normalizesPositions: boolean;
  /** Whether learned absolute positions are added to the words. */
  positionBiasedInput: boolean;
  /** Width of a convolution beside the first layer. @default none */
  convolutionSize: number;
  convolutionActivation: Activation;
  convolutionGroups: number;
  /** Of the dense layer that the classifier of texts reads. */
  poolerActivation: Activation;
  poolerDropout: number;
  /** The masked-LM head of v2 and not that of v3. */
  isLegacy: boolean;
}

const furthest = ({ maxRelativePositions, maxPositionEmbeddings }: DebertaConfig) =>
  maxRelativePositions < 1 ? maxPositionEmbeddings : maxRelativePositions;
/** Half the rows of the position table: as many buckets, or distances, to each side. */
export const spanOf = (config: DebertaConfig) =>
  config.positionBuckets > 0 ? config.positionBuckets : furthest(config);

/** The bucket of a distance: itself when near, then by its logarithm. */
function bucketOf(distance: number, config: DebertaConfig): number {
  const { positionBuckets } = config;
  const middle = Math.floor(positionBuckets / 2);
  const size = Math.abs(distance);
  if (positionBuckets <= 0 || size <= middle) return distance;
  const steps = Math.log(size / middle) / Math.log((furthest(config) - 1) / middle);
  return Math.sign(distance) * (Math.ceil(steps * (middle - 1)) + middle);
}

/** For query i and key j the row of the position table, i32 [T, T]: bucket(i - j) + span. */
export function positionRows(length: Tensor["shape"][number], config: DebertaConfig): Tensor<"i32"> {
  const span = spanOf(config);
  const far = Math.max(span, furthest(config)) + 1; // beyond it all distances are alike
  const rows = Int32Array.from({ length: 2 * far + 1 }, (_, n) =>
    Math.min(Math.max(bucketOf(n - far, config) + span, 0), 2 * span - 1),
  );
  const distances = sub(reshape(arange(length), [length, 1]), arange(length)); // [T, T]
  return gather(tensor(rows), add(clip(distances, { min: -far, max: far }), far));
}

/** What a layer takes besides its states: which pairs of tokens see each other, and relative positions. */
export interface LayerInputs extends RunOptions {
  /** bool [B, 1, T, T] */
  mask?: Tensor<"bool">;
  /** Position table, [2 span, D], and its row for each pair. */
  positions?: { table: Tensor<"f32">; rows: Tensor<"i32"> };
  /** Sees the attention scores, [B, H, T, T]. */
  onScores?: (scores: Tensor<"f32">) => void;
}

/**
 * Attention whose scores are sums of content with content, content with position and position with content.
 * arXiv:2006.03654, section 3.1.
 */
export class SelfAttention extends Module {
  readonly queryProj: Projection; //     [D, D]
  readonly keyProj: Projection; //       [D, D]
  readonly valueProj: Projection; //     [D, D]
  readonly posKeyProj?: Projection; //   [D, D]
  readonly posQueryProj?: Projection; // [D, D]
  private readonly config: DebertaConfig;

  constructor(config: DebertaConfig, key: RandomKey) {
    super();
    const { hiddenSize, initializerRange, relativeAttention, sharesAttentionKey, positionTypes } = config;
    const keys = key.split(5);
    const dense = (i: number) =>
      new Linear({ inFeatures: hiddenSize, outFeatures: hiddenSize, init: normalInit(initializerRange) }, keys[i]);
    this.queryProj = dense(0);
    this.keyProj = dense(1);
    this.valueProj = dense(2);
    if (relativeAttention && !sharesAttentionKey) {
      if (positionTypes.includes("c2p")) this.posKeyProj = dense(3);
      if (positionTypes.includes("p2c")) this.posQueryProj = dense(4);
    }
    this.config = config;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, { mask, positions, key, onScores }: LayerInputs): Tensor<"f32"> {
    const { numHeads, hiddenSize, positionTypes, attentionDropout } = this.config;
    const kinds = ["c2p", "p2c"].filter((kind) => positionTypes.includes(kind)).length;
    const scale = 1 / Math.sqrt((hiddenSize / numHeads) * (1 + kinds));
    const [q, k, v] = [this.queryProj, this.keyProj, this.valueProj].map((layer) =>
      splitHeads(layer.forward(x), numHeads),
    ); // [B, H, T, Dh]
    const bias = positions && this.positionScores(q, k, positions, scale);
    onScores?.(attentionScores(q, k, { scale, mask, bias }));
    const drop = (p: Tensor<"f32">) => dropout(p, attentionDropout, key);
    const onProbabilities = key && attentionDropout > 0 ? (drop as never) : undefined;
    return mergeHeads(scaledDotProductAttention(q, k, v, { scale, mask, bias, onProbabilities }));
  }

  /** How content and positions fit each other, [B, H, T, T]. */
  private positionScores(
    q: Tensor<"f32">,
    k: Tensor<"f32">,
    { table, rows }: { table: Tensor<"f32">; rows: Tensor<"i32"> },
    scale: number,
  ): Tensor<"f32"> | undefined {
    const { numHeads, positionTypes } = this.config;
    const [batch, heads, length] = q.shape;
    const indices = broadcastTo(rows, [batch, heads, length, length]);
    const of = (layer: Projection) => splitHeads(unsqueeze(layer.forward(table), 0), numHeads); // [1, H, 2 span, Dh]
    const scores: Tensor<"f32">[] = [];
    if (positionTypes.includes("c2p")) {
      // [B, H, T, 2 span]
      const toPositions = matmul(q, of(this.posKeyProj ?? this.keyProj), { transposeB: true, scale });
      scores.push(takeAlong(toPositions, indices, -1));
    }
    if (positionTypes.includes("p2c")) {
      // for key j and query i the same row, since buckets of i - j and j - i are opposite
      const toPositions = matmul(k, of(this.posQueryProj ?? this.queryProj), { transposeB: true, scale });
      scores.push(transpose(takeAlong(toPositions, transpose(indices, [0, 1, 3, 2]), -1), [0, 1, 3, 2]));
    }
    return scores.length > 0 ? scores.reduce((a, b) => add(a, b)) : undefined;
  }
}
