/** How the commands of `kindling data` read files, and write what is left of them. */
import type { Command } from "commander";
import {
  BadRows,
  type FileFormat,
  openDataset,
  type Rows,
  type RowsWriter,
  type StreamedRow,
  streamRows,
  writeRows,
} from "../../data/index.ts";
import { exists } from "../../files/index.ts";
import { isRemoteName } from "../../hub/index.ts";
import { abortOnInterrupt, INTERRUPTED } from "../interrupt.ts";
import { choice } from "../option-names.ts";
import { integer } from "../parse-values.ts";
import { ProgressLine } from "../terminal.ts";

/** Options of all commands that read rows. */
export interface ReadFlags {
  onBadRow: "skip" | "fail";
  maxBadRows?: number;
  format?: FileFormat;
  delimiter?: string;
  header: boolean;
}

const FILES = "files of rows, folders of them, or a data set of the hub such as owner/name";

/** Declares what is read. */
export function withReading(command: Command): Command {
  return command
    .argument("<files...>", FILES)
    .addOption(
      choice("--on-bad-row <what>", "what is done about rows that cannot be read", ["skip", "fail"]).default("skip"),
    )
    .option("--max-bad-rows <n>", "more of them are an error (default: no limit)", integer)
    .addOption(
      choice("--format <name>", "format of the files (default: told by their names and contents)", [
        ...["jsonl", "json", "csv", "tsv", "parquet", "arrow", "text"],
      ]),
    )
    .option("--delimiter <character>", "what stands between cells of CSV (default: told by the first lines)")
    .option("--no-header", "the first line of CSV is a row");
}

/** Rows of files from begin to end, with those that are bad counted. */
export class Reading {
  readonly bad: BadRows;
  private readonly files: readonly string[];
  private readonly flags: ReadFlags;

  constructor(files: readonly string[], flags: ReadFlags) {
    this.files = files;
    this.flags = flags;
    const { onBadRow, maxBadRows } = flags;
    this.bad = new BadRows({ onBadRow, ...(maxBadRows !== undefined && { maxBadRows }) });
  }

  private get options() {
    const { format, delimiter, header } = this.flags;
    return {
      hasHeader: header,
      ...(format !== undefined && { format }),
      ...(delimiter !== undefined && { delimiter }),
    };
  }

  /**
   * All rows once. When they are read again, bad ones are not counted again.
   * @throws as `streamRows`
   */
  async *rows(badRows = this.bad): AsyncGenerator<StreamedRow, void, void> {
    for (const name of this.files) {
      if ((await exists(name)) || !(await isRemoteName(name))) {
        yield* streamRows(name, { ...this.options, badRows });
        continue;
      }
      for (const rows of Object.values(await openDataset(name, { rows: { ...this.options, badRows } })))
        yield* placed(rows);
    }
  }

  /** All rows another time. */
  again(): AsyncGenerator<StreamedRow, void, void> {
    return this.rows(new BadRows({ onBadRow: "skip" }));
  }

  /** Says on standard error which rows were left out. */
  report(): void {
    if (this.bad.count === 0) return;
    process.stderr.write(`${this.bad.count} bad ${this.bad.count === 1 ? "row" : "rows"} left out:\n${this.bad}`);
  }
}

async function* placed(rows: Rows): AsyncGenerator<StreamedRow, void, void> {
  try {
    let index = 0;
    for await (const row of rows) yield { row, place: rows.placeOf(index++) };
  } finally {
    await rows.close();
  }
}

/** Files that a command writes, and their rows. */
export class Writing {
  private readonly writers: { writer: RowsWriter; rows: number }[] = [];
  private readonly force: boolean;

  constructor({ force = false }: { force?: boolean | undefined }) {
    this.force = force;
  }

  /** Begins a file. */
  async open(path: string): Promise<(row: Readonly<Record<string, unknown>>) => Promise<void>> {
    const entry = { writer: await writeRows(path, { force: this.force }), rows: 0 };
    this.writers.push(entry);
    return async (row) => {
      await entry.writer.write(row);
      entry.rows++;
    };
  }

  /** Puts all files in their places, and says on standard error what they are. */
  async close(): Promise<void> {
    for (const { writer, rows } of this.writers) {
      await writer.close();
      process.stderr.write(`${writer.path}: ${rows} rows\n`);
    }
  }

  async abort(): Promise<void> {
    await Promise.all(this.writers.map(({ writer }) => writer.abort()));
  }
}

/**
 * Runs what writes files, and leaves none behind where it fails or is interrupted.
 * @param run is given a function that says how many rows are done, and throws after Ctrl-C
 */
export async function writing(
  flags: { force?: boolean | undefined },
  run: (files: Writing, progress: (rows: number) => void) => Promise<void>,
): Promise<void> {
  const files = new Writing(flags);
  const line = new ProgressLine(process.stderr);
  const { signal, dispose } = abortOnInterrupt(() => {});
  try {
    await run(files, (rows) => {
      signal.throwIfAborted();
      if (rows % 1000 === 0) line.show(`${rows} rows`);
    });
    line.end();
    await files.close();
  } catch (error) {
    line.end();
    await files.abort();
    if (!signal.aborted) throw error;
    process.stderr.write("stopped; nothing is written\n");
    process.exitCode = INTERRUPTED;
  } finally {
    dispose();
  }
}
