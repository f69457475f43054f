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

/**
 * 2 x 32 bits of large arrays, four bytes at a time (rounds as those of xxHash): a model's weights take a tenth of a
 * second, by `hashBytes` more than one.
 */
export function hashNumbers(data: HostArray): string {
  const isAligned = data.byteOffset % 4 === 0;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const whole = bytes.length >>> 2;
  const words = isAligned
    ? new Int32Array(data.buffer, data.byteOffset, whole)
    : new Int32Array(bytes.slice(0, 4 * whole).buffer);
  let a = bytes.length | 0;
  let b = ROUND[3] ^ a;
  for (let i = 0; i < whole; i++) {
    a = Math.imul(turned(a + Math.imul(words[i], ROUND[1]), 13), ROUND[0]);
    b = Math.imul(turned(b ^ Math.imul(words[i] + i, ROUND[2]), 17), ROUND[3]);
  }
  for (let i = 4 * whole; i < bytes.length; i++) {
    a = Math.imul(turned(a ^ bytes[i], 11), ROUND[0]);
    b = Math.imul(turned(b + bytes[i], 7), ROUND[1]);
  }
  return [a, b].map((part) => spread(part).toString(16).padStart(8, "0")).join("");
}
