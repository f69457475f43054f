import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DataError, limits } from "../../base/index.ts";
import { collect } from "../../testing/collect.ts";
import { openRows } from "../index.ts";
import { TableThread } from "./table-thread.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** An Arrow stream of golden files, changed. */
async function changed(change: (bytes: Buffer) => Buffer): Promise<string> {
  const bytes = await readFile(new URL("../../../golden/tables/stream.arrow", import.meta.url));
  const path = join(folder, "x.arrow");
  await writeFile(path, change(bytes));
  return path;
}
/** Its lists end at four thousand millions. */
const wildOffsets = (bytes: Buffer) => bytes.fill(0xff, 2234, 2265);
/** Metadata whose lists begin at a wrong place: the library reads them for hours. */
const shifted = (bytes: Buffer) => Buffer.concat([bytes.subarray(0, 5024), Buffer.alloc(3), bytes.subarray(5024)]);

test("lists beyond their values are not read", async () => {
  const rows = await openRows(await changed(wildOffsets));
  await expect(collect(rows)).rejects.toThrow(/x\.arrow: expected a whole Arrow IPC file; received lists beyond/);
  await rows.close();
});

test("a table that takes too long or too much memory is given up, and the next one is read", async () => {
  const path = await changed(shifted);
  const sound = new URL("../../../golden/tables/none.parquet", import.meta.url).pathname;
  const tables = new TableThread([path, sound], { ...limits, tableSeconds: 1 });
  const rows = await tables.open(sound, "parquet");
  const error = await tables.open(path, "arrow").then(collect, (reason) => reason);
  expect(error).toBeInstanceOf(DataError);
  expect(error.message).toMatch(/at most 10 seconds .* \(limit tableSeconds\)/);
  expect(await collect(rows)).toHaveLength(4);
  await rows.close();
  const small = new TableThread([path], { ...limits, tableHeapMebibytes: 16 });
  await expect(small.open(path, "arrow").then(collect)).rejects.toThrow(/\(limit tableHeapMebibytes\)/);
});

test("an open table keeps no program alive", async () => {
  const [{ execFile }, { promisify }] = await Promise.all([import("node:child_process"), import("node:util")]);
  const data = new URL("../../../dist/data/index.js", import.meta.url).href;
  const sound = new URL("../../../golden/tables/zstd.feather", import.meta.url).pathname;
  const source = `import { openRows } from ${JSON.stringify(data)};
    console.log((await (await openRows(${JSON.stringify(sound)})).row(3)) !== undefined);`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", source]);
  expect(stdout).toBe("true\n");
}, 60_000);
