import { appendFile, readFile, truncate } from "node:fs/promises";
import { isObject } from "../base/index.ts";
import { exists, withReadErrors, withWriteErrors } from "../files/index.ts";
import type { Reply } from "./target.ts";

/** A line of the file of results. */
export type Result = {
  target: string;
  model: string;
  id: string;
  /** Of the prompt: a result of another prompt does not count. */
  hash: string;
} & Reply;

const keyOf = ({ target, model, id, hash }: Pick<Result, "target" | "model" | "id" | "hash">) =>
  JSON.stringify([target, model, id, hash]);

/** Answers in a JSON Lines file, to which each is added when it is there: who runs the comparison again goes on. */
export class ResultFile {
  private readonly path: string | undefined;
  private readonly results = new Map<string, Result>();
  private writing: Promise<void> = Promise.resolve();

  private constructor(path: string | undefined) {
    this.path = path;
  }

  /** @param path none keeps results in memory. A last line that was cut off is taken away. */
  static async open(path: string | undefined): Promise<ResultFile> {
    const file = new ResultFile(path);
    if (path === undefined || !(await exists(path))) return file;
    const text = await withReadErrors(path, "a file of results", () => readFile(path, "utf8"));
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    if (whole.length < text.length) await withWriteErrors(path, () => truncate(path, Buffer.byteLength(whole)));
    for (const line of whole.split("\n")) {
      if (line === "") continue;
      const json: unknown = JSON.parse(line);
      if (isObject(json)) file.results.set(keyOf(json as Result), json as Result);
    }
    return file;
  }

  /** The answer that there is already; one with an error is asked for again. */
  find(key: Pick<Result, "target" | "model" | "id" | "hash">): Result | undefined {
    const result = this.results.get(keyOf(key));
    return result && "error" in result ? undefined : result;
  }

  add(result: Result): Promise<void> {
    this.results.set(keyOf(result), result);
    const { path } = this;
    if (path === undefined) return Promise.resolve();
    this.writing = this.writing.then(() =>
      withWriteErrors(path, () => appendFile(path, `${JSON.stringify(result)}\n`)),
    );
    return this.writing;
  }
}
