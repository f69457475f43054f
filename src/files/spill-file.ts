import { closeSync, join, openSync, randomUUID, statfsSync, tmpdir, unlinkSync, writeSync } from "#system";
import { canMap, LEAST_MAPPED_BYTES, mapBytes } from "./mapped.ts";
import { ownerModes } from "./owner-modes.ts";

/** Beginnings of arrays in the file: pages of all systems begin there. */
const ALIGNMENT = 2 ** 16;
/** Bytes up to which arrays are kept so: to write more would take seconds at each start. */
const MOST_BYTES = 2 ** 30;
/** Of statfs: file systems that are in memory themselves, tmpfs and ramfs. */
const inMemory = [0x01021994, 0x858458f6];

/**
 * Large arrays that are read seldom, in a file without a name that is gone with the process. Its pages are the
 * system's to take back, and `releasePages` gives them back at once; who reads the array afterwards has them from the
 * file.
 */
export class SpillFile {
  private readonly file: number;
  private end = 0;
  private isClosed = false;

  private constructor(file: number) {
    this.file = file;
  }

  /** @returns undefined where files are not mapped, or temporary ones are in memory or cannot be made */
  static open(): SpillFile | undefined {
    if (!canMap()) return undefined;
    try {
      const folder = tmpdir();
      if (inMemory.includes(statfsSync(folder).type)) return undefined;
      const path = join(folder, `kindling-${randomUUID()}`);
      const file = openSync(path, "wx+", ownerModes.file);
      unlinkSync(path);
      return new SpillFile(file);
    } catch {
      return undefined;
    }
  }

  /** The same bytes, which nobody changes, from the file; the array itself where that is not to be had. */
  keep(bytes: Uint8Array): Uint8Array {
    if (this.isClosed || bytes.byteLength < LEAST_MAPPED_BYTES || this.end + bytes.byteLength > MOST_BYTES)
      return bytes;
    try {
      for (let done = 0; done < bytes.byteLength; )
        done += writeSync(this.file, bytes, done, bytes.byteLength - done, this.end + done);
    } catch {
      return bytes; // the disk is full
    }
    const kept = mapBytes(this.file, this.end, bytes.byteLength);
    this.end += Math.ceil(bytes.byteLength / ALIGNMENT) * ALIGNMENT;
    return kept ?? bytes;
  }

  /** Arrays that were kept stay. */
  close(): void {
    this.isClosed = true;
    closeSync(this.file);
  }
}
