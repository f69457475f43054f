import type { CodePoints } from "./code-points.ts";

/** Ranges of bytes, one for each byte of a character: first, last, first, last... */
export type ByteRanges = readonly number[];

/** The last code points that one, two, three and four bytes hold. */
const LAST_OF_LENGTH = [0x7f, 0x7ff, 0xffff, 0x10ffff];

/**
 * The characters of a set in UTF-8, as sequences of ranges of bytes: each sequence stands for all characters whose
 * first byte is in its first range, whose second in its second, and so on.
 */
export function utf8Sequences(set: CodePoints): ByteRanges[] {
  const sequences: ByteRanges[] = [];
  for (let i = 0; i < set.length; i += 2) addRange(set[i], set[i + 1], sequences);
  return sequences;
}

function addRange(first: number, last: number, sequences: ByteRanges[]): void {
  const length = LAST_OF_LENGTH.findIndex((end) => first <= end) + 1;
  const end = LAST_OF_LENGTH[length - 1];
  if (last > end) {
    addRange(first, end, sequences);
    addRange(end + 1, last, sequences);
    return;
  }
  // cut where the last bytes do not go through all of 80 to bf
  for (let bits = 6; bits < 6 * length; bits += 6) {
    const block = 2 ** bits;
    const [firstBlock, lastBlock] = [Math.floor(first / block), Math.floor(last / block)];
    if (firstBlock === lastBlock) continue;
    const cut =
      first % block !== 0 ? (firstBlock + 1) * block : last % block !== block - 1 ? lastBlock * block : undefined;
    if (cut === undefined) continue;
    addRange(first, cut - 1, sequences);
    addRange(cut, last, sequences);
    return;
  }
  const [from, to] = [bytesOf(first, length), bytesOf(last, length)];
  sequences.push(from.flatMap((byte, i) => [byte, to[i]]));
}

/** A code point in a number of bytes. */
function bytesOf(code: number, length: number): number[] {
  if (length === 1) return [code];
  const bytes: number[] = [];
  let rest = code;
  for (let i = 1; i < length; i++) {
    bytes.unshift(0x80 | (rest & 0x3f));
    rest >>= 6;
  }
  const mark = [0, 0, 0xc0, 0xe0, 0xf0][length];
  return [mark | rest, ...bytes];
}
