import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { DataError, isObject } from "../base/index.ts";
import { exists, makeFolder, readJson, withWriteErrors, writeFileAtomic, writeJson } from "../files/index.ts";
import type { Answer } from "./judging.ts";
import type { AskedDoc } from "./prompts.ts";
import type { EvalTask } from "./task.ts";

/** What the answers of a folder are of. */
export interface EvalRun {
  model: string;
  maxLength: number;
  seed: number;
}

/** A folder with the answers of a model, so that an evaluation that was ended goes on. */
export class ResponseFolder {
  private readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** @throws DataError for a folder with answers of another model, or to other settings */
  static async open(folder: string, run: EvalRun): Promise<ResponseFolder> {
    await makeFolder(folder);
    const path = join(folder, "run.json");
    if (!(await exists(path))) await writeJson(path, run);
    const stored = await readJson(path);
    for (const [name, value] of Object.entries(run))
      if (stored[name] !== value)
        throw new DataError({
          where: path,
          expected: `answers of the ${name} ${value}`,
          received: String(stored[name]),
          fix: "choose another folder, or remove this one",
        });
    return new ResponseFolder(folder);
  }

  private pathOf({ name }: EvalTask, kind: string): string {
    return join(this.folder, `${kind}_${name.replace(/[^\w.-]+/g, "_")}.jsonl`);
  }

  /** Answers to the same requests, by the row's number. What a kill has cut off is left out. */
  async read(task: EvalTask): Promise<Map<number, { requests: string; answers: Answer[] }>> {
    const path = this.pathOf(task, "responses");
    const text = (await exists(path)) ? await readFile(path, "utf8") : "";
    const rows = text.split("\n").flatMap((line) => {
      try {
        const row: unknown = JSON.parse(line);
        return isObject(row) ? [row] : [];
      } catch {
        return [];
      }
    });
    // a line that was cut off must not run into the next
    if (text !== "" && !text.endsWith("\n")) await withWriteErrors(path, () => appendFile(path, "\n"));
    return new Map(
      rows.map((row) => [
        row.doc_id as number,
        { requests: JSON.stringify(row.requests), answers: row.answers as Answer[] },
      ]),
    );
  }

  /** Adds the answers to a row. */
  async add(task: EvalTask, { docId, requests }: AskedDoc, answers: readonly Answer[]): Promise<void> {
    const path = this.pathOf(task, "responses");
    const line = `${JSON.stringify({ doc_id: docId, requests, answers })}\n`;
    await withWriteErrors(path, () => appendFile(path, line));
  }

  /** Writes what was judged of each row. */
  async writeSamples(task: EvalTask, samples: readonly object[]): Promise<void> {
    const text = samples.map((sample) => `${JSON.stringify(sample)}\n`).join("");
    await writeFileAtomic(this.pathOf(task, "samples"), text);
  }

  /** Writes the numbers of all tasks. */
  writeResults = (results: object): Promise<void> => writeJson(join(this.folder, "results.json"), results);
}
