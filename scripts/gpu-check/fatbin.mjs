// @ts-check
/**
 * CUDA's kernels inside a library ("fat binaries"): a header, then an entry for each architecture. Zeros in the place
 * of the entries for other cards leave the library as it is in all else, and compress to nothing.
 */
const MAGIC = 0xba55ed50;
const HEADER_BYTES = 16;
/** Kind of an entry that holds machine code; the other is PTX. */
const MACHINE_CODE = 2;

/** @param {Buffer} library changed in place @param {number} architecture such as 90 for compute capability 9.0 */
export function keepArchitecture(library, architecture) {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(MAGIC);
  for (let at = library.indexOf(magic); at >= 0; at = library.indexOf(magic, at + 4)) {
    if (library.readUInt16LE(at + 4) !== 1 || library.readUInt16LE(at + 6) !== HEADER_BYTES) continue;
    const end = at + HEADER_BYTES + Number(library.readBigUInt64LE(at + 8));
    if (end > library.length) continue;
    for (let entry = at + HEADER_BYTES; entry < end; ) {
      const kind = library.readUInt16LE(entry);
      const header = library.readUInt32LE(entry + 4);
      const bytes = Number(library.readBigUInt64LE(entry + 8));
      const isKept = kind === MACHINE_CODE && library.readUInt32LE(entry + 28) === architecture;
      if (!isKept) library.fill(0, entry + header, entry + header + bytes);
      if (header + bytes === 0) break; // no entry
      entry += header + bytes;
    }
  }
}
