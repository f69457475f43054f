/** Numbers that look random and are the same in every run. Steele, Lea and Flood 2014, splitmix; 32 bits. */
export class Random {
  private state: number;

  constructor(name: string, index: number) {
    let hash = index | 0;
    for (const character of name) hash = Math.imul(hash ^ (character.codePointAt(0) as number), 0x01000193);
    this.state = hash;
  }

  /** A whole number from 0 to below n. */
  below(n: number): number {
    this.state = (this.state + 0x9e3779b9) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) % n;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }
}

/** Numbers from 0 to below 1, the same for the same seed. */
export function randomNumbers(seed: number): () => number {
  const random = new Random("numbers", seed);
  return () => random.below(2 ** 32) / 2 ** 32;
}
