import type { HostArray } from "./dtype.ts";

/** 2 x 32-bit FNV-1a over the bytes, in two streams so that collisions need 64 equal bits. */
export function hashBytes(data: HostArray): string {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  let a = 0x811c9dc5;
  let b = 0x9dc5811c;
  for (let i = 0; i < bytes.length; i++) {
    a = Math.imul(a ^ bytes[i], 0x01000193);
    b = Math.imul(b ^ (bytes[i] + i), 0x01000193);
  }
  return (a >>> 0).toString(16).padStart(8, "0") + (b >>> 0).toString(16).padStart(8, "0");
}

const ROUND = [0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f] as const;
const turned = (x: number, by: number) => (x << by) | (x >>> (32 - by));
/** Every bit of a number in every bit of the result. */
function spread(x: number): number {
  const once = Math.imul(x ^ (x >>> 15), ROUND[1]);
  const twice = Math.imul(once ^ (once >>> 13), ROUND[2]);
  return (twice ^ (twice >>> 16)) >>> 0;
}

const knownHashes = new WeakMap<HostArray, string>();

/** Tells the hash of numbers that do not change. */
export const noteHash = (data: HostArray, hash: string): void => {
  knownHashes.set(data, hash);
};

/** The hash of an array that was told. */
export const knownHash = (data: HostArray): string | undefined => knownHashes.get(data);

/**
 * 64 bits of large arrays, sixteen bytes at a time, in four lanes that do not wait for one another (rounds as those of
 * xxHash).
 */
export function hashNumbers(data: HostArray): string {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const whole = (bytes.length >>> 4) << 2;
  const words =
    data.byteOffset % 4 === 0
      ? new Int32Array(data.buffer, data.byteOffset, whole)
      : new Int32Array(bytes.slice(0, 4 * whole).buffer);
  const { length } = bytes;
  let [a, b, c, d] = ROUND.map((constant) => constant ^ length);
  for (let i = 0; i < whole; i += 4) {
    a = Math.imul(turned(a + Math.imul(words[i], ROUND[1]), 13), ROUND[0]);
    b = Math.imul(turned(b + Math.imul(words[i + 1], ROUND[1]), 13), ROUND[0]);
    c = Math.imul(turned(c + Math.imul(words[i + 2], ROUND[1]), 13), ROUND[0]);
    d = Math.imul(turned(d + Math.imul(words[i + 3], ROUND[1]), 13), ROUND[0]);
  }
  for (let i = 4 * whole; i < length; i++) a = Math.imul(turned(a ^ bytes[i], 11), ROUND[3]);
  const [left, right] = [spread(a ^ turned(c, 7)), spread(b ^ turned(d, 18))];
  const mixed = [spread(left + Math.imul(right, ROUND[3])), spread(right ^ Math.imul(left, ROUND[0]))];
  return mixed.map((part) => part.toString(16).padStart(8, "0")).join("");
}
