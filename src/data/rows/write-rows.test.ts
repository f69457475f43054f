import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { collect } from "../../testing/collect.ts";
import { openRows, type Row, writeRows } from "../index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

const nested: Row[] = Array.from({ length: 25_000 }, (_, i) => ({
  text: `a "${i}",\n😀`,
  n: i % 3 === 0 ? null : i,
  score: i / 4,
  flag: i % 2 === 0,
  tags: i % 5 === 0 ? [] : [`t${i % 7}`, null],
  messages: [{ role: "user", content: i % 2 ? null : "hi" }],
}));
const flat = nested.map(({ text, n }) => ({ text: String(text), n: n === null ? "" : String(n) }));

test.each([
  ["a.jsonl", nested],
  ["a.jsonl.gz", nested],
  ["a.json", nested],
  ["a.parquet", nested],
  ["a.csv", flat],
  ["a.tsv.gz", flat],
] as const)("%s is read as it was written", async (name, rows) => {
  const path = join(folder, name);
  const writer = await writeRows(path);
  for (const row of rows) await writer.write(row);
  expect(await readdir(folder)).not.toContain(name); // until it is whole
  await writer.close();
  const opened = await openRows(path);
  expect(await collect(opened)).toEqual(rows);
  await opened.close();
  await expect(writeRows(path)).rejects.toThrow(/a new file.*--force/);
});

test("mistakes leave nothing behind", async () => {
  const before = await readdir(folder);
  await expect(writeRows(join(folder, "a.xml"))).rejects.toThrow(/a name that ends in .jsonl/);
  const csv = await writeRows(join(folder, "b.csv"));
  await csv.write({ a: "1" });
  await expect(csv.write({ a: "1", b: "2" })).rejects.toThrow(/columns of the first: a; received one with "b"/);
  await csv.abort();
  const parquet = await writeRows(join(folder, "b.parquet"));
  await parquet.write({ a: 1 });
  await parquet.write({ a: "x" });
  await expect(parquet.close()).rejects.toThrow(/column.a: .*integer and string/);
  await parquet.abort();
  const text = await writeRows(join(folder, "b.txt"));
  await expect(text.write({ a: 1 })).rejects.toThrow(/a column text/);
  await text.abort();
  expect(await readdir(folder)).toEqual(before);
  await (await writeRows(join(folder, "a.csv"), { force: true })).close();
  expect(await readFile(join(folder, "a.csv"), "utf8")).toBe("");
});
