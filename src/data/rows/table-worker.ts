/** The thread of `TableThread`: reads what it is asked of tables, which stay open until they are closed. */
import { parentPort } from "node:worker_threads";
import { KindlingError } from "../../base/index.ts";
import { openArrow } from "./arrow.ts";
import type { BlockFile } from "./blocks.ts";
import { openParquet } from "./parquet.ts";
import type { TableAnswer, TableRequest } from "./table-thread.ts";

const tables = new Map<string, Promise<BlockFile>>();

async function answerTo({ path, format, what }: TableRequest): Promise<TableAnswer> {
  if (what === "close") {
    const table = tables.get(path);
    tables.delete(path);
    await table?.then(({ close }) => close());
    return {};
  }
  const table = tables.get(path) ?? (format === "parquet" ? openParquet(path) : openArrow(path));
  tables.set(path, table);
  table.catch(() => tables.delete(path));
  const { counts, read } = await table;
  return what === "counts" ? { counts } : { rows: await read(what) };
}

/** Errors keep no classes from thread to thread. */
function failureOf(error: unknown): TableAnswer {
  if (!(error instanceof KindlingError)) return { failure: String(error) };
  const { where, expected, received, fix } = error;
  return { failure: { where, expected, received, fix } };
}

parentPort?.on("message", async (request: TableRequest) => {
  parentPort?.postMessage(await answerTo(request).catch(failureOf));
});
parentPort?.postMessage("ready");
