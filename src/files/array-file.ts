import {
  closeSync,
  codeIdentity,
  createHash,
  join,
  openSync,
  randomUUID,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "#system";
import { hashNumbers, noteHash } from "../base/index.ts";
import { cacheFolder, removeLeastUsed } from "./cache-folder.ts";
import { makeFolderSync } from "./folder.ts";
import { canMap, LEAST_MAPPED_BYTES, mapBytes } from "./mapped.ts";
import { ownerModes } from "./owner-modes.ts";

/** Beginnings of arrays: pages of all systems begin there. */
const ALIGNMENT = 2 ** 16;
/** Bytes of a model's file from which on it is worth it, and up to which: the disk is the user's. */
const LEAST_BYTES = 2 ** 24;
const MOST_BYTES = 4 * 2 ** 30;
/** What must be free on the disk, of the size of the model's file: the arrays have up to twice as many bytes. */
const FREE_FACTOR = 4;
/** The least recently used files beyond this are removed. */
const FOLDER_BYTES = 8 * 2 ** 30;

type Numbers = Uint8Array | Float32Array;

/** Where an array is in the file, and the hash of its numbers. */
interface Place {
  at: number;
  bytes: number;
  type: "u8" | "f32";
  hash: string;
}

/** A list of things that have arrays, and what else is to be known of them. */
interface Index<T> {
  items: { about: T; arrays: Place[] }[];
}

/** Arrays that are kept together, and what is to be known of them. */
export interface Kept<T> {
  about: T;
  arrays: readonly Numbers[];
}

/**
 * Arrays that were made of the numbers of a model's file, in a file of their own that is mapped, for the next program
 * that would make them. They come in the order in which they were made. What cannot be read or written is made anew,
 * without a word: a cache is no reason to fail.
 */
export class ArrayFile<T> {
  private readonly folder: string;
  private readonly key: string;
  /** Where it is written; of no other process, also of one that ended in the middle. */
  private readonly temporary: string;
  private readonly file: number;
  private readonly known: Index<T> | undefined;
  private readonly written: Index<T> = { items: [] };
  /** Where the next array is written. */
  private end = 0;
  private next = 0;
  private isWhole = true;

  private constructor(folder: string, key: string, known: Index<T> | undefined) {
    this.folder = folder;
    this.key = key;
    this.known = known;
    this.temporary = this.path(`.${randomUUID()}.tmp`);
    this.file = known ? openSync(this.path(".bin"), "r") : openSync(this.temporary, "wx+", ownerModes.file);
  }

  /**
   * @param source path of the model's file
   * @param purpose what the arrays are, with all that they depend on besides the file and the code
   * @returns undefined for a file too small or too large, where files are not mapped, no cache is wanted, or there is
   *   no place for it
   */
  static open<T>(source: string, purpose: string): ArrayFile<T> | undefined {
    const folder = cacheFolder("weights");
    if (folder === undefined || !canMap()) return undefined;
    try {
      const { size, mtimeMs, ino, dev } = statSync(source);
      if (size < LEAST_BYTES || size > MOST_BYTES) return undefined;
      const identity = [size, mtimeMs, ino, dev, purpose, codeIdentity(["base", "files", "nn", "models"])];
      const key = createHash("sha256").update(identity.join("\n")).digest("hex");
      makeFolderSync(folder);
      const known = readIndex<T>(join(folder, key));
      const { bavail, bsize } = statfsSync(folder);
      if (!known && bavail * bsize < FREE_FACTOR * size) return undefined;
      return new ArrayFile<T>(folder, key, known);
    } catch {
      return undefined;
    }
  }

  private path = (suffix: string) => join(this.folder, `${this.key}${suffix}`);

  /** The next item: from the file if it is the expected one, otherwise what `make` makes. */
  take(isExpected: (about: T) => boolean, make: () => Kept<T>): Kept<T> {
    const kept = this.known?.items[this.next++];
    const arrays = kept && isExpected(kept.about) ? kept.arrays.map((place) => this.read(place)) : undefined;
    if (kept && arrays?.every((array) => array !== undefined)) return { about: kept.about, arrays };
    if (this.known) this.isWhole = false;
    const item = make();
    return this.known || !this.isWhole ? item : this.keep(item);
  }

  private keep(item: Kept<T>): Kept<T> {
    try {
      const places = item.arrays.map((array) => this.write(array));
      this.written.items.push({ about: item.about, arrays: places });
      return { ...item, arrays: places.map((place, i) => this.read(place) ?? item.arrays[i]) };
    } catch {
      this.isWhole = false; // the disk is full
      return item;
    }
  }

  private write(array: Numbers): Place {
    const { buffer, byteOffset, byteLength: bytes } = array;
    const data = new Uint8Array(buffer, byteOffset, bytes);
    const at = this.end;
    for (let done = 0; done < bytes; ) done += writeSync(this.file, data, done, bytes - done, at + done);
    this.end = Math.ceil((at + bytes) / ALIGNMENT) * ALIGNMENT;
    return { at, bytes, type: array instanceof Float32Array ? "f32" : "u8", hash: hashNumbers(array) };
  }

  private read({ at, bytes, type, hash }: Place): Numbers | undefined {
    const data = bytes < LEAST_MAPPED_BYTES ? this.copy(at, bytes) : mapBytes(this.file, at, bytes);
    if (!data) return undefined;
    const array = type === "u8" ? data : new Float32Array(data.buffer, data.byteOffset, bytes / 4);
    noteHash(array, hash);
    return array;
  }

  private copy(at: number, bytes: number): Uint8Array | undefined {
    const data = new Uint8Array(bytes);
    return readSync(this.file, data, 0, bytes, at) === bytes ? data : undefined;
  }

  /** The end of the items. Arrays that were given stay. @param isDone all items were taken. @default true */
  close(isDone = true): void {
    this.isWhole &&= isDone;
    try {
      closeSync(this.file);
      const isUsed = this.known && this.isWhole && this.next === this.known.items.length;
      const now = new Date();
      if (isUsed) utimesSync(this.path(".json"), now, now);
      else if (this.known) rmSync(this.path(".json"), { force: true });
      else if (this.isWhole) this.commit();
      else rmSync(this.temporary, { force: true });
    } catch {
      rmSync(this.temporary, { force: true });
    }
  }

  private commit(): void {
    const index = this.path(`.${randomUUID()}.tmp`);
    renameSync(this.temporary, this.path(".bin"));
    writeFileSync(index, JSON.stringify(this.written), { mode: ownerModes.file });
    renameSync(index, this.path(".json")); // last: from now on it is found
    removeLeastUsed(this.folder, FOLDER_BYTES);
  }
}

/** What a file holds, if it is whole: all but the gap behind its last array. */
function readIndex<T>(path: string): Index<T> | undefined {
  try {
    const index = JSON.parse(readFileSync(`${path}.json`, "utf8")) as Index<T>;
    const ends = index.items.flatMap(({ arrays }) => arrays.map(({ at, bytes }) => at + bytes));
    return statSync(`${path}.bin`).size === Math.max(...ends) ? index : undefined;
  } catch {
    return undefined;
  }
}
