import { DataError } from "../base/index.ts";
import { requirePairs } from "./checks.ts";

/** What a text should have been: one text, or several of which any will do. */
export type References = ArrayLike<string | readonly string[]>;

/** The references of each prediction as lists. @throws DataError where lengths differ, or a row has none */
export function referenceLists(
  where: string,
  predictions: ArrayLike<string>,
  references: References,
): (readonly string[])[] {
  requirePairs(where, predictions, references);
  return Array.from(references, (reference, i) => {
    const list = typeof reference === "string" ? [reference] : reference;
    if (list.length > 0) return list;
    throw new DataError({
      where,
      expected: "at least one reference for each prediction",
      received: `none in row ${i}`,
      fix: "leave the row out",
    });
  });
}
