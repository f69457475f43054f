/** Calls as Python writes them: [get_weather(place="Paris", days=2), get_time()]. */
import type { CallWriter } from "../call-writer.ts";
import type { Parsing, TextReader } from "../text-reader.ts";
import { pythonToJson } from "./python-values.ts";

const identifier = /^[A-Za-z_][\w-]*$/;

/**
 * A list of calls, from its bracket on.
 * @returns whether it is one to its end
 */
export function* readPythonCalls(calls: CallWriter): Parsing<boolean> {
  const { reader } = calls;
  if (!(yield* reader.take("["))) return false;
  for (;;) {
    yield* reader.skipSpace();
    if (!(yield* readPythonCall(calls))) return false;
    yield* reader.skipSpace();
    const hasMore = yield* reader.take(",");
    if (hasMore) yield* reader.skipSpace();
    if (yield* reader.take("]")) {
      calls.settle();
      return true;
    }
    if (!hasMore) return false;
  }
}

/** Names of tools have 64 characters, those of parameters more. */
const MAX_NAME = 256;

function* readPythonCall(calls: CallWriter): Parsing<boolean> {
  const { reader } = calls;
  const name = yield* reader.before(["("], MAX_NAME);
  if (name === undefined || !calls.begin(name.trim())) return false;
  yield* reader.take("(");
  let count = 0;
  for (;;) {
    yield* reader.skipSpace();
    if (yield* reader.take(")")) break;
    const key = (yield* reader.before(["="], MAX_NAME))?.trim();
    if (key === undefined || !identifier.test(key)) return false;
    yield* reader.take("=");
    const json = pythonToJson((yield* readLiteral(reader)) ?? "");
    if (json === undefined) return false;
    yield* reader.take(",");
    calls.arguments(`${count === 0 ? "{" : ","}${JSON.stringify(key)}:${json}`);
    count++;
  }
  calls.arguments(count === 0 ? "{}" : "}");
  calls.end();
  return true;
}

const closing: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

/** Follows a literal up to what is no part of it. */
class LiteralEnd {
  private readonly open: string[] = [];
  private quote = "";
  private isEscaped = false;

  /** "part" of the literal, what "ends" it, or a bracket that does not match any. */
  next(character: string): "part" | "ends" | "malformed" {
    const { open } = this;
    if (this.isEscaped) this.isEscaped = false;
    else if (this.quote !== "") {
      if (character === "\\") this.isEscaped = true;
      else if (character === this.quote) this.quote = "";
    } else if (character === '"' || character === "'") this.quote = character;
    else if (closing[character]) open.push(closing[character]);
    else if (open.length === 0 && (character === "," || character === ")")) return "ends";
    else if (")]}".includes(character) && open.pop() !== character) return "malformed";
    return "part";
  }
}

/** Reads a literal up to the comma or bracket after it. @returns undefined where there is none */
function* readLiteral(reader: TextReader): Parsing<string | undefined> {
  const end = new LiteralEnd();
  let text = "";
  for (;;) {
    const character = yield* reader.peek();
    if (character === "") return undefined;
    const state = end.next(character);
    if (state === "ends") return text;
    if (state === "malformed") return undefined;
    text += character;
    reader.position++;
  }
}
