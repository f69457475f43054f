import { largestAt } from "../largest.ts";
import { largestOf } from "../log-probabilities.ts";

/** Room for so many candidates at first; mostly few are taken. */
const FIRST_ROOM = 1024;

/**
 * Tokens that may be drawn, by their ids from the least on, and their scores. Warpers narrow them down in place: its
 * arrays are used again for every token, and grow as far as they need to.
 */
export class Candidates {
  ids: Uint32Array = new Uint32Array(0);
  scores: Float64Array = new Float64Array(0);
  private idRoom = new Uint32Array(FIRST_ROOM);
  private scoreRoom = new Float64Array(FIRST_ROOM);
  private probabilityRoom = new Float64Array(0);

  /**
   * Takes what has not been ruled out, at least one token. Plain loops here and below: they run over the vocabulary for
   * every token.
   * @param logits f32 [V]
   * @param topK takes the k likeliest alone, and those as likely as the last of them: as the warper of this name, but
   *   without writing the others down. @default all
   */
  take(logits: Float32Array, topK = 0): this {
    let { idRoom: ids, scoreRoom: scores } = this;
    const least = topK > 0 && topK < logits.length ? largestAt(logits, topK) : Number.NEGATIVE_INFINITY;
    let count = 0;
    for (let id = 0; id < logits.length; id++) {
      const logit = logits[id];
      if (logit < least || logit === Number.NEGATIVE_INFINITY) continue;
      if (count === ids.length) {
        this.grow(logits.length);
        ({ idRoom: ids, scoreRoom: scores } = this);
      }
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

  /** softmax of the scores. The array is good until it is asked for again, or one is drawn. */
  probabilities(): Float64Array {
    const { weights, sum } = this.weigh();
    for (let i = 0; i < weights.length; i++) weights[i] /= sum;
    return weights;
  }

  /** exp(score - largest score) of each, and their sum: softmax before the division. */
  private weigh(): { weights: Float64Array; sum: number } {
    const { scores } = this;
    if (this.probabilityRoom.length < scores.length) this.probabilityRoom = new Float64Array(this.idRoom.length);
    const weights = this.probabilityRoom.subarray(0, scores.length);
    const largest = largestOf(scores);
    let sum = 0;
    for (let i = 0; i < scores.length; i++) {
      weights[i] = scores[i] === largest ? 1 : Math.exp(scores[i] - largest); // infinities too are their own likeliest
      sum += weights[i];
    }
    return { weights, sum };
  }

  /** Draws one by the probabilities. @param uniform from 0 to below 1 @returns its index */
  draw(uniform: number): number {
    const { weights, sum } = this.weigh();
    let left = uniform * sum;
    let last = 0;
    for (let i = 0; i < weights.length; i++) {
      left -= weights[i];
      if (left < 0) return i;
      if (weights[i] > 0) last = i;
    }
    return last; // rounding can leave a hair
  }

  private cut(count: number): void {
    this.ids = this.idRoom.subarray(0, count);
    this.scores = this.scoreRoom.subarray(0, count);
  }

  /** Twice the room, but at most for so many. */
  private grow(most: number): void {
    const { idRoom, scoreRoom } = this;
    const room = Math.min(most, 2 * idRoom.length);
    this.idRoom = new Uint32Array(room);
    this.scoreRoom = new Float64Array(room);
    this.idRoom.set(idRoom);
    this.scoreRoom.set(scoreRoom);
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
