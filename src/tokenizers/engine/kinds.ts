import { DataError } from "../../base/index.ts";
import type { Json } from "../json-parts.ts";

/** How the parts of a tokenizer.json are made, by their types. */
export type Makers<T> = Readonly<Record<string, (json: Json, where: string) => T>>;

/** @throws DataError for a type that is not known */
export function make<T>(makers: Makers<T>, where: string, json: Json): T {
  const type = String(json.type);
  if (Object.hasOwn(makers, type)) return makers[type](json, where);
  throw new DataError({
    where,
    expected: `one of ${Object.keys(makers).join(", ")}`,
    received: type,
    fix: "fetch the file again",
  });
}
