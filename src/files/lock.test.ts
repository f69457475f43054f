import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FolderLock } from "./index.ts";
import { isSameStart, linuxStart, processStart, secondsOfElapsed, startOfThisProcess } from "./process-start.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(root, { recursive: true }));

const host = hostname().replace(/[^\w.-]/g, "");
/** A folder with a lock that another process left. */
async function lockedBy(name: string, entry: string): Promise<string> {
  const folder = join(root, name);
  await mkdir(`${folder}.lock`, { recursive: true });
  await writeFile(join(`${folder}.lock`, entry), "");
  return folder;
}
async function otherProcess(): Promise<ChildProcess> {
  const child = spawn(process.execPath, ["-e", "console.log(1); setInterval(() => {}, 1000)"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  await once(child.stdout as NodeJS.ReadableStream, "data");
  return child;
}
const ended = async (child: ChildProcess) => {
  child.kill("SIGKILL");
  await once(child, "exit");
};

test("one holder at a time; release leaves nothing", async () => {
  const folder = join(root, "plain");
  const lock = await FolderLock.acquire(folder);
  await expect(FolderLock.acquire(folder)).rejects.toThrow(/no other process trains; received this process/);
  await lock.release();
  await (await FolderLock.acquire(folder)).release();
  expect(await readdir(root)).not.toContain("plain.lock");
});

test("of a living process it is refused, of a killed one taken over", async () => {
  const child = await otherProcess();
  const start = await processStart(child.pid as number);
  const folder = await lockedBy("other", `${child.pid}-${start}@${host}`);
  await expect(FolderLock.acquire(folder)).rejects.toThrow(new RegExp(`process ${child.pid}, which trains in it`));
  expect(await readdir(`${folder}.lock`)).toHaveLength(1);
  await ended(child);
  await (await FolderLock.acquire(folder)).release();
});

test("a process that got the id of the holder is not the holder", async () => {
  const child = await otherProcess();
  const folder = await lockedBy("reused", `${child.pid}-12345.deadbeef@${host}`);
  await (await FolderLock.acquire(folder)).release();
  await ended(child);
});

test("a holder on another machine lives as long as it says so", async () => {
  const folder = await lockedBy("far", "1-1@elsewhere");
  await expect(FolderLock.acquire(folder)).rejects.toThrow(/process 1 on elsewhere/);
  const longAgo = new Date(Date.now() - 600_000);
  await utimes(join(`${folder}.lock`, "1-1@elsewhere"), longAgo, longAgo);
  await (await FolderLock.acquire(folder)).release();
});

describe("when a process began", () => {
  test("this one, a living one, one that is gone", async () => {
    expect(isSameStart((await processStart(process.pid)) as string, startOfThisProcess())).toBe(true);
    const child = await otherProcess();
    expect(
      isSameStart(
        (await processStart(child.pid as number)) as string,
        (await processStart(child.pid as number)) as string,
      ),
    ).toBe(true);
    await ended(child);
    expect(await processStart(child.pid as number)).toBe("gone");
  });

  test("by the words of each system", () => {
    const stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 1 0 0 0 1 2 0 0 20 0 7 0 987654 100 5 18446744073709551615";
    expect(linuxStart(stat, "boot")).toBe("987654.boot");
    expect(linuxStart(stat.replace(" S ", " Z "), "boot")).toBe("gone");
    expect(["05", "01:05", "02:00:05", "3-00:00:01"].map(secondsOfElapsed)).toEqual([5, 65, 7205, 259_201]);
  });
});
