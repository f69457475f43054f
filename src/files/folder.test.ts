import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FolderLock, makeFolder, writeFileAtomic, writeFolderAtomic } from "./index.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(root, { recursive: true }));

test("makes those above it too, also when several ask at once, and what is there stays", async () => {
  const path = join(root, "a", "b", "c");
  await Promise.all([makeFolder(path), makeFolder(join(root, "a", "b")), makeFolder(path)]);
  await writeFile(join(path, "x"), "x");
  await makeFolder(path);
  expect(await readdir(path)).toEqual(["x"]);
});

test("a file or a link to nothing in the way is an error", async () => {
  await writeFile(join(root, "file"), "");
  await symlink(join(root, "none"), join(root, "dangling"));
  for (const path of ["file", "file/x", "dangling", "dangling/x"])
    await expect(makeFolder(join(root, path))).rejects.toThrow(/EEXIST|ENOTDIR/);
});

/** A disk that has no new folders in it, and says so with "nothing there": as a mount that has gone. */
describe.skipIf(process.platform !== "linux")("a place where no folder can be made", () => {
  const place = "/proc/kindling/x";
  test.each<[string, () => Promise<unknown>]>([
    ["a lock", () => FolderLock.acquire(place)],
    ["a file", () => writeFileAtomic(join(place, "x.txt"), "x")],
    ["a folder", () => writeFolderAtomic(place, async () => {})],
  ])("is an error in four parts for %s", { timeout: 5000 }, async (_, write) => {
    await expect(write()).rejects.toThrow(
      /\/proc\/kindling: expected to write there; received nothing there\. Fix: check the path/,
    );
  });
});

test("every folder is made so", async () => {
  const source = fileURLToPath(new URL("..", import.meta.url));
  const names = (await readdir(source, { recursive: true })).filter(
    (name) => /\.ts$/.test(name) && !/\.test\.ts$|^testing/.test(name),
  );
  const others: string[] = [];
  for (const name of names)
    if (/\bmkdir\([^)]*recursive/.test(await readFile(join(source, name), "utf8"))) others.push(name);
  expect(others).toEqual([]);
});
