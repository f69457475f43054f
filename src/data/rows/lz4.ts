/**
 * Unpacks LZ4 in its frame format, as Arrow files have it. LZ4 frame format 1.6.3 and block format; checksums, which
 * Arrow's writers leave out, are passed over.
 * @throws Error for what is no such frame
 */
export function unpackLz4(packed: Uint8Array): Uint8Array {
  const blocks = [...blocksOf(packed)];
  // frames need not say how long they are unpacked: it is counted first, which moves no bytes
  const lengths = blocks.map(({ bytes, isPacked }) => (isPacked ? unpackedLength(bytes) : bytes.length));
  const out = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  let end = 0;
  for (const [i, { bytes, isPacked }] of blocks.entries()) {
    if (isPacked) unpackBlock(bytes, out, end);
    else out.set(bytes, end);
    end += lengths[i];
  }
  return out;
}

/** Unpacks a single block, as Parquet has it under LZ4_RAW. @param bytes how many there are when unpacked */
export function unpackLz4Block(packed: Uint8Array, bytes: number): Uint8Array {
  if (unpackedLength(packed) !== bytes) throw new Error(`a block of LZ4 of another length than ${bytes} bytes`);
  const out = new Uint8Array(bytes);
  unpackBlock(packed, out, 0);
  return out;
}

const MAGIC = 0x184d2204;
/** What a match has at least. */
const LEAST_MATCH = 4;

interface Block {
  bytes: Uint8Array;
  isPacked: boolean;
}

/** The blocks of all frames, one after another. */
function* blocksOf(packed: Uint8Array): Generator<Block, void, void> {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  for (let at = 0; at < packed.length; ) {
    if (view.getUint32(at, true) !== MAGIC) throw new Error("no frame of LZ4");
    const flags = view.getUint8(at + 4);
    at += 7 + ((flags & 8) !== 0 ? 8 : 0) + ((flags & 1) !== 0 ? 4 : 0);
    for (let size = view.getUint32(at, true); size !== 0; size = view.getUint32(at, true)) {
      const length = size & 0x7fffffff;
      at += 4;
      if (at + length > packed.length) throw new Error("a block of LZ4 that is cut off");
      yield { bytes: packed.subarray(at, at + length), isPacked: size >>> 31 === 0 };
      at += length + ((flags & 16) !== 0 ? 4 : 0);
    }
    at += 4 + ((flags & 4) !== 0 ? 4 : 0);
  }
}

/** A sequence of a block: literals, then a match that repeats what stands `offset` bytes before; none at the end. */
type OnSequence = (literalStart: number, literals: number, offset: number, matched: number) => void;

function eachSequence(block: Uint8Array, onSequence: OnSequence): void {
  let at = 0;
  const lengthFrom = (nibble: number): number => {
    let length = nibble;
    for (let byte = nibble === 15 ? 255 : 0; byte === 255; length += byte) {
      if (at >= block.length) throw new Error("a length of LZ4 that is cut off");
      byte = block[at++];
    }
    return length;
  };
  while (at < block.length) {
    const token = block[at++];
    const literals = lengthFrom(token >> 4);
    const start = at;
    at += literals;
    if (at > block.length) throw new Error("literals of LZ4 that are cut off");
    if (at === block.length) {
      onSequence(start, literals, 0, 0);
      return;
    }
    if (at + 2 > block.length) throw new Error("a match of LZ4 that is cut off");
    const offset = block[at] | (block[at + 1] << 8);
    at += 2;
    onSequence(start, literals, offset, lengthFrom(token & 15) + LEAST_MATCH);
  }
}

function unpackedLength(block: Uint8Array): number {
  let total = 0;
  eachSequence(block, (_, literals, __, matched) => {
    total += literals + matched;
  });
  return total;
}

/** Unpacks a block behind `start`, into which its matches may reach back. */
function unpackBlock(block: Uint8Array, out: Uint8Array, start: number): void {
  let end = start;
  eachSequence(block, (literalStart, literals, offset, matched) => {
    out.set(block.subarray(literalStart, literalStart + literals), end);
    end += literals;
    if (matched === 0) return;
    const from = end - offset;
    if (offset === 0 || from < 0) throw new Error("a match of LZ4 out of range");
    if (offset >= matched) out.copyWithin(end, from, from + matched);
    else for (let i = 0; i < matched; i++) out[end + i] = out[from + i]; // it repeats what it writes itself
    end += matched;
  });
}
