import { readFile } from "node:fs/promises";
import { DataError } from "../ir/index.ts";
import { writeFileAtomic } from "./atomic.ts";

/** Reads a JSON object. @throws DataError when the file is missing or not a JSON object. */
export async function readJson(path: string): Promise<Record<string, unknown>> {
  const fail = (received: string, cause?: unknown) =>
    new DataError({ where: path, expected: "a file with a JSON object", received, fix: "check the path, or make the file again", cause });
  const text = await readFile(path, "utf8").catch((cause) => {
    throw fail(cause.code === "ENOENT" ? "no such file" : cause.message, cause);
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw fail((cause as Error).message, cause);
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw fail(`${text.slice(0, 40)}...`);
  return value as Record<string, unknown>;
}

/** Writes JSON, indented by two spaces, atomically. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}
