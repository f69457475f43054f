import { sha256OfFile } from "../../files/index.ts";
import { fingerprintOf, makeRows, type Row, type Rows } from "./rows.ts";

/** A file whose rows are stored in blocks, each of which is read as a whole. */
export interface BlockFile {
  /** Rows of each block. */
  counts: readonly number[];
  read(block: number): Promise<readonly Row[]>;
  close(): Promise<void>;
}

/** So many blocks are kept, those asked for last. */
const KEPT_BLOCKS = 4;

/** Rows of a file of blocks. In another order than its own a block may be read again for each of its rows. */
export function blockRows(path: string, { counts, read, close }: BlockFile): Rows {
  const ends: number[] = [];
  for (const count of counts) ends.push((ends.at(-1) ?? 0) + count);
  const kept = new Map<number, Promise<readonly Row[]>>();
  const blockAt = (block: number): Promise<readonly Row[]> => {
    const rows = kept.get(block) ?? read(block);
    kept.delete(block);
    kept.set(block, rows); // the last of them is the one asked for last
    for (const oldest of [...kept.keys()].slice(0, Math.max(0, kept.size - KEPT_BLOCKS))) kept.delete(oldest);
    rows.catch(() => kept.delete(block));
    return rows;
  };
  return makeRows({
    count: ends.at(-1) ?? 0,
    row: async (index) => {
      let [low, high] = [0, ends.length - 1];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (ends[middle] > index) high = middle;
        else low = middle + 1;
      }
      return (await blockAt(low))[index - ends[low] + counts[low]];
    },
    all: async function* () {
      for (const block of counts.keys()) yield* await read(block);
    },
    placeOf: (index) => `${path}:${index + 1}`,
    fingerprint: async () => fingerprintOf("blocks", await sha256OfFile(path)),
    close,
  });
}
