/** Arrays that are kept for the next start: the same numbers, and anew where something has changed. */
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { hashNumbers, knownHash } from "../base/index.ts";
import { ArrayFile, isMapped, removeLeastUsed, SpillFile } from "./index.ts";

let folder: string;
let source: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kindling-arrays-"));
  source = join(folder, "model.gguf");
  writeFileSync(source, "");
  truncateSync(source, 2 ** 24); // the least that is worth it
  vi.stubEnv("KINDLING_CACHE", join(folder, "cache"));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const cached = () => readdirSync(join(folder, "cache", "weights")).sort();
const numbers = (length: number, seed: number) => Uint8Array.from({ length }, (_, i) => (i * 31 + seed) ^ (i >> 8));
const items = [
  { about: "large", arrays: [numbers(200_000, 1), new Float32Array(20_000).fill(0.5)] },
  { about: "small", arrays: [numbers(100, 2), Float32Array.of(1, 2, 3)] },
];

/** Takes all items. Returns which were made, and what came. */
function takeAll(purpose = "test", list = items) {
  const file = ArrayFile.open<string>(source, purpose) as ArrayFile<string>;
  const fresh: string[] = [];
  const taken = list.map((item) =>
    file.take(
      (about) => about === item.about,
      () => {
        fresh.push(item.about);
        return item;
      },
    ),
  );
  file.close();
  return { fresh, taken };
}

describe.skipIf(SpillFile.open() === undefined)("an array file", () => {
  test("has arrays for the next start, which maps the large ones and knows their hashes", () => {
    const first = takeAll();
    expect(first.fresh).toEqual(["large", "small"]);
    expect(cached().map((name) => name.replace(/^[0-9a-f]{64}/, ""))).toEqual([".bin", ".json"]);
    for (const name of cached()) expect(statSync(join(folder, "cache", "weights", name)).mode & 0o77).toBe(0);
    const second = takeAll();
    expect(second.fresh).toEqual([]);
    for (const { taken } of [first, second]) {
      expect(taken).toEqual(items);
      for (const { arrays } of taken) for (const array of arrays) expect(knownHash(array)).toBe(hashNumbers(array));
      expect(taken[0].arrays.every((array) => isMapped(array))).toBe(true);
    }
  });

  test("makes them anew for another purpose, and when the model's file has changed", () => {
    takeAll();
    expect(takeAll("another").fresh).toHaveLength(2);
    utimesSync(source, new Date(), new Date(Date.now() - 5000));
    expect(takeAll().fresh).toHaveLength(2);
    expect(takeAll().fresh).toEqual([]);
  });

  test("makes anew what is not as expected, and forgets the file", () => {
    takeAll();
    expect(takeAll("test", [...items].reverse()).fresh).toEqual(["small", "large"]);
    expect(takeAll().fresh).toHaveLength(2);
    expect(takeAll("test", items.slice(0, 1)).fresh).toEqual([]); // fewer than there are
    expect(takeAll().fresh).toHaveLength(2);
  });

  test.each([
    ["a file that was cut", (path: string) => truncateSync(`${path}.bin`, 100)],
    ["an index that is none", (path: string) => writeFileSync(`${path}.json`, "{")],
    ["an index of something else", (path: string) => writeFileSync(`${path}.json`, '{"items":[{}]}')],
    ["no arrays", (path: string) => rmSync(`${path}.bin`)],
  ])("makes them anew for %s", (_, damage) => {
    takeAll();
    damage(join(folder, "cache", "weights", cached()[0].replace(/\.bin$/, "")));
    const { fresh, taken } = takeAll();
    expect(fresh).toHaveLength(2);
    expect(taken).toEqual(items);
    expect(takeAll().fresh).toEqual([]);
  });

  test("leaves nothing of what was not finished", () => {
    const file = ArrayFile.open<string>(source, "test") as ArrayFile<string>;
    const [{ about }] = items;
    expect(() =>
      file.take(
        () => true,
        () => {
          throw new Error(about);
        },
      ),
    ).toThrow("large");
    file.close(false);
    expect(cached()).toEqual([]);
  });

  test("is not opened where no cache is wanted, and for files that are small, not there, or in no place", () => {
    vi.stubEnv("KINDLING_CACHE", "off");
    expect(ArrayFile.open(source, "test")).toBeUndefined();
    vi.stubEnv("KINDLING_CACHE", "/dev/null/nowhere");
    expect(ArrayFile.open(source, "test")).toBeUndefined();
    vi.stubEnv("KINDLING_CACHE", folder);
    expect(ArrayFile.open(join(folder, "none"), "test")).toBeUndefined();
    truncateSync(source, 2 ** 24 - 1);
    expect(ArrayFile.open(source, "test")).toBeUndefined();
  });
});

test("what was used least recently is removed, with all its parts, and what was left of writing after an hour", () => {
  const ago = (seconds: number) => new Date(Date.now() - seconds * 1000);
  const write = (name: string, bytes: number, seconds: number) => {
    writeFileSync(join(folder, name), new Uint8Array(bytes));
    utimesSync(join(folder, name), ago(seconds), ago(seconds));
  };
  rmSync(source);
  for (const [i, name] of ["old", "middle", "new"].entries()) {
    write(`${name}.bin`, 1000, 9000); // of its writing, not of its use
    write(`${name}.json`, 10, 300 - 100 * i);
  }
  write("left.tmp", 10, 4000);
  write("under-way.tmp", 10, 10);
  removeLeastUsed(folder, 2500);
  expect(readdirSync(folder).sort()).toEqual(["middle.bin", "middle.json", "new.bin", "new.json", "under-way.tmp"]);
});
