import { type FileHandle, open, readFile } from "node:fs/promises";
import { withReadErrors, withWriteErrors, writeFileAtomic } from "../files/index.ts";
import type { Tensor } from "../tensor/index.ts";

/** A line of metrics.jsonl: what was measured after a step. */
export type MetricsEntry = Readonly<Record<string, number | Readonly<Record<string, number>>>>;

/** The numbers of an objective's metrics. */
export async function numbersOf(metrics: Readonly<Record<string, Tensor>>): Promise<Record<string, number>> {
  const entries = Object.entries(metrics).map(async ([name, tensor]) => [name, await tensor.item()] as const);
  return Object.fromEntries(await Promise.all(entries));
}

/** metrics.jsonl: a JSON object a line, each step and each validation once, whatever sessions were killed. */
export class MetricsLog {
  private readonly path: string;
  private readonly file: FileHandle;

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.file = file;
  }

  /**
   * Goes on after `step`: later entries, which a killed session wrote after its last checkpoint, and torn lines are
   * taken out.
   * @throws WriteError, DataError when the file cannot be written or read
   */
  static async open(path: string, step: number): Promise<MetricsLog> {
    const text = await withReadErrors(path, "a file of metrics", () => readFile(path, "utf8")).catch((cause) => {
      if (cause.cause?.code === "ENOENT") return "";
      throw cause;
    });
    const kept = entriesUntil(text, step);
    if (kept !== text) await writeFileAtomic(path, kept);
    return new MetricsLog(path, await withWriteErrors(path, () => open(path, "a")));
  }

  write(entry: MetricsEntry): Promise<void> {
    return withWriteErrors(this.path, () => this.file.appendFile(`${JSON.stringify(entry)}\n`));
  }

  /** To be called before a checkpoint is saved, so that no step of it is missing here after a power cut. */
  sync(): Promise<void> {
    return withWriteErrors(this.path, () => this.file.sync());
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

/** The lines up to a step, the last of each kind. */
function entriesUntil(text: string, lastStep: number): string {
  const lines = new Map<string, string>();
  for (const line of text.split("\n")) {
    const entry = parseEntry(line);
    if (entry && Number(entry.step) <= lastStep) lines.set(`${entry.step} ${"validationLoss" in entry}`, `${line}\n`);
  }
  return [...lines.values()].join("");
}

function parseEntry(line: string): MetricsEntry | undefined {
  try {
    const entry = JSON.parse(line);
    return typeof entry?.step === "number" ? entry : undefined;
  } catch {
    return undefined; // torn by a kill, or the end of the file
  }
}
