import { checkOptions, DataError, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { type Label, type NumberRows, type Numbers, requirePairs, requireRows } from "./checks.ts";

/** How `ndcg` counts. */
export interface NdcgOptions {
  /** Only so many places from the top. @default all */
  k?: number;
  /** Documents of equal scores have the mean of the gains that their orders give; else the later comes first. @default
   * true */
  averageTies?: boolean;
}

/**
 * Normalised discounted cumulative gain of rankings by scores, the mean over queries; scikit-learn's `ndcg_score`.
 * Jarvelin and Kekalainen 2002, doi:10.1145/582415.582418.
 * @param scores [queries][documents]
 * @param relevance [queries][documents], from 0; a query without relevant documents gives 0
 * @throws DataError where sizes differ, or a relevance is below 0
 */
export function ndcg(scores: NumberRows, relevance: NumberRows, options: NdcgOptions = {}): number {
  checkOptions("ndcg", options, ["k", "averageTies"]);
  const { k = Number.POSITIVE_INFINITY, averageTies = true } = options;
  if (k !== Number.POSITIVE_INFINITY) requireNumbers("ndcg", { k }, { k: numberRules.positiveInteger });
  const count = requirePairs("ndcg", scores, relevance);
  const width = requireRows("ndcg", "scores", scores);
  if (requireRows("ndcg", "relevance", relevance) !== width)
    throw new DataError({
      where: "ndcg",
      expected: `a relevance for each of ${width} documents`,
      received: `${relevance[0].length}`,
      fix: "give 0 to those that are not relevant",
    });
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const gains = relevance[i];
    if (Array.from(gains).some((gain) => gain < 0))
      throw new DataError({
        where: "ndcg",
        expected: "relevance of at least 0",
        received: `a lower one of query ${i}`,
        fix: "shift the grades",
      });
    const ideal = gainOf(gains, gains, k, false);
    if (ideal > 0) sum += gainOf(scores[i], gains, k, averageTies) / ideal;
  }
  return sum / count;
}

const discount = (place: number) => 1 / Math.log2(place + 2);

function gainOf(scores: Numbers, gains: Numbers, k: number, averageTies: boolean): number {
  const order = Int32Array.from({ length: scores.length }, (_, i) => i).sort((a, b) => scores[b] - scores[a] || b - a);
  let sum = 0;
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (averageTies && end < order.length && scores[order[end]] === scores[order[start]]) end++;
    let [gain, discounts] = [0, 0];
    for (let at = start; at < end; at++) {
      gain += gains[order[at]];
      if (at < k) discounts += discount(at);
    }
    sum += (gain / (end - start)) * discounts;
    start = end;
  }
  return sum;
}

/** Documents that are relevant to a query: a list of them, or the grade of each. */
export type Relevant = readonly Label[] | ReadonlyMap<Label, number>;

/** How rankings are judged. */
export interface RetrievalOptions {
  /** Places from the top that count. @default [1, 5, 10] */
  k?: readonly number[];
}

/** Means over queries; each record is by the places from the top. */
export interface RetrievalScores {
  /** 1 over the place of the first relevant document; 0 beyond the largest k. */
  mrr: number;
  /** Mean average precision up to the largest k, over the relevant documents that have a place there. */
  map: number;
  /** The share of queries with a relevant document. */
  hitRate: Readonly<Record<number, number>>;
  /** The share of the relevant documents. */
  recall: Readonly<Record<number, number>>;
  /** The share of places with a relevant document. */
  precision: Readonly<Record<number, number>>;
  /** Normalised discounted cumulative gain, with the grades as gains. */
  ndcg: Readonly<Record<number, number>>;
}

/**
 * Scores of rankings of documents, as sentence-transformers' `InformationRetrievalEvaluator` computes them.
 * @param rankings of each query the documents, the best first
 * @param relevant of each query those that are relevant
 * @throws DataError where the numbers of queries differ, a query has no relevant document, or a document two places
 */
export function retrievalScores(
  rankings: ArrayLike<readonly Label[]>,
  relevant: ArrayLike<Relevant>,
  options: RetrievalOptions = {},
): RetrievalScores {
  checkOptions("retrievalScores", options, ["k"]);
  const { k: cutoffs = [1, 5, 10] } = options;
  for (const k of cutoffs) requireNumbers("retrievalScores", { k }, { k: numberRules.positiveInteger });
  if (cutoffs.length === 0)
    throw new OptionError({ where: "retrievalScores", expected: "at least one k", received: "none", fix: "give [10]" });
  const count = requirePairs("retrievalScores", rankings, relevant);
  const most = Math.max(...cutoffs);
  const rows = Array.from({ length: count }, (_, i) => queryOf(rankings[i], relevant[i], i));
  const mean = (of: (row: QueryHits) => number) => rows.reduce((sum, row) => sum + of(row), 0) / count;
  const byCutoff = (of: (row: QueryHits, k: number) => number) =>
    Object.fromEntries(cutoffs.map((k) => [k, mean((row) => of(row, k))]));
  return {
    mrr: mean(({ places }) => (places.length > 0 && places[0] < most ? 1 / (places[0] + 1) : 0)),
    map: mean(
      ({ places, total }) =>
        places.filter((place) => place < most).reduce((sum, place, hits) => sum + (hits + 1) / (place + 1), 0) /
        Math.min(most, total),
    ),
    hitRate: byCutoff(({ places }, k) => Number(places.some((place) => place < k))),
    recall: byCutoff(({ places, total }, k) => places.filter((place) => place < k).length / total),
    precision: byCutoff(({ places }, k) => places.filter((place) => place < k).length / k),
    ndcg: byCutoff(({ gains, ideal }, k) => discounted(gains, k) / discounted(ideal, k)),
  };
}

/** Where the relevant documents of a query are. */
interface QueryHits {
  places: number[];
  total: number;
  /** Of each place. */
  gains: number[];
  /** Of the best ranking. */
  ideal: number[];
}

const discounted = (gains: readonly number[], k: number) =>
  gains.slice(0, k).reduce((sum, gain, place) => sum + gain * discount(place), 0);

function queryOf(ranking: readonly Label[], relevant: Relevant, query: number): QueryHits {
  const grades = Array.isArray(relevant)
    ? new Map<Label, number>(relevant.map((document) => [document, 1]))
    : new Map([...(relevant as ReadonlyMap<Label, number>)].filter(([, grade]) => grade > 0));
  const refuse = (expected: string, received: string, fix: string): never => {
    throw new DataError({ where: "retrievalScores", expected, received: `${received} of query ${query}`, fix });
  };
  if (grades.size === 0) refuse("a relevant document of each query", "none", "leave the query out");
  if (new Set(ranking).size < ranking.length) refuse("each document once", "one of two places", "rank it once");
  const gains = ranking.map((document) => grades.get(document) ?? 0);
  const places = [...gains.keys()].filter((place) => gains[place] > 0);
  return { places, total: grades.size, gains, ideal: [...grades.values()].sort((a, b) => b - a) };
}
