/** Which tokens may follow. */
export interface TokenMask {
  /** A bit for each id, the lowest of the first word for id 0. */
  readonly bits: Uint32Array;
  /** How many there are. */
  readonly count: number;
  /** Behind any of them the text can be brought to its end with so many bytes. */
  readonly mostBytes: number;
}

/**
 * Forbids what a mask does not have: those logits become -Infinity, in place.
 * @param logits f32 [V], V at least the vocabulary's size
 */
export function constrain(logits: Float32Array, { bits, count }: TokenMask): void {
  const length = Math.min(logits.length, 32 * bits.length);
  if (count < length / 8) {
    keepFew(logits, bits);
    return;
  }
  for (let i = 0, id = 0; id < length; i++, id += 32) {
    const word = bits[i];
    if (word === 0xffffffff) continue;
    const end = Math.min(id + 32, length);
    if (word === 0) logits.fill(Number.NEGATIVE_INFINITY, id, end);
    else for (let k = id; k < end; k++) if (((word >>> (k - id)) & 1) === 0) logits[k] = Number.NEGATIVE_INFINITY;
  }
  logits.fill(Number.NEGATIVE_INFINITY, length);
}

/** Where few stay, they are put aside: filling an array is many times faster than going through it. */
function keepFew(logits: Float32Array, bits: Uint32Array): void {
  const ids: number[] = [];
  const values: number[] = [];
  for (let i = 0; i < bits.length; i++)
    for (let word = bits[i]; word !== 0; word &= word - 1) {
      const id = 32 * i + 31 - Math.clz32(word & -word);
      if (id >= logits.length) break;
      ids.push(id);
      values.push(logits[id]);
    }
  logits.fill(Number.NEGATIVE_INFINITY);
  for (const [i, id] of ids.entries()) logits[id] = values[i];
}

/** The number of ones. */
export function countBits(bits: Uint32Array): number {
  let count = 0;
  for (const word of bits) {
    // sums of pairs, of fours, of bytes, then of all. Warren, Hacker's Delight, 5-1
    let sums = word - ((word >>> 1) & 0x55555555);
    sums = (sums & 0x33333333) + ((sums >>> 2) & 0x33333333);
    count += Math.imul((sums + (sums >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return count;
}

/** The places of ones, in order. */
export function idsOf(bits: Uint32Array): number[] {
  const ids: number[] = [];
  for (let i = 0; i < bits.length; i++)
    for (let word = bits[i]; word !== 0; word &= word - 1) ids.push(32 * i + 31 - Math.clz32(word & -word));
  return ids;
}
