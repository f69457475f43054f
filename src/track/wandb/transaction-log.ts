/**
 * Files of records as LevelDB's log has them, with W&B's header and checks by CRC-32 of the kind and the data: blocks
 * of 32 KiB, a record cut where a block ends. github.com/google/leveldb, doc/log_format.md
 */
import { crc32 } from "../crc.ts";

const BLOCK = 32768;
const HEADER = 7;
/** ":W&B", 0xbee1 and version 0. */
const FILE_HEADER = Uint8Array.of(0x3a, 0x57, 0x26, 0x42, 0xe1, 0xbe, 0);
const [WHOLE, FIRST, MIDDLE, LAST] = [1, 2, 3, 4];

/** The bytes of records that are appended at a place of a file; at its beginning the header goes before them. */
export function logBytes(records: readonly Uint8Array[], position: number): Uint8Array {
  const pieces: Uint8Array[] = position === 0 ? [FILE_HEADER] : [];
  let at = position === 0 ? FILE_HEADER.length : position;
  const push = (piece: Uint8Array) => {
    pieces.push(piece);
    at += piece.length;
  };
  for (const record of records) {
    let from = 0;
    do {
      const space = BLOCK - (at % BLOCK);
      if (space < HEADER) push(new Uint8Array(space));
      const size = Math.min(record.length - from, BLOCK - (at % BLOCK) - HEADER);
      const isEnd = from + size === record.length;
      const kind = from === 0 ? (isEnd ? WHOLE : FIRST) : isEnd ? LAST : MIDDLE;
      push(pieceOf(kind, record.subarray(from, from + size)));
      from += size;
    } while (from < record.length);
  }
  return Buffer.concat(pieces);
}

function pieceOf(kind: number, data: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(HEADER + data.length);
  bytes.writeUInt32LE(crc32(Uint8Array.of(kind), data), 0);
  bytes.writeUInt16LE(data.length, 4);
  bytes[6] = kind;
  bytes.set(data, HEADER);
  return bytes;
}

/** The records of a file up to the first that is torn or damaged; none of a file with another header. */
export function logRecords(bytes: Uint8Array): Uint8Array[] {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!file.subarray(0, FILE_HEADER.length).equals(FILE_HEADER)) return [];
  const records: Uint8Array[] = [];
  let parts: Uint8Array[] = [];
  for (let at = FILE_HEADER.length; at + HEADER <= file.length; ) {
    const space = BLOCK - (at % BLOCK);
    if (space < HEADER) {
      at += space;
      continue;
    }
    const data = file.subarray(at + HEADER, at + HEADER + file.readUInt16LE(at + 4));
    const kind = file[at + 6];
    if (data.length !== file.readUInt16LE(at + 4) || crc32(Uint8Array.of(kind), data) !== file.readUInt32LE(at)) break;
    parts.push(data);
    if (kind === WHOLE || kind === LAST) {
      records.push(Buffer.concat(parts));
      parts = [];
    }
    at += HEADER + data.length;
  }
  return records;
}
