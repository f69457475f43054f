import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { pull, removeRepository } from "../hub/index.ts";
import { removeRun, runFolder } from "../train/index.ts";
import { hostileNames } from "./hostile-names.ts";

/**
 * Everything that removes or replaces files, and what it may touch. Whoever adds to it adds a reason and, where a name
 * decides, a hostile one below.
 */
const deletions: Readonly<Record<string, string>> = {
  "cli/chat/history.ts": "its own temporary file, which takes the place of the history",
  "cli/train.ts":
    "a folder in the system's folder for temporary files, which it made, with the text from standard input",
  "compare/results.ts": "the end of a line that was cut off, of the results that it goes on with",
  "data/rows/text-rows.ts": "the temporary file that it unpacked a .gz file into",
  "data/rows/write-rows.ts": "its own temporary file, which takes the place of the file that is written",
  "data/tokenise/tokenise.ts": "a folder of the cache of tokens, by a sum, and its own .part of it",
  "deploy/write.ts":
    "files of an earlier deployment in its folder, by their hashes, and its own temporary ones; paths out of it are passed over",
  "files/array-file.ts":
    "its own temporary file in the cache of weights, and the index of one that is of something else",
  "files/atomic.ts": "its own temporary file; its own .tmp and .old of a folder that it replaces",
  "files/cache-folder.ts": "the least recently used files of a folder of caches, and what was left of writing there",
  "files/lock.ts": "its own entry, and those of processes that are gone, in a folder that ends in .lock",
  "files/spill-file.ts": "the name of the temporary file that it has just made",
  "hub/cached.ts":
    "kindling rm: what a hub's client wrote into a repository's folder in the cache; nothing where there is any other file",
  "hub/pull.ts": "blobs and links in the cache, below a repository's folder, whose name was checked",
  "methods/find.ts": "a folder in the system's folder for temporary files, which it made",
  "methods/run.ts":
    "train --restart: the parts of a run in a folder whose run.json is that of a run by a config; its model/ is only replaced, and what others put there stays",
  "models/save-pretrained.ts": "weights of an earlier save that would be read in place of the new ones, by their names",
  "runtime/graph-cache.ts": "its own temporary files in the cache of compiled graphs",
  "runtime/platform-node.ts": "a folder in the system's folder for temporary files, which it made",
  "serve/batches/results.ts": "the end of a line that was cut off, of results below the server's data folder",
  "serve/batches/runner.ts": "results of a batch that are a file now, below the server's data folder",
  "serve/batches/store.ts": "folders of batches below the server's data folder, by ids that it made",
  "serve/files/store.ts": "files below the server's data folder, by ids that it made",
  "tokenizers/save-files.ts":
    "files of the tokenizer that was in a folder before another is saved there, by the names that Tokenizer.open reads",
  "track/append-file.ts": "the end of its own file after a write that failed",
  "train/kept-checkpoints.ts":
    "checkpoints in checkpoints/ of a run, by names that it made, which are no longer among those to keep",
  "train/run-folder.ts": "the files of a run: train --restart, and removeRun; nothing where there is any other file",
  "tune/command.ts":
    "the folder of a trial below a study, of an attempt that was interrupted, before it is tried again",
  "tune/store.ts": "the end of a line that was cut off, of a study's trials",
  "tune/tune.ts": "a folder in the system's folder for temporary files, which it made",
};
const removes = /\b(rm|rmdir|unlink|rename|truncate)(Sync)?\(/;

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(root, { recursive: true }));

test("all that removes files is listed", async () => {
  const source = fileURLToPath(new URL("..", import.meta.url));
  const names = (await readdir(source, { recursive: true })).filter(
    (name) => /\.(ts|mjs)$/.test(name) && !/\.test\.ts$|^testing/.test(name),
  );
  const sources: string[] = [];
  for (const name of names) {
    const text = await readFile(join(source, name), "utf8");
    if (/from "(node:fs(\/promises)?|#system)"/.test(text) && removes.test(text))
      sources.push(name.replaceAll("\\", "/"));
  }
  // which cuts off the end of a file it is writing
  expect(sources.sort()).toEqual([...Object.keys(deletions), "data/prepare.ts"].sort());
});

test.each(hostileNames)("the name %j removes nothing", async (name) => {
  await mkdir(join(root, "runs", "good"), { recursive: true });
  await writeFile(join(root, "runs", "good", "run.json"), "{}");
  const before = await readdir(root, { recursive: true });
  const runs = join(root, "runs");
  await expect((async () => removeRun(runFolder(runs, name)))()).rejects.toThrow(/the name of a run/);
  await expect(pull(name, { cacheFolder: root, isOffline: true })).rejects.toThrow();
  await expect(removeRepository(name, { cacheFolder: root })).rejects.toThrow(/an id such as|a model in the cache/);
  expect(await readdir(root, { recursive: true })).toEqual(before);
});
