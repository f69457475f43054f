import type { BlockKind, BlockMatrix } from "../../base/index.ts";
import { ArrayFile, SpillFile } from "../../files/index.ts";

/** A kind of matrix, and how many numbers it has. */
interface About {
  kind: BlockKind;
  count: number;
}

/** Where the matrices of a model's weights are. */
export interface KeptBlocks {
  /** See BlockLayerOptions. */
  keep(kind: BlockKind, count: number, make: () => BlockMatrix): BlockMatrix;
  /** Those that were given stay. @param isDone all have been made */
  close(isDone: boolean): void;
}

/**
 * Keeps the matrices that are made of a file in a cache on the disk, from which the next start of a program has them;
 * where that is not to be had their integers in a file without a name, and otherwise in memory.
 * @param path of the file, if it is on this disk
 */
export function keptBlocks(path: string): KeptBlocks {
  const file = ArrayFile.open<About>(path, "matrices in blocks");
  if (file) return { keep: (...matrix) => fromFile(file, ...matrix), close: (isDone) => file.close(isDone) };
  const spill = SpillFile.open();
  return {
    keep: (_kind, _count, make) => {
      const matrix = make();
      return { ...matrix, packed: spill?.keep(matrix.packed) ?? matrix.packed };
    },
    close: () => spill?.close(),
  };
}

function fromFile(file: ArrayFile<About>, kind: BlockKind, count: number, make: () => BlockMatrix): BlockMatrix {
  const text = JSON.stringify({ kind, count });
  const { arrays } = file.take(
    (about) => JSON.stringify(about) === text,
    () => {
      const { packed, scales, minimums } = make();
      return { about: { kind, count }, arrays: minimums ? [packed, scales, minimums] : [packed, scales] };
    },
  );
  const [packed, scales, minimums] = arrays as [Uint8Array, Float32Array, Float32Array?];
  const { bits, blockSize, zero, float4 } = kind;
  return { bits, blockSize, zero, float4, packed, scales, minimums };
}
