import { DataError, parseJson } from "../base/index.ts";
import { writeFileAtomic } from "./atomic.ts";
import { fileAt } from "./disk.ts";
import { readText } from "./read.ts";
import type { StoredFile } from "./source.ts";

/** Reads a JSON object. @throws DataError when the file is missing or not a JSON object. */
export async function readJson(file: string | StoredFile): Promise<Record<string, unknown>> {
  const { name: path } = fileAt(file);
  const value = await readJsonValue(file, "a file with a JSON object");
  if (value !== null && typeof value === "object" && !Array.isArray(value)) return value as Record<string, unknown>;
  throw wrong(path, "a file with a JSON object", `${JSON.stringify(value).slice(0, 40)}...`);
}

/** Reads a JSON list. @throws DataError when the file is missing or not a JSON list. */
export async function readJsonList(file: string | StoredFile): Promise<unknown[]> {
  const { name: path } = fileAt(file);
  const value = await readJsonValue(file, "a file with a JSON list");
  if (Array.isArray(value)) return value;
  throw wrong(path, "a file with a JSON list", `${JSON.stringify(value).slice(0, 40)}...`);
}

async function readJsonValue(file: string | StoredFile, expected: string): Promise<unknown> {
  return parseJson(await readText(file, expected), fileAt(file).name, { expected, fix: FIX });
}

const FIX = "check the path, or make the file again";
const wrong = (path: string, expected: string, received: string) =>
  new DataError({ where: path, expected, received, fix: FIX });

/** A real number in JSON to be written: 1 is written as 1.0, which Python reads as a float. */
export class JsonReal {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
  /** What stands for it until the text is made. */
  toJSON(): unknown {
    return Number.isInteger(this.value) && Math.abs(this.value) < 1e15 ? `\u0001real ${this.value}` : this.value;
  }
}

/** Writes JSON, indented by two spaces, atomically. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  const text = JSON.stringify(value, null, 2).replace(/"\\u0001real (-?\d+)"/g, "$1.0");
  await writeFileAtomic(path, `${text}\n`);
}
