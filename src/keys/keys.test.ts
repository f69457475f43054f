/** Keys in a file, and what knows them again. */
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Warning } from "../base/index.ts";
import { addKey, hashOfKey, KeyRing, newKey, readKeyFile, revokeKey } from "./index.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-keys-"));
  path = join(folder, "keys.json");
});
afterEach(() => rm(folder, { recursive: true }));

test("a key has 256 random bits, and a beginning that scanners for secrets know", () => {
  const keys = Array.from({ length: 50 }, newKey);
  for (const key of keys) expect(key).toMatch(/^sk-kindling-[\w-]{43}$/);
  expect(new Set(keys).size).toBe(50);
});

describe("the file", () => {
  test("keeps the hash of a key and never the key, for its owner alone", async () => {
    const key = await addKey(path, "app", { requestsPerMinute: 60, models: ["tiny"] });
    const text = await readFile(path, "utf8");
    expect(text).not.toContain(key);
    expect(text).not.toContain(key.slice("sk-kindling-".length, 24));
    const [entry] = await readKeyFile(path);
    expect(entry).toEqual({
      name: "app",
      hash: hashOfKey(key),
      created: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      limits: { requestsPerMinute: 60, models: ["tiny"] },
    });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test("loses no key of two that are added at the same time", async () => {
    const results = await Promise.allSettled(["a", "b"].map((name) => addKey(path, name)));
    const added = results.filter(({ status }) => status === "fulfilled").length;
    expect(added).toBeGreaterThan(0);
    expect(await readKeyFile(path)).toHaveLength(added); // the other was told that the file is being written
  });

  test("gives up a key that is revoked, and says which there are", async () => {
    await addKey(path, "a");
    await addKey(path, "b");
    await revokeKey(path, "a");
    expect((await readKeyFile(path)).map(({ name }) => name)).toEqual(["b"]);
    await expect(revokeKey(path, "a")).rejects.toThrow(/received "a"\. Fix: name one of b/);
    await expect(addKey(path, "b")).rejects.toThrow(/a name that no key has; received "b"/);
  });

  test("that others may read is warned of", async () => {
    await addKey(path, "a");
    const warnings: Warning[] = [];
    await readKeyFile(path, { onWarning: (warning) => warnings.push(warning) });
    expect(warnings).toEqual([]);
    await writeFile(path, await readFile(path), { mode: 0o644 });
    await rm(path);
    await writeFile(path, '{"version":1,"keys":[]}', { mode: 0o644 });
    await readKeyFile(path, { onWarning: (warning) => warnings.push(warning) });
    expect(warnings[0].notes[0]).toMatch(/chmod 600 keys\.json/);
  });

  test.each<[string, string, RegExp]>([
    ["no JSON", "{", /expected a file with a JSON object/],
    ["another version", '{"version":2,"keys":[]}', /"version": 1/],
    ["no list", '{"version":1,"keys":{}}', /"keys": \[\.\.\.\]/],
    ["no object", '{"version":1,"keys":["x"]}', /keys\[0\]: expected an object/],
    ["no name", '{"version":1,"keys":[{}]}', /keys\[0\]: expected a name/],
    ["a name with a line break", entry({ name: "a\nb" }), /a name of letters/],
    ["no hash", entry({ hash: "abc" }), /a hash of 64 hexadecimal digits/],
    ["no time", entry({ created: "yesterday" }), /a time in ISO 8601/],
    ["an unknown limit", entry({ limits: { requestPerMinute: 1 } }), /did you mean "requestsPerMinute"/],
    ["a limit of nothing", entry({ limits: { concurrency: 0 } }), /concurrency to be a whole number from 1/],
    ["a limit that is no number", entry({ limits: { tokensPerDay: "9" } }), /tokensPerDay to be a whole number/],
    ["models that are none", entry({ limits: { models: [] } }), /models to be a list of names/],
    ["two of one name", '{"version":1,"keys":[' + `${inner({})},${inner({})}]}`, /a name for each key/],
  ])("with %s is refused", async (_, text, message) => {
    await writeFile(path, text, { mode: 0o600 });
    await expect(readKeyFile(path)).rejects.toThrow(message);
  });

  test("that is missing is no file of no keys", async () => {
    await expect(readKeyFile(path)).rejects.toThrow(/keys\.json/);
  });
});

function inner(changes: object): string {
  return JSON.stringify({ name: "a", hash: "0".repeat(64), created: "2026-01-01T00:00:00Z", ...changes });
}
function entry(changes: object): string {
  return `{"version":1,"keys":[${inner(changes)}]}`;
}

test("a ring knows its keys and no others", () => {
  const keys = ["a", "b", "c"].map((name) => ({ name, key: newKey() }));
  const ring = new KeyRing(
    keys.map(({ name, key }) => ({ name, hash: hashOfKey(key), created: "2026-01-01T00:00:00Z", limits: {} })),
  );
  for (const { name, key } of keys) {
    expect(ring.find(key)?.name).toBe(name);
    for (const wrong of [key.slice(0, -1), `${key}x`, key.toUpperCase(), ` ${key}`, hashOfKey(key)])
      expect(ring.find(wrong)).toBeUndefined();
  }
  expect(ring.find("")).toBeUndefined();
  expect(new KeyRing([]).find(newKey())).toBeUndefined();
});
