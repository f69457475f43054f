/**
 * Parts of files as memory (mmap): nothing is read until it is touched, what is not changed is the system's to take
 * back, and processes share it. Changes stay with this process. The file must not be cut or overwritten meanwhile; one
 * that is replaced, as all files are that Kindling writes, may be.
 */
import { isMainThread } from "#system";
import { takeHandedOver } from "../base/index.ts";
import { type Koffi, loadKoffi } from "./koffi.ts";

/** Bytes from which on a part of a file is worth a mapping of its own. */
export const LEAST_MAPPED_BYTES = 2 ** 16;

/**
 * Mappings at a time, beyond which files are read: a process may have 65,530 on Linux, and needs them for its other
 * memory too.
 */
const MOST_MAPPINGS = 2 ** 14;

/** Bytes from which on a part is read: Node 20 ends the process when it is given more as one buffer. */
const TOO_MANY_BYTES = 2 ** 32 - 2 ** 16;

/** Constants of POSIX's mmap and madvise, the same on Linux and macOS. */
const READ_AND_WRITE = 3;
const PRIVATE = 2;
const DONT_NEED = 4;

interface System {
  koffi: Koffi;
  pageBytes: number;
  map(address: null, length: number, protection: number, flags: number, file: number, offset: number): bigint | null;
  unmap(address: bigint, length: number): number;
  advise(address: bigint, length: number, advice: number): number;
}

interface Place {
  address: bigint;
  length: number;
}

const mapped = new WeakMap<ArrayBufferLike, Place>();
const places = new Set<Place>();
const abandoned = new FinalizationRegistry<Place>((place) => {
  places.delete(place);
  system?.unmap(place.address, place.length);
});
let system: System | null | undefined;

/** The system's functions; null where there are none, or koffi is missing or not wanted. */
function openSystem(): System | null {
  if (process.platform === "win32" || process.env.KINDLING_BINDING === "onnxruntime-node") return null;
  try {
    const koffi = loadKoffi();
    // a thread that ends finalizes nothing; a run of it may still be under way, so the addresses stay
    if (!isMainThread) process.on("exit", () => places.forEach(giveBack));
    const library = koffi.load(null);
    const pageSize = library.func("int getpagesize()") as () => number;
    return {
      koffi,
      pageBytes: pageSize(),
      map: library.func("void *mmap(void *, size_t, int, int, int, int64_t)") as System["map"],
      unmap: library.func("int munmap(void *, size_t)") as System["unmap"],
      advise: library.func("int madvise(void *, size_t, int)") as System["advise"],
    };
  } catch {
    return null;
  }
}

/** Whether files can be mapped here at all. */
export function canMap(): boolean {
  if (system === undefined) system = openSystem();
  return system !== null;
}

/**
 * Bytes of an open file, which may be closed afterwards. The memory is given back when nobody refers to it.
 * @returns undefined where it is not mapped: little or very much of it, beside very many mappings, on Windows, without
 *   koffi
 */
export function mapBytes(file: number, begin: number, length: number): Uint8Array | undefined {
  if (length < LEAST_MAPPED_BYTES || length > TOO_MANY_BYTES || places.size >= MOST_MAPPINGS) return undefined;
  if (!canMap() || !system) return undefined;
  const { koffi, pageBytes, map } = system;
  const skipped = begin % pageBytes;
  const whole = length + skipped;
  const address = map(null, whole, READ_AND_WRITE, PRIVATE, file, begin - skipped);
  if (!address || BigInt.asIntN(64, address) === -1n) return undefined;
  const buffer = koffi.view(address, whole);
  const place = { address, length: whole };
  mapped.set(buffer, place);
  places.add(place);
  abandoned.register(buffer, place);
  return new Uint8Array(buffer, skipped, length);
}

/** Whether numbers are in mapped memory, which nobody changes but who they are given to. */
export const isMapped = ({ buffer }: ArrayBufferView): boolean => mapped.has(buffer);

/** Parts of mapped memory that somebody has for himself, by their first and last bytes. */
const claims = new WeakMap<ArrayBufferLike, [begin: number, end: number][]>();

/**
 * Whether numbers are, in mapped memory or handed over, from now on the caller's: nobody else has asked for them
 * before.
 */
export function claimMemory(numbers: ArrayBufferView): boolean {
  const { buffer, byteOffset, byteLength } = numbers;
  if (!mapped.has(buffer)) return takeHandedOver(numbers);
  const taken = claims.get(buffer) ?? [];
  const end = byteOffset + byteLength;
  if (taken.some(([from, to]) => byteOffset < to && from < end)) return false;
  claims.set(buffer, [...taken, [byteOffset, end]]);
  return true;
}

/**
 * Tells that mapped bytes are not needed for now, if they are mapped: memory that holds them is free for others.
 * Changes to them are lost.
 */
export function releasePages({ buffer }: ArrayBufferView): void {
  const place = mapped.get(buffer);
  if (place) giveBack(place);
}

const giveBack = ({ address, length }: Place) => system?.advise(address, length, DONT_NEED);
