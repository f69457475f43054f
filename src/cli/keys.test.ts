/** `kindling keys`, as it is typed. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { hashOfKey, readKeyFile } from "../keys/index.ts";
import { createProgram } from "./program.ts";

let folder: string;
let output = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-keys-"));
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    output += text;
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation(() => true);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

async function keys(...words: string[]): Promise<string> {
  output = "";
  await createProgram().parseAsync(["node", "kindling", "keys", ...words, "--file", join(folder, "keys.json")]);
  return output;
}

test("adds a key and prints it once, shows what there is, and takes it away", async () => {
  const audit = join(folder, "audit.jsonl");
  const limits = ["--requests-per-minute", "60", "--tokens-per-day", "1000", "--model", "a", "--model", "b"];
  const key = (await keys("add", "app", ...limits, "--audit", audit)).trim();
  expect(key).toMatch(/^sk-kindling-[\w-]{43}$/);
  const [entry] = await readKeyFile(join(folder, "keys.json"));
  expect(entry).toMatchObject({
    name: "app",
    hash: hashOfKey(key),
    limits: { requestsPerMinute: 60, tokensPerDay: 1000, models: ["a", "b"] },
  });
  await keys("add", "free");
  const table = await keys("list");
  expect(table).toMatch(
    /^name {2}created {5}limits\napp {3}\d{4}-\d\d-\d\d {2}60 requests\/min, 1000 tokens\/day, models a b\n/,
  );
  expect(table).toMatch(/free .* none\n$/);
  expect(table + (await keys("list", "--json"))).not.toMatch(new RegExp(`${key}|${entry.hash}`));
  expect(JSON.parse(await keys("list", "--json"))).toHaveLength(2);
  expect(await keys("revoke", "app", "--audit", audit)).toBe("revoked app\n");
  expect(await readKeyFile(join(folder, "keys.json"))).toHaveLength(1);
  const events = (await readFile(audit, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(events).toMatchObject([
    { event: "key_added", key: "app" },
    { event: "key_revoked", key: "app" },
  ]);
  expect(JSON.stringify(events)).not.toContain(key);
});

test("limits and names that cannot be are refused, and nothing is written", async () => {
  await expect(keys("add", "app", "--concurrency", "0")).rejects.toThrow(/concurrency to be a whole number from 1/);
  await expect(keys("add", "a/b")).rejects.toThrow(/a name of letters/);
  await expect(readFile(join(folder, "keys.json"))).rejects.toThrow();
});
