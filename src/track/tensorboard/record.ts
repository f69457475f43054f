import { crc32c, maskedCrc } from "../crc.ts";

/**
 * A record of TensorFlow's TFRecord files: the length in 8 bytes, its check, the data, its check; numbers begin with
 * their lowest byte. tensorflow/core/lib/io/record_writer.h
 */
export function recordOf(data: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(16 + data.length);
  bytes.writeBigUInt64LE(BigInt(data.length), 0);
  bytes.writeUInt32LE(maskedCrc(crc32c(bytes.subarray(0, 8))), 8);
  bytes.set(data, 12);
  bytes.writeUInt32LE(maskedCrc(crc32c(data)), 12 + data.length);
  return bytes;
}
