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
