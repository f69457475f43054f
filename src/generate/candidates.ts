/** Ways to narrow down which tokens may be drawn; transformers calls them logits warpers. */
export interface SamplingLimits {
  /** Scores are divided by it: below 1 the likely become likelier. @default 1 */
  temperature?: number;
  /**
   * As many likely tokens as keep this part of the entropy of the 100 likeliest. Potraghloo et al. 2025,
   * arXiv:2509.02510. @default all
   */
  topH?: number;
  /**
   * The k likeliest, and those as likely as the last of them; 0 is all. Fan et al. 2018, arXiv:1805.04833. @default all
   */
  topK?: number;
  /** The likeliest whose probabilities add up to p. Holtzman et al. 2019, arXiv:1904.09751. @default 1 */
  topP?: number;
  /** Those at least p times as probable as the likeliest. Nguyen et al. 2024, arXiv:2407.01082. @default 0 */
  minP?: number;
  /**
   * Those whose surprise is nearest to the expected one, until their probabilities add up to p. Meister et al. 2022,
   * arXiv:2202.00666. @default 1
   */
  typicalP?: number;
  /** Those at least as probable as this. Hewitt et al. 2022, arXiv:2210.15191. @default 0 */
  epsilonCutoff?: number;
  /** As epsilonCutoff, but less where many tokens are about as likely; same paper. @default 0 */
  etaCutoff?: number;
}

/** Tokens that may be drawn, and their scores. */
export interface Candidates {
  ids: Uint32Array;
  scores: Float64Array;
}

/** topH looks at no more tokens than these. */
const TOP_H_TOKENS = 100;

/** The tokens that the limits leave, at least one, in the order of transformers' processors. */
export function candidatesOf(logits: Float32Array, limits: SamplingLimits): Candidates {
  const {
    temperature = 1,
    topH = 1,
    topK = 0,
    topP = 1,
    minP = 0,
    typicalP = 1,
    epsilonCutoff = 0,
    etaCutoff = 0,
  } = limits;
  let left = possible(logits, temperature);
  if (limits.topH !== undefined) left = byEntropy(left, topH);
  if (topK > 0) left = likeliest(left, topK);
  if (topP < 1) left = nucleus(left, topP);
  if (minP > 0) left = atLeast(left, (probabilities) => minP * largestOf(probabilities));
  if (typicalP < 1) left = typical(left, typicalP);
  if (epsilonCutoff > 0) left = atLeast(left, () => epsilonCutoff);
  if (etaCutoff > 0)
    left = atLeast(left, (probabilities) =>
      Math.min(etaCutoff, Math.sqrt(etaCutoff) * Math.exp(-entropyOf(probabilities))),
    );
  return left;
}

/** What has not been ruled out. Plain loops here and below: they run over the vocabulary for every token. */
function possible(logits: Float32Array, temperature: number): Candidates {
  const ids = new Uint32Array(logits.length);
  const scores = new Float64Array(logits.length);
  let count = 0;
  for (let id = 0; id < logits.length; id++) {
    if (logits[id] === Number.NEGATIVE_INFINITY) continue;
    ids[count] = id;
    scores[count++] = logits[id] / temperature;
  }
  return count > 0
    ? { ids: ids.subarray(0, count), scores: scores.subarray(0, count) }
    : { ids: Uint32Array.of(0), scores: Float64Array.of(0) };
}

/** Those candidates for which `isKept` is true of their index. */
function keep({ ids, scores }: Candidates, isKept: (index: number) => boolean): Candidates {
  const kept: Candidates = { ids: new Uint32Array(ids.length), scores: new Float64Array(ids.length) };
  let count = 0;
  for (let i = 0; i < ids.length; i++) {
    if (!isKept(i)) continue;
    kept.ids[count] = ids[i];
    kept.scores[count++] = scores[i];
  }
  return { ids: kept.ids.subarray(0, count), scores: kept.scores.subarray(0, count) };
}

const largestOf = (values: Float64Array): number => values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);

/** softmax */
export function probabilitiesOf(scores: Float64Array): Float64Array {
  const largest = largestOf(scores);
  const out = new Float64Array(scores.length);
  let sum = 0;
  for (let i = 0; i < scores.length; i++) {
    out[i] = scores[i] === largest ? 1 : Math.exp(scores[i] - largest); // infinities too are their own likeliest
    sum += out[i];
  }
  for (let i = 0; i < out.length; i++) out[i] /= sum;
  return out;
}

/** In nats. */
const entropyOf = (probabilities: Float64Array): number =>
  probabilities.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0);

/** Indices from the least value to the largest. */
const order = (values: Float64Array, indices = Uint32Array.from(values, (_, i) => i)): Uint32Array =>
  indices.sort((a, b) => values[a] - values[b] || a - b);

/** Those whose probability is not below a threshold, and the likeliest in any case. */
function atLeast(candidates: Candidates, threshold: (probabilities: Float64Array) => number): Candidates {
  const probabilities = probabilitiesOf(candidates.scores);
  const least = Math.min(threshold(probabilities), largestOf(probabilities));
  return keep(candidates, (i) => probabilities[i] >= least);
}

function likeliest(candidates: Candidates, count: number): Candidates {
  if (count >= candidates.ids.length) return candidates;
  const least = largestAt(candidates.scores, count);
  return keep(candidates, (i) => candidates.scores[i] >= least);
}

/** The value at a place when values are in order, 1 for the largest: by a heap of so many, whose root is its least. */
function largestAt(values: Float64Array, place: number): number {
  const heap = values.slice(0, place).sort();
  for (let i = place; i < values.length; i++) {
    const value = values[i];
    if (value <= heap[0]) continue;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= place) break;
      if (child + 1 < place && heap[child + 1] < heap[child]) child++;
      if (heap[child] >= value) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = value;
  }
  return heap[0];
}

function nucleus(candidates: Candidates, topP: number): Candidates {
  const probabilities = probabilitiesOf(candidates.scores);
  const tail = 1 - topP;
  // what is this improbable is in the tail however many there are, and need not be put in order
  const least = tail / probabilities.length;
  const rest: number[] = [];
  let sum = 0;
  for (let i = 0; i < probabilities.length; i++) {
    if (probabilities[i] <= least) sum += probabilities[i];
    else rest.push(i);
  }
  const ordered = order(probabilities, Uint32Array.from(rest));
  const kept = new Set<number>();
  ordered.forEach((i, place) => {
    sum += probabilities[i];
    if (sum > tail || place === ordered.length - 1) kept.add(i);
  });
  return keep(candidates, (i) => kept.has(i));
}

function byEntropy(candidates: Candidates, part: number): Candidates {
  const head = order(candidates.scores).reverse().subarray(0, TOP_H_TOKENS);
  const probabilities = probabilitiesOf(Float64Array.from(head, (i) => candidates.scores[i]));
  const limit = entropyOf(probabilities) * part;
  const kept = new Set<number>([head[0]]);
  let sum = 0;
  head.forEach((i, place) => {
    const p = probabilities[place];
    sum -= p > 0 ? p * Math.log(p) : 0;
    if (sum <= limit) kept.add(i);
  });
  return keep(candidates, (i) => kept.has(i));
}

function typical(candidates: Candidates, mass: number): Candidates {
  const probabilities = probabilitiesOf(candidates.scores);
  const expected = entropyOf(probabilities);
  const distance = probabilities.map((p) => Math.abs(-Math.log(p) - expected));
  const ordered = order(distance);
  let place = 0;
  for (
    let sum = probabilities[ordered[0]];
    sum < mass && place < ordered.length - 1;
    sum += probabilities[ordered[++place]]
  );
  const farthest = distance[ordered[place]];
  return keep(candidates, (i) => distance[i] <= farthest);
}
