import { stat } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { DataError, type ErrorParts, limits, overLimit } from "../../base/index.ts";
import { withReadErrors } from "../../files/index.ts";
import { blockRows } from "./blocks.ts";
import type { Row, Rows } from "./rows.ts";
import { damagedTable } from "./whole-table.ts";

/** Formats whose rows are stored in blocks. */
export type TableFormat = "parquet" | "arrow";

/** What a thread is asked of a table: the rows of each block, those of one, or to close it. */
export interface TableRequest {
  path: string;
  format: TableFormat;
  what: "counts" | "close" | number;
}

/** What it answers. */
export interface TableAnswer {
  counts?: readonly number[];
  rows?: readonly Row[];
  failure?: string | ErrorParts;
}

/** From source, as in tests, the built file: Node 20 reads no TypeScript. */
const workerFile = new URL(
  import.meta.url.endsWith(".ts") ? "../../../dist/data/rows/table-worker.js" : "./table-worker.js",
  import.meta.url,
);

const MEBIBYTE = 2 ** 20;
/** What reading may take for each mebibyte of a file, besides what any file may. */
const SECONDS_PER_MEBIBYTE = 2;
const HEAP_PER_FILE_BYTE = 16;

type Limits = Readonly<Record<"tableSeconds" | "tableHeapMebibytes", number>>;

/**
 * Reads tables in a thread with limits of time and memory. The libraries that decode Parquet and Arrow believe what a
 * file says of its lengths: a damaged one makes them work for hours, fill the memory, or fail where nobody catches it.
 * The thread starts with the first table and ends with the last; an idle one keeps no program alive.
 */
export class TableThread {
  private readonly paths: readonly string[];
  private worker: Worker | undefined;
  private openTables = 0;
  private last: Promise<unknown> = Promise.resolve();

  private readonly limits: Limits;

  /**
   * @param paths of all files that it may be asked for, the largest of which says how much memory it may take
   * @param most what reading a small file may take. @default the limits of all files of others
   */
  constructor(paths: readonly string[], most: Limits = limits) {
    this.paths = paths;
    this.limits = most;
  }

  /** The rows of a table. @throws DataError for a file that is none or damaged, now or when its rows are read */
  async open(path: string, format: TableFormat): Promise<Rows> {
    this.openTables++;
    try {
      const { counts = [] } = await this.ask({ path, format, what: "counts" });
      const read = async (block: number) => (await this.ask({ path, format, what: block })).rows ?? [];
      return blockRows(path, { counts, read, close: () => this.close({ path, format, what: "close" }) });
    } catch (error) {
      await this.end();
      throw error;
    }
  }

  private async close(request: TableRequest): Promise<void> {
    if (this.worker) await this.ask(request);
    await this.end();
  }

  /** A table less: after the last one the thread ends. */
  private async end(): Promise<void> {
    this.openTables--;
    const { worker } = this;
    if (this.openTables > 0 || !worker) return;
    this.worker = undefined;
    await worker.terminate();
  }

  /** One request after another, so that the time of each is its time alone. */
  private async ask(request: TableRequest): Promise<TableAnswer> {
    const answer = this.last.then(() => this.answerTo(request));
    this.last = answer.catch(() => {});
    const { failure, ...result } = await answer;
    if (failure !== undefined) throw failedWith(request.path, failure);
    return result;
  }

  private async answerTo(request: TableRequest): Promise<TableAnswer> {
    const { path } = request;
    const bytes = await sizeOf(path);
    const worker = this.worker ?? (await this.start());
    this.worker = worker;
    worker.ref();
    worker.postMessage(request);
    try {
      return await messageOf<TableAnswer>(worker, this.limits.tableSeconds + (bytes / MEBIBYTE) * SECONDS_PER_MEBIBYTE);
    } catch (error) {
      this.worker = undefined;
      await worker.terminate();
      throw error === TOO_LONG
        ? overLimit("tableSeconds", path, "seconds for the rows of a small file", "one that takes longer")
        : (error as NodeJS.ErrnoException).code === "ERR_WORKER_OUT_OF_MEMORY"
          ? overLimit("tableHeapMebibytes", path, "MiB for the rows of a small file", "one that takes more")
          : failedWith(path, String(error));
    } finally {
      worker.unref();
    }
  }

  private async start(): Promise<Worker> {
    const bytes = Math.max(...(await Promise.all(this.paths.map(sizeOf))));
    const heap = Math.max(this.limits.tableHeapMebibytes, (bytes * HEAP_PER_FILE_BYTE) / MEBIBYTE);
    // the program's arguments, such as conditions of imports, may not fit the built file
    const worker = new Worker(workerFile, { execArgv: [], resourceLimits: { maxOldGenerationSizeMb: heap } });
    const forget = () => {
      if (this.worker === worker) this.worker = undefined;
    };
    worker.on("error", forget).on("exit", forget);
    await messageOf(worker);
    return worker;
  }
}

const sizeOf = async (path: string): Promise<number> =>
  (await withReadErrors(path, "a file of rows", () => stat(path))).size;

const TOO_LONG = new Error("no answer in time");

/** The next message of a thread. @throws what ends it; TOO_LONG */
function messageOf<T>(worker: Worker, seconds?: number): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = seconds === undefined ? undefined : setTimeout(() => settle(() => reject(TOO_LONG)), seconds * 1000);
    const settle = (tell: () => void) => {
      clearTimeout(timer);
      worker.off("message", onMessage).off("error", onError).off("exit", onExit);
      tell();
    };
    const onMessage = (message: T) => settle(() => resolve(message));
    const onError = (error: unknown) => settle(() => reject(error));
    const onExit = (code: number) => settle(() => reject(new Error(`the thread ended with code ${code}`)));
    worker.on("message", onMessage).on("error", onError).on("exit", onExit);
  });
}

const failedWith = (path: string, failure: string | ErrorParts) =>
  typeof failure === "object"
    ? new DataError(failure)
    : damagedTable({ path, kind: "file of rows" }, new Error(failure));
