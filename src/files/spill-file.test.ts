/** Arrays in a file without a name: the same bytes, also after their pages were given back. */
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { describe, expect, test } from "vitest";
import { isMapped, releasePages, SpillFile } from "./index.ts";

const bytesOf = (length: number, seed: number) => Uint8Array.from({ length }, (_, i) => (i * 31 + seed) ^ (i >> 8));
const canSpill = SpillFile.open() !== undefined;

describe.skipIf(!canSpill)("a spill file", () => {
  test("gives the same bytes back, from the file, also when it is closed and pages are given back", () => {
    const file = SpillFile.open() as SpillFile;
    const arrays = [200_000, 65_536, 300_001].map((length, i) => bytesOf(length, i));
    const kept = arrays.map((bytes) => file.keep(bytes));
    file.close();
    for (const bytes of kept) expect(isMapped(bytes)).toBe(true);
    for (let round = 0; round < 2; round++) {
      for (const [i, bytes] of kept.entries()) expect(Buffer.compare(bytes, arrays[i])).toBe(0);
      for (const bytes of kept) releasePages(bytes);
    }
  });

  test("has no name in the folder of temporary files", async () => {
    const file = SpillFile.open() as SpillFile;
    file.keep(bytesOf(100_000, 1));
    expect((await readdir(tmpdir())).filter((name) => name.startsWith("kindling-") && name.length === 45)).toEqual([]);
    file.close();
  });

  test("leaves small arrays, and those that come when it is closed, as they are", () => {
    const file = SpillFile.open() as SpillFile;
    const small = bytesOf(100, 2);
    expect(file.keep(small)).toBe(small);
    file.close();
    const late = bytesOf(100_000, 3);
    expect(file.keep(late)).toBe(late);
  });
});
