import { largestAt } from "../largest.ts";
import { largestOf } from "../log-probabilities.ts";

/**
 * Tokens that may be drawn, by their ids from the least on, and their scores. Warpers narrow them down in place: its
 * arrays are used again for every token.
 */
export class Candidates {
  ids: Uint32Array;
  scores: Float64Array;
  private readonly room: { ids: Uint32Array; scores: Float64Array; probabilities: Float64Array };

  /** @param vocabSize most tokens that there may be */
  constructor(vocabSize: number) {
    const room = {
      ids: new Uint32Array(Math.max(1, vocabSize)),
      scores: new Float64Array(Math.max(1, vocabSize)),
      probabilities: new Float64Array(Math.max(1, vocabSize)),
    };
    this.room = room;
    this.ids = room.ids;
    this.scores = room.scores;
  }

  /**
   * Takes what has not been ruled out, at least one token. Plain loops here and below: they run over the vocabulary for
   * every token.
   * @param logits f32 [V]
   * @param topK takes the k likeliest alone, and those as likely as the last of them: as the warper of this name, but
   *   without writing the others down. @default all
   */
  take(logits: Float32Array, topK = 0): this {
    const { ids, scores } = this.room;
    const least = topK > 0 && topK < logits.length ? largestAt(logits, topK) : Number.NEGATIVE_INFINITY;
    let count = 0;
    for (let id = 0; id < logits.length; id++) {
      const logit = logits[id];
      if (logit < least || logit === Number.NEGATIVE_INFINITY) continue;
      ids[count] = id;
      scores[count++] = logit;
    }
    if (count === 0) {
      ids[0] = 0;
      scores[count++] = 0;
    }
    this.cut(count);
    return this;
  }

  /** Keeps those for which `isKept` is true of their index, which is asked from 0 on, once each. */
  keep(isKept: (index: number) => boolean): void {
    const { ids, scores } = this;
    let count = 0;
    for (let i = 0; i < ids.length; i++) {
      if (!isKept(i)) continue;
      ids[count] = ids[i];
      scores[count++] = scores[i];
    }
    this.cut(count);
  }

  /** softmax of the scores. The array is good until it is asked for again. */
  probabilities(): Float64Array {
    const { scores } = this;
    const out = this.room.probabilities.subarray(0, scores.length);
    const largest = largestOf(scores);
    let sum = 0;
    for (let i = 0; i < scores.length; i++) {
      out[i] = scores[i] === largest ? 1 : Math.exp(scores[i] - largest); // infinities too are their own likeliest
      sum += out[i];
    }
    for (let i = 0; i < out.length; i++) out[i] /= sum;
    return out;
  }

  /** Draws one by the probabilities. @param uniform from 0 to below 1 @returns its index */
  draw(uniform: number): number {
    const probabilities = this.probabilities();
    let left = uniform;
    let last = 0;
    for (let i = 0; i < probabilities.length; i++) {
      left -= probabilities[i];
      if (left < 0) return i;
      if (probabilities[i] > 0) last = i;
    }
    return last; // rounding can leave a hair
  }

  private cut(count: number): void {
    this.ids = this.room.ids.subarray(0, count);
    this.scores = this.room.scores.subarray(0, count);
  }
}

/** In nats. */
export function entropyOf(probabilities: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < probabilities.length; i++) {
    const p = probabilities[i];
    if (p > 0) sum -= p * Math.log(p);
  }
  return sum;
}

/** Indices, from that of the least value to that of the largest. */
export const order = (values: Float64Array, indices: Uint32Array): Uint32Array =>
  indices.sort((a, b) => values[a] - values[b] || a - b);
