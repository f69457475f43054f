/** What is measured of embeddings on the whole validation data. */
import { metricsOf, pearsonCorrelation, spearmanCorrelation } from "../../metrics/index.ts";
import type { Tensor } from "../../tensor/index.ts";
import type { HostTensor, Scorer } from "../../train/index.ts";

/** What a scorer sees of a batch. */
export interface ScoredBatch {
  /** [B, D] */
  anchors: Tensor<"f32">;
  /** [B, D] */
  positives: Tensor<"f32">;
  /** The numbers of the anchor's text and of the positive's: i32 [B, 2] */
  numbers: Tensor<"i32">;
  /** How alike they are. [B]; absent where they are not scored */
  scores?: Tensor<"f32">;
}

/** Places of a ranking that are looked at. */
const PLACES = 10;

/**
 * Scores of a search by cosines: each anchor looks for its positives among the positives of all anchors. Texts that
 * come several times count once. ndcgAt10, mrr and map of the first 10 places, recallAt1 and recallAt10.
 */
export function retrievalScorer<B>(outputsOf: (batch: B) => ScoredBatch): Scorer<B> {
  let search = new Search();
  return {
    outputs: (batch) => ({ ...outputsOf(batch) }),
    add: (outputs) => search.add(outputs),
    result() {
      const { result } = search;
      search = new Search();
      return result;
    },
  };
}

/** Spearman's and Pearson's correlation of the cosines of pairs with their scores. A pair counts once. */
export function similarityScorer<B>(outputsOf: (batch: B) => ScoredBatch): Scorer<B> {
  let pairs = new Map<string, { cosine: number; score: number }>();
  return {
    outputs: (batch) => ({ ...outputsOf(batch) }),
    add({ anchors, positives, numbers, scores }) {
      const [a, b] = [unitRows(anchors), unitRows(positives)];
      for (const [i, row] of a.entries())
        pairs.set(`${numbers.data[2 * i]} ${numbers.data[2 * i + 1]}`, {
          cosine: dot(row, b[i]),
          score: Number(scores.data[i]),
        });
    },
    result() {
      const [cosines, scores] = [[...pairs.values()].map((x) => x.cosine), [...pairs.values()].map((x) => x.score)];
      pairs = new Map();
      return { spearman: spearmanCorrelation(cosines, scores), pearson: pearsonCorrelation(cosines, scores) };
    },
  };
}

class Search {
  private readonly queries = new Map<number, Float32Array>();
  private readonly documents = new Map<number, Float32Array>();
  private readonly relevant = new Map<number, Set<number>>();

  add({ anchors, positives, numbers }: Readonly<Record<string, HostTensor>>): void {
    const [queries, documents] = [unitRows(anchors), unitRows(positives)];
    for (const [i, query] of queries.entries()) {
      const [from, to] = [Number(numbers.data[2 * i]), Number(numbers.data[2 * i + 1])];
      this.queries.set(from, query);
      this.documents.set(to, documents[i]);
      const known = this.relevant.get(from) ?? new Set();
      this.relevant.set(from, known.add(to));
    }
  }

  get result(): Record<string, number> {
    const metric = metricsOf("retrieval");
    for (const [number, query] of this.queries)
      metric.add([this.ranking(query)], [[...(this.relevant.get(number) as Set<number>)]]);
    return metric.result();
  }

  /** The nearest documents, the best first; of equal ones the lower number. */
  private ranking(query: Float32Array): number[] {
    const best: { document: number; score: number }[] = [];
    for (const [document, vector] of this.documents) {
      const score = dot(query, vector);
      if (best.length === PLACES && score <= best[PLACES - 1].score) continue;
      const place = best.findIndex((other) => other.score < score);
      best.splice(place === -1 ? best.length : place, 0, { document, score });
      if (best.length > PLACES) best.pop();
    }
    return best.map(({ document }) => document);
  }
}

function unitRows({ shape, data }: HostTensor): Float32Array[] {
  const width = shape[1];
  return Array.from({ length: shape[0] }, (_, row) => {
    const vector = Float32Array.from({ length: width }, (_, d) => Number(data[row * width + d]));
    const length = Math.max(Math.sqrt(dot(vector, vector)), 1e-12);
    return vector.map((value) => value / length);
  });
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
