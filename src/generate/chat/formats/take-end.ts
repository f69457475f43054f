import type { CallWriter } from "../call-writer.ts";
import type { Parsing } from "../text-reader.ts";

/** Reads the end of a call where it is next, after blanks and what models write too often. */
export function* takeEnd(calls: CallWriter, end: string, surplus = ""): Parsing<void> {
  const { reader } = calls;
  const at = reader.position;
  yield* reader.skipSpace();
  while (surplus !== "" && (yield* reader.take(surplus))) yield* reader.skipSpace();
  if (yield* reader.take(end)) calls.settle();
  else reader.position = at;
}
