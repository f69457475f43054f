/** Cyclic redundancy checks of 32 bits with reflected polynomials: that of PNG and zip, and Castagnoli's of LevelDB. */

function tableOf(polynomial: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    return value >>> 0;
  });
}

type Checksum = (...parts: readonly Uint8Array[]) => number;

function crcBy(polynomial: number): Checksum {
  const table = tableOf(polynomial);
  return (...parts) => {
    let value = 0xffffffff;
    for (const part of parts) for (const byte of part) value = table[(value ^ byte) & 255] ^ (value >>> 8);
    return (value ^ 0xffffffff) >>> 0;
  };
}

/** Of the parts together, from 0 to 2^32 - 1. */
export const crc32: Checksum = crcBy(0xedb88320);
/** Castagnoli's, RFC 3720 section B.4. */
export const crc32c: Checksum = crcBy(0x82f63b78);

/** Added to a check that is stored beside its data, as LevelDB and TensorFlow do: a check of a check says nothing. */
const MASK_DELTA = 0xa282ead8;

/** A check as it is stored in records. */
export const maskedCrc = (crc: number): number => (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
