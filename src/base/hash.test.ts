/** That arrays which differ have other hashes, wherever and however little they differ. */
import { expect, test } from "vitest";
import { hashNumbers } from "./index.ts";

test("a hash of numbers tells single bits, places, lengths and signs apart", () => {
  const numbers = Float32Array.from({ length: 257 }, (_, i) => Math.sin(i));
  const seen = new Set([hashNumbers(numbers)]);
  const add = (changed: Float32Array | Uint8Array) => {
    const before = seen.size;
    seen.add(hashNumbers(changed));
    expect(seen.size).toBe(before + 1);
  };
  const bytes = new Uint8Array(numbers.buffer);
  for (let bit = 0; bit < 8 * bytes.length; bit += 61) {
    const changed = bytes.slice();
    changed[bit >> 3] ^= 1 << (bit & 7);
    add(changed);
  }
  // what only moves, or changes sign at two places
  for (let i = 0; i < 200; i += 9) {
    const swapped = numbers.slice();
    [swapped[i], swapped[i + 1]] = [swapped[i + 1], swapped[i]];
    add(swapped);
    const turned = numbers.slice();
    for (const at of [i, 256 - i]) turned[at] = -turned[at];
    add(turned);
  }
  for (let length = 2; length < 257; length += 5) add(numbers.slice(0, length));
  for (let length = 1; length < 12; length++) add(new Uint8Array(length));
});

test("the same bytes have one hash, wherever they are in memory", () => {
  const bytes = Uint8Array.from({ length: 103 }, (_, i) => 7 * i);
  const hash = hashNumbers(bytes);
  for (const offset of [1, 2, 3, 4, 8]) {
    const moved = new Uint8Array(120);
    moved.set(bytes, offset);
    expect(hashNumbers(moved.subarray(offset, offset + 103))).toBe(hash);
  }
});
