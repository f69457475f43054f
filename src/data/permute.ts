import { foldKeyOnHost } from "../ops/index.ts";

const FEISTEL_ROUNDS = 4;

/**
 * Position of `index` in a random order of 0 .. size - 1, without storing the order: a Feistel network over the next
 * power of four, walked until the result is in range. Black and Rogaway 2002, "Ciphers with Arbitrary Finite Domains".
 */
export function permute(index: number, size: number, key: number): number {
  const halfBits = Math.max(1, Math.ceil(Math.log2(Math.max(2, size)) / 2));
  const half = 2 ** halfBits;
  let x = index;
  do {
    let left = Math.floor(x / half);
    let right = x % half;
    for (let round = 0; round < FEISTEL_ROUNDS; round++) {
      const [mixed] = foldKeyOnHost([key, round], right);
      [left, right] = [right, (left ^ ((mixed >>> 0) % half)) >>> 0];
    }
    x = left * half + right;
  } while (x >= size);
  return x;
}
