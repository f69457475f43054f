import { readFile } from "node:fs/promises";
import { DataError, parseJson } from "../base/index.ts";
import { writeFileAtomic } from "./atomic.ts";

/** Reads a JSON object. @throws DataError when the file is missing or not a JSON object. */
export async function readJson(path: string): Promise<Record<string, unknown>> {
  const value = await readJsonValue(path, "a file with a JSON object");
  if (value !== null && typeof value === "object" && !Array.isArray(value)) return value as Record<string, unknown>;
  throw wrong(path, "a file with a JSON object", `${JSON.stringify(value).slice(0, 40)}...`);
}

/** Reads a JSON list. @throws DataError when the file is missing or not a JSON list. */
export async function readJsonList(path: string): Promise<unknown[]> {
  const value = await readJsonValue(path, "a file with a JSON list");
  if (Array.isArray(value)) return value;
  throw wrong(path, "a file with a JSON list", `${JSON.stringify(value).slice(0, 40)}...`);
}

async function readJsonValue(path: string, expected: string): Promise<unknown> {
  const text = await readFile(path, "utf8").catch((cause) => {
    throw wrong(path, expected, cause.code === "ENOENT" ? "no such file" : cause.message, cause);
  });
  return parseJson(text, path, { expected, fix: FIX });
}

const FIX = "check the path, or make the file again";
const wrong = (path: string, expected: string, received: string, cause?: unknown) =>
  new DataError({ where: path, expected, received, fix: FIX, cause });

/** Writes JSON, indented by two spaces, atomically. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}
