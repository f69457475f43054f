/** Losses of sentence embeddings. */
import {
  cosentLoss,
  infoNceLoss,
  mseLoss,
  tripletMarginLoss,
  tripletMarginWithDistanceLoss,
} from "../../losses/index.ts";
import { add, concat, l2Normalize, mul, slice, sub, sum, type Tensor } from "../../tensor/index.ts";

type Vectors = Tensor<"f32">;

/** What is compared, and how. */
export interface EmbeddingLossOptions {
  loss: EmbeddingLoss;
  /** Factor of similarities before a softmax. */
  scale: number;
  similarity: "cosine" | "dot";
  /** Of in-batch: positives look for their anchor too. */
  symmetric: boolean;
  /** Of triplets. */
  margin: number;
  distance: "euclidean" | "cosine";
  /** Widths at which vectors are compared too. */
  matryoshka: readonly number[];
  /** Of each width. */
  matryoshkaWeights: readonly number[];
}

/** Names of the losses of embeddings. */
export const embeddingLosses = ["in-batch", "triplet", "cosine", "cosent"] as const;
/** The name of a loss of embeddings. */
export type EmbeddingLoss = (typeof embeddingLosses)[number];

/** What is embedded of a batch. */
export interface EmbeddedBatch {
  /** [B, D] */
  anchors: Vectors;
  /** [B, D] */
  positives: Vectors;
  /** Of each row as many: [B, D] each. */
  negatives: readonly Vectors[];
  /** How alike anchors and positives are: [B]; of cosine and cosent */
  scores?: Tensor<"f32">;
}

/**
 * The loss of a batch; with widths of Matryoshka the weighted sum over them, of vectors that are cut and brought to
 * length 1. Kusupati et al. 2022, arXiv:2205.13147, equation 1.
 */
export function embeddingLoss(batch: EmbeddedBatch, options: EmbeddingLossOptions): Tensor<"f32"> {
  const { matryoshka, matryoshkaWeights } = options;
  if (matryoshka.length === 0) return plainLoss(batch, options);
  const losses = matryoshka.map((width, i) => {
    const cut = (x: Vectors) => l2Normalize(slice(x, { axis: 1, start: 0, end: width }));
    const { anchors, positives, negatives, scores } = batch;
    const short = { anchors: cut(anchors), positives: cut(positives), negatives: negatives.map(cut), scores };
    return mul(plainLoss(short, options), matryoshkaWeights[i]);
  });
  return losses.reduce((a, b) => add(a, b));
}

/** Cosines of rows: [B, D] both -> [B] */
const cosines = (a: Vectors, b: Vectors): Vectors => sum(mul(l2Normalize(a), l2Normalize(b)), { axes: 1 });

function plainLoss(batch: EmbeddedBatch, options: EmbeddingLossOptions): Tensor<"f32"> {
  const { anchors, positives, negatives } = batch;
  const scores = batch.scores as Tensor<"f32">;
  const { loss, scale, similarity, symmetric } = options;
  if (loss === "cosine") return mseLoss(cosines(anchors, positives), scores);
  if (loss === "cosent") return cosentLoss(cosines(anchors, positives), scores, { scale });
  if (loss === "triplet") return tripletLoss(batch, options);
  return infoNceLoss(anchors, positives, {
    ...(negatives.length > 0 && { negatives: concat(negatives, 0) }),
    temperature: 1 / scale,
    normalize: similarity === "cosine",
    symmetric,
  });
}

/** The mean over the negatives of a row. */
function tripletLoss({ anchors, positives, negatives }: EmbeddedBatch, { margin, distance }: EmbeddingLossOptions) {
  const losses = negatives.map((negative) =>
    distance === "euclidean"
      ? tripletMarginLoss(anchors, positives, negative, { margin })
      : tripletMarginWithDistanceLoss(anchors, positives, negative, {
          margin,
          distance: (a, b) => sub(1, cosines(a, b)),
        }),
  );
  return mul(
    losses.reduce((a, b) => add(a, b)),
    1 / negatives.length,
  );
}
