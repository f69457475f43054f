import type { z } from "zod";
import { DataError } from "../base/index.ts";
import { readJson } from "../files/index.ts";

/** What a file of the data folder says, in the form that it has to have. @throws DataError naming the file */
export async function storedRecord<T>(path: string, form: z.ZodType<T>): Promise<T> {
  const record = form.safeParse(await readJson(path));
  if (record.success) return record.data;
  const [issue] = record.error.issues;
  throw new DataError({
    where: path,
    expected: "a record of this server",
    received: `${issue.path.join(".") || "a value"}: ${issue.message}`,
    fix: "the file is damaged or of another version: move the folder away, or choose another --data",
  });
}
