const [LENGTH, SHIFT] = [624, 397];

/**
 * Python's `random.Random`: the same numbers, samples and choices of the same seed. Matsumoto and Nishimura 1998,
 * doi:10.1145/272991.272995.
 */
export class PythonRandom {
  private readonly state = new Uint32Array(LENGTH);
  private at = LENGTH;

  /** @param seed an integer; its sign does not matter */
  constructor(seed: number) {
    const words: number[] = [];
    for (let rest = BigInt(Math.abs(seed)); rest > 0n || words.length === 0; rest >>= 32n)
      words.push(Number(rest & 0xffffffffn));
    this.fill(19650218);
    const { state } = this;
    let i = 1;
    for (let step = 0; step < Math.max(LENGTH, words.length); step++) {
      const j = step % words.length;
      state[i] = (state[i] ^ Math.imul(state[i - 1] ^ (state[i - 1] >>> 30), 1664525)) + words[j] + j;
      if (++i === LENGTH) [state[0], i] = [state[LENGTH - 1], 1];
    }
    for (let step = 1; step < LENGTH; step++) {
      state[i] = (state[i] ^ Math.imul(state[i - 1] ^ (state[i - 1] >>> 30), 1566083941)) - i;
      if (++i === LENGTH) [state[0], i] = [state[LENGTH - 1], 1];
    }
    state[0] = 0x80000000;
  }

  private fill(seed: number): void {
    const { state } = this;
    state[0] = seed;
    for (let i = 1; i < LENGTH; i++) state[i] = Math.imul(state[i - 1] ^ (state[i - 1] >>> 30), 1812433253) + i;
  }

  /** The next 32 bits. */
  private next(): number {
    if (this.at === LENGTH) this.twist();
    let value = this.state[this.at++];
    value ^= value >>> 11;
    value ^= (value << 7) & 0x9d2c5680;
    value ^= (value << 15) & 0xefc60000;
    return (value ^ (value >>> 18)) >>> 0;
  }

  private twist(): void {
    const { state } = this;
    for (let i = 0; i < LENGTH; i++) {
      const bits = (state[i] & 0x80000000) | (state[(i + 1) % LENGTH] & 0x7fffffff);
      state[i] = state[(i + SHIFT) % LENGTH] ^ (bits >>> 1) ^ (bits & 1 ? 0x9908b0df : 0);
    }
    this.at = 0;
  }

  /** A number from 0 to below 1. */
  random(): number {
    const [high, low] = [this.next() >>> 5, this.next() >>> 6];
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  /** An integer from 0 to below n, at most 2^31. */
  below(n: number): number {
    const bits = 32 - Math.clz32(n);
    for (;;) {
      const value = this.next() >>> (32 - bits);
      if (value < n) return value;
    }
  }

  /** k different items, in the order in which they are drawn. */
  sample<T>(items: readonly T[], k: number): T[] {
    const n = items.length;
    if (k > n) throw new RangeError(`a sample of ${k} out of ${n}`);
    // Python keeps a list of what is left where that is smaller than a set of what is taken
    const tableSize = k > 5 ? 4 ** Math.ceil(Math.log(k * 3) / Math.log(4)) : 0;
    if (n <= 21 + tableSize) {
      const pool = [...items];
      return Array.from({ length: k }, (_, i) => {
        const j = this.below(n - i);
        const item = pool[j];
        pool[j] = pool[n - i - 1];
        return item;
      });
    }
    const taken = new Set<number>();
    return Array.from({ length: k }, () => {
      let j = this.below(n);
      while (taken.has(j)) j = this.below(n);
      taken.add(j);
      return items[j];
    });
  }

  /** Indices from 0 to below n, drawn with replacement: those of Python's `choices`. */
  choices(n: number, count: number): Int32Array {
    return Int32Array.from({ length: count }, () => Math.floor(this.random() * n));
  }
}
