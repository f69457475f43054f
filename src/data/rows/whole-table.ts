import { DataError } from "../../base/index.ts";
import { isSystemError } from "../../files/index.ts";

/** What reads a table says of it in errors. */
export interface TableName {
  path: string;
  /** "Parquet file" */
  kind: string;
}

/** What `read` gives. @throws DataError for a damaged file, in the place of whatever the library throws then */
export async function wholeTable<T>(table: TableName, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (isSystemError(cause) || cause instanceof DataError) throw cause;
    throw damagedTable(table, cause as Error);
  }
}

/** The error for a table that cannot be read. */
export const damagedTable = ({ path, kind }: TableName, cause: Error): DataError =>
  new DataError({
    where: path,
    expected: `a whole ${kind}`,
    received: cause.message,
    fix: "fetch or write the file again: it is cut off or damaged",
    cause,
  });
