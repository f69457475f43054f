import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { DataError, isObject, type OnWarning, OptionError, warnOnConsole } from "../base/index.ts";
import { exists, FolderLock, ownerModes, readJson, writeFileAtomic } from "../files/index.ts";
import { type ApiKey, checkKeyLimits, checkKeyName, hashOfKey, type KeyLimits, newKey } from "./api-key.ts";

const VERSION = 1;
const READABLE_BY_GROUP = 0o040;
const READABLE_BY_OTHERS = 0o004;

/**
 * The keys of a file. One that others than its owner may read is warned of, not refused: it has hashes alone.
 * @throws DataError when the file is missing or is no file of keys; OptionError for limits that cannot be
 */
export async function readKeyFile(path: string, { onWarning = warnOnConsole }: ReadOptions = {}): Promise<ApiKey[]> {
  const json = await readJson(path);
  const { mode, uid } = await stat(path);
  // a file of somebody else may be ours to read by its group alone, as secrets of Kubernetes are
  const isOurs = uid === process.getuid?.();
  const mask = READABLE_BY_OTHERS | (isOurs ? READABLE_BY_GROUP : 0);
  if (process.platform !== "win32" && (mode & mask) !== 0)
    onWarning({
      where: path,
      notes: [`others may read the hashes of the keys; chmod 600 ${basename(path)} takes that from them`],
    });
  return keysOf(json, path);
}

interface ReadOptions {
  /** @default the console */
  onWarning?: OnWarning;
}

/**
 * Adds a new key to a file, which it makes when there is none.
 * @returns the key, which is kept nowhere else
 * @throws OptionError for a name that is taken or none, and limits that cannot be; DataError when the file is no file
 *   of keys, cannot be written, or another process is writing it
 */
export async function addKey(path: string, name: string, limits: KeyLimits = {}): Promise<string> {
  checkKeyName(name);
  checkKeyLimits("keys", limits);
  const key = newKey();
  await changeKeys(path, (keys) => {
    if (keys.some((other) => other.name === name))
      throw new OptionError({
        where: path,
        expected: "a name that no key has",
        received: `"${name}", which one has`,
        fix: "choose another name, or revoke that key first",
      });
    return [...keys, { name, hash: hashOfKey(key), created: new Date().toISOString(), limits }];
  });
  return key;
}

/** Takes a key out of a file. @throws as `addKey`, and OptionError when no key has the name */
export async function revokeKey(path: string, name: string): Promise<void> {
  await changeKeys(path, (keys) => {
    const rest = keys.filter((key) => key.name !== name);
    if (rest.length < keys.length) return rest;
    const names = keys.map((key) => key.name).join(", ");
    throw new OptionError({
      where: path,
      expected: "the name of a key",
      received: `"${name}"`,
      fix: names ? `name one of ${names}` : "add a key first",
    });
  });
}

/** Two that change a file at the same time would lose the change of one: there is a lock beside it. */
async function changeKeys(path: string, change: (keys: readonly ApiKey[]) => readonly ApiKey[]): Promise<void> {
  const lock = await FolderLock.acquire(path);
  try {
    const keys = (await exists(path)) ? keysOf(await readJson(path), path) : [];
    const json = { version: VERSION, keys: change(keys) };
    await writeFileAtomic(path, `${JSON.stringify(json, null, 2)}\n`, { mode: ownerModes.file });
  } finally {
    await lock.release();
  }
}

const HASH = /^[0-9a-f]{64}$/;

function keysOf(json: Record<string, unknown>, path: string): ApiKey[] {
  if (json.version !== VERSION || !Array.isArray(json.keys)) {
    const fields = Object.keys(json).join(", ");
    throw damaged(path, `{ "version": ${VERSION}, "keys": [...] }`, fields ? `the fields ${fields}` : "no fields");
  }
  const keys = json.keys.map((entry, i) => keyOf(entry, `${path}: keys[${i}]`));
  for (const field of ["name", "hash"] as const) {
    const values = keys.map((key) => key[field]);
    if (new Set(values).size < values.length) throw damaged(path, `a ${field} for each key`, "one that two keys have");
  }
  return keys;
}

function keyOf(entry: unknown, where: string): ApiKey {
  if (!isObject(entry)) throw damaged(where, "an object with name, hash, created and limits", typeof entry);
  const { name, hash, created, limits = {} } = entry;
  if (typeof name !== "string") throw damaged(where, "a name", typeof name);
  checkKeyName(name);
  if (typeof hash !== "string" || !HASH.test(hash)) throw damaged(where, "a hash of 64 hexadecimal digits", "another");
  if (typeof created !== "string" || Number.isNaN(Date.parse(created)))
    throw damaged(where, "a time in ISO 8601 as created", JSON.stringify(created) ?? "nothing");
  if (!isObject(limits)) throw damaged(where, "limits to be an object", typeof limits);
  checkKeyLimits(where, limits);
  return { name, hash, created, limits };
}

function damaged(where: string, expected: string, received: string): DataError {
  return new DataError({ where, expected, received, fix: "restore the file, or add keys to a new one" });
}
