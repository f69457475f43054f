import { largestAt } from "./largest.ts";

/** A token, and the logarithm of its probability under the model. */
export interface TokenLogprob {
  id: number;
  /** In nats, before any setting has changed it: log softmax of the model's logits. */
  logprob: number;
}

/** How probable the token was that was picked, and which were the likeliest. */
export interface TokenLogprobs extends TokenLogprob {
  /** The likeliest first; of equals the one with the smaller id. The picked one need not be among them. */
  top: readonly TokenLogprob[];
}

/** A token of a text that was there, and how it stands among all that the model might have written in its place. */
export interface ScoredToken extends TokenLogprobs {
  /** How many tokens are at least as probable, itself among them: 1 for the likeliest. */
  rank: number;
}

/** The largest of some numbers; -Infinity of none. */
export function largestOf(values: Float32Array | Float64Array): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, values[i]);
  return largest;
}

/** The logarithm of the sum of e to each value. */
export function logSumExp(values: Float32Array): number {
  const largest = largestOf(values);
  if (largest === Number.NEGATIVE_INFINITY) return largest;
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i] - largest);
  return largest + Math.log(sum);
}

/** Reads log probabilities from logits that are about to be changed in place. */
export class LogprobReader {
  private readonly topCount: number;
  private readonly isChanged: boolean;
  private raw: Float32Array = new Float32Array(0);
  private normalizer = 0;
  private top: readonly TokenLogprob[] = [];

  /**
   * @param topCount how many of the likeliest are told
   * @param isChanged whether the logits change between `read` and `of`: they are copied then
   */
  constructor(topCount: number, isChanged: boolean) {
    this.topCount = topCount;
    this.isChanged = isChanged;
  }

  /** Before the logits are changed. */
  read(logits: Float32Array): void {
    this.normalizer = logSumExp(logits);
    this.top = this.likeliest(logits);
    if (!this.isChanged) {
      this.raw = logits;
      return;
    }
    if (this.raw.length !== logits.length) this.raw = new Float32Array(logits.length);
    this.raw.set(logits);
  }

  /** Of the token that was picked from what was read last. */
  of(id: number): TokenLogprobs {
    return { id, logprob: this.raw[id] - this.normalizer, top: this.top };
  }

  private likeliest(logits: Float32Array): TokenLogprob[] {
    const count = Math.min(this.topCount, logits.length);
    if (count === 0) return [];
    const least = largestAt(logits, count);
    const top: TokenLogprob[] = [];
    for (let id = 0; id < logits.length; id++)
      if (logits[id] >= least) top.push({ id, logprob: logits[id] - this.normalizer });
    return top.sort((a, b) => b.logprob - a.logprob || a.id - b.id).slice(0, count);
  }
}
