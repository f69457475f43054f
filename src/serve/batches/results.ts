import { randomUUID } from "node:crypto";
import { createReadStream, type FileHandle, join, open } from "#system";
import { exists, ownerModes, withWriteErrors } from "../../files/index.ts";

/** What came of a request: the answer of its endpoint, and its id in the log; or why there is none. */
export type Outcome = { status: number; body: unknown; requestId?: string } | { code: string; message: string };

const LINE_BREAK = 0x0a;
/** Files of results. */
export const kinds = ["output", "errors"] as const;
type Kind = (typeof kinds)[number];

/** Lines of a file to which more are added. */
class LineLog {
  readonly path: string;
  /** Bytes of whole lines. */
  bytes = 0;
  private readonly file: FileHandle;

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.file = file;
  }

  /** Opens a file, or makes it, and cuts a last line that a kill has left unfinished. @param onLine gets each line */
  static async open(path: string, onLine: (line: string) => void): Promise<LineLog> {
    const whole = (await exists(path)) ? await readLines(path, onLine) : 0;
    return withWriteErrors(path, async () => {
      const log = new LineLog(path, await open(path, "a", ownerModes.file));
      log.bytes = whole;
      await log.file.truncate(whole).catch((error) => log.closedAfter(error));
      return log;
    });
  }

  /** @throws WriteError when the disk refuses; then the log has to be opened again */
  async add(lines: readonly string[]): Promise<void> {
    const bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
    await withWriteErrors(this.path, async () => {
      await this.file.appendFile(bytes);
      await this.file.sync();
    });
    this.bytes += bytes.byteLength;
  }

  close(): Promise<void> {
    return this.file.close();
  }

  async closedAfter(error: unknown): Promise<never> {
    await this.close();
    throw error;
  }
}

/** Gives each whole line of a file. @returns the bytes of them */
async function readLines(path: string, onLine: (line: string) => void): Promise<number> {
  let [whole, rest] = [0, Buffer.alloc(0)];
  for await (const chunk of createReadStream(path)) {
    rest = Buffer.concat([rest, chunk as Buffer]);
    let start = 0;
    for (let end = rest.indexOf(LINE_BREAK); end !== -1; end = rest.indexOf(LINE_BREAK, start)) {
      onLine(rest.toString("utf8", start, end));
      start = end + 1;
    }
    whole += start;
    rest = rest.subarray(start);
  }
  return whole;
}

/** The results of a batch, each in a line that is written once: what is there after a kill is not asked for again. */
export class BatchResults {
  readonly done = new Set<string>();
  readonly counts = { output: 0, errors: 0 };
  private readonly logs: Record<Kind, LineLog>;
  private waiting: { kind: Kind; customId: string; line: string }[] = [];
  /** Writes what waits; those that come in the meantime are written together. */
  private writing: Promise<void> | undefined;

  private constructor(logs: Record<Kind, LineLog>) {
    this.logs = logs;
  }

  /** @throws WriteError, DataError when the disk refuses */
  static async open(folder: string): Promise<BatchResults> {
    const names: Record<Kind, string[]> = { output: [], errors: [] };
    const opened = (kind: Kind) =>
      LineLog.open(join(folder, `${kind}.jsonl`), (line) => {
        names[kind].push((JSON.parse(line) as { custom_id: string }).custom_id);
      });
    const output = await opened("output");
    const errors = await opened("errors").catch((error) => output.closedAfter(error));
    const results = new BatchResults({ output, errors });
    for (const kind of kinds) {
      results.counts[kind] = names[kind].length;
      for (const name of names[kind]) results.done.add(name);
    }
    return results;
  }

  /** Resolves when the result is on the disk. @throws WriteError when the disk refuses */
  async add(customId: string, outcome: Outcome): Promise<void> {
    const isAnswer = "status" in outcome;
    const kind: Kind = isAnswer && outcome.status < 400 ? "output" : "errors";
    const id = `req_${randomUUID().replaceAll("-", "")}`;
    const requestId = (isAnswer && outcome.requestId) || id;
    const response = isAnswer ? { status_code: outcome.status, request_id: requestId, body: outcome.body } : null;
    const line = JSON.stringify({
      id: `batch_${id}`,
      custom_id: customId,
      response,
      error: isAnswer ? null : outcome,
    });
    this.waiting.push({ kind, customId, line });
    this.writing ??= this.write();
    await this.writing;
  }

  private async write(): Promise<void> {
    while (this.waiting.length > 0) {
      const batch = this.waiting;
      this.waiting = [];
      for (const kind of kinds) {
        const entries = batch.filter((entry) => entry.kind === kind);
        if (entries.length === 0) continue;
        await this.logs[kind].add(entries.map(({ line }) => line));
        for (const { customId } of entries) this.done.add(customId);
        this.counts[kind] += entries.length;
      }
    }
    this.writing = undefined;
  }

  /** Where the lines of a kind are, and how many bytes. */
  file(kind: Kind): { path: string; bytes: number } {
    const { path, bytes } = this.logs[kind];
    return { path, bytes };
  }

  async close(): Promise<void> {
    await this.writing?.catch(() => {});
    for (const kind of kinds) await this.logs[kind].close();
  }
}
