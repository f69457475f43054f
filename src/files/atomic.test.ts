import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { disk, faultAtEach, Killed } from "../testing/dying-disk.ts";
import { completeFolder, writeFileAtomic, writeFolderAtomic } from "./index.ts";

vi.mock("node:fs/promises", async (original) => (await import("../testing/dying-disk.ts")).disk.wrap(await original()));

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(root, { recursive: true }));

const clear = async () => {
  for (const name of await readdir(root)) await rm(join(root, name), { recursive: true });
};

test("a file is old or new, whenever the program is killed", async () => {
  const path = join(root, "file");
  const operations = await faultAtEach(() => writeFileAtomic(path, "new content"), {
    prepare: () => writeFileAtomic(path, "old content"),
    check: async () => {
      expect(["old content", "new content"]).toContain(await readFile(path, "utf8"));
      await writeFileAtomic(path, "next");
      expect(await readFile(path, "utf8")).toBe("next");
    },
  });
  expect(operations.map((operation) => operation.split(" ")[0])).toEqual(["open", "write", "write", "rename"]);
});

const fillWith = (text: string) => async (temporary: string) => {
  for (const name of ["a", "b", "c"]) await writeFile(join(temporary, name), text);
};
const contentOf = async (path: string) => {
  const folder = await completeFolder(path);
  return Promise.all((await readdir(folder ?? root)).map((name) => readFile(join(folder ?? root, name), "utf8")));
};

test("a folder is whole and can be written again, whenever the program is killed, and killed again", async () => {
  const path = join(root, "folder");
  let kills = 0;
  const killedWrite = async (text: string, dieAt: number) => {
    disk.reset(dieAt);
    const error = await writeFolderAtomic(path, fillWith(text)).catch((cause) => cause);
    disk.reset();
    if (error) expect(error).toBeInstanceOf(Killed);
    return error !== undefined;
  };
  for (let first = 0; ; first++) {
    let wasKilled = true;
    for (let second = 0; ; second++) {
      await clear();
      await writeFolderAtomic(path, fillWith("1"));
      wasKilled = await killedWrite("2", first);
      const afterFirst = await contentOf(path);
      expect(["1,1,1", "2,2,2"]).toContain(afterFirst?.join());
      const wasKilledAgain = await killedWrite("3", second);
      kills++;
      expect([afterFirst?.join(), "3,3,3"]).toContain((await contentOf(path))?.join());
      await writeFolderAtomic(path, fillWith("4"));
      expect(await contentOf(path)).toEqual(["4", "4", "4"]);
      expect(await readdir(root)).toEqual(["folder"]); // nothing is left lying about
      if (!wasKilledAgain) break;
    }
    if (!wasKilled) break;
  }
  expect(kills).toBeGreaterThan(200);
});

test("what fails for another reason leaves the old folder and nothing else", async () => {
  await clear();
  const path = join(root, "folder");
  await writeFolderAtomic(path, fillWith("1"));
  const fails = async (temporary: string) => {
    await writeFile(join(temporary, "a"), "half");
    throw new RangeError("no");
  };
  await expect(writeFolderAtomic(path, fails)).rejects.toThrow(RangeError);
  expect(await contentOf(path)).toEqual(["1", "1", "1"]);
  expect(await readdir(root)).toEqual(["folder"]);
});
