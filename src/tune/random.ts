import { hashNumbers } from "../base/index.ts";

/**
 * Random numbers of a key, the same wherever they are drawn: xoshiro128** (Blackman and Vigna 2021,
 * doi:10.1145/3460772), whose state is a hash of the key.
 */
export class RandomStream {
  private readonly state: Uint32Array;

  /** @param key whole numbers, such as a seed and the number of a trial */
  constructor(...key: readonly number[]) {
    const hash = (lane: number) => hashNumbers(Int32Array.from([lane, key.length, ...key.flatMap(halves)]));
    const words = [0, 1].flatMap((lane) => [hash(lane).slice(0, 8), hash(lane).slice(8)]);
    this.state = Uint32Array.from(words, (word) => Number.parseInt(word, 16));
    if (this.state.every((word) => word === 0)) this.state[0] = 1;
  }

  /** 32 random bits. */
  next(): number {
    const { state } = this;
    const result = Math.imul(rotated(Math.imul(state[1], 5), 7), 9) >>> 0;
    const shifted = state[1] << 9;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotated(state[3], 11);
    return result;
  }

  /** From 0 to below 1, with 53 bits. */
  uniform(): number {
    return ((this.next() >>> 5) * 2 ** 26 + (this.next() >>> 6)) / 2 ** 53;
  }

  /** A whole number from 0 to below `size`. */
  below(size: number): number {
    return Math.floor(this.uniform() * size);
  }

  /** Of the standard normal distribution, by Box and Muller. */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** The values in a random order, by Fisher and Yates. */
  shuffled<T>(values: readonly T[]): T[] {
    const order = [...values];
    for (let last = order.length - 1; last > 0; last--) {
      const other = this.below(last + 1);
      [order[last], order[other]] = [order[other], order[last]];
    }
    return order;
  }
}

const rotated = (x: number, by: number) => ((x << by) | (x >>> (32 - by))) >>> 0;
const halves = (x: number): [number, number] => [x | 0, Math.floor(x / 2 ** 32) | 0];
