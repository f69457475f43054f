/** Gemma 4's calls: call:get_weather{place:<|"|>Paris<|"|>,days:2}. */
import { limits } from "../../../base/index.ts";
import type { CallWriter } from "../call-writer.ts";
import { readWholeJson } from "../json-scanner.ts";
import type { Parsing, TextReader } from "../text-reader.ts";

/** A special token around texts. */
export const GEMMA_QUOTE = '<|"|>';
const MAX_NAME = 64;
const MAX_KEY = 256;

/** A call, after the marker that begins it. Whether it is whole. */
export function* readGemmaCall(calls: CallWriter): Parsing<boolean> {
  const { reader } = calls;
  yield* reader.skipSpace();
  if (!(yield* reader.take("call:"))) return false;
  const name = (yield* reader.before(["{"], MAX_NAME + 1))?.trim();
  if (name === undefined || !calls.begin(name)) return false;
  yield* reader.take("{");
  let count = 0;
  const isWhole = yield* readMembers(reader, 0, (member) => {
    calls.arguments(`${count === 0 ? "{" : ","}${member}`);
    count++;
  });
  if (!isWhole) return false;
  calls.arguments(count === 0 ? "{}" : "}");
  calls.end();
  return true;
}

/** Members of an object up to its bracket, handed on as JSON. Whether it has one. */
function* readMembers(reader: TextReader, depth: number, write: (member: string) => void): Parsing<boolean> {
  for (;;) {
    yield* reader.skipSpace();
    if (yield* reader.take("}")) return true;
    const key = (yield* reader.before([":"], MAX_KEY))?.trim().replaceAll(GEMMA_QUOTE, "");
    if (key === undefined) return false;
    yield* reader.take(":");
    const value = yield* readValue(reader, depth + 1);
    if (value === undefined) return false;
    yield* reader.skipSpace();
    if (!(yield* reader.take(",")) && !(yield* reader.sees("}"))) return false;
    write(`${JSON.stringify(/^".*"$/.test(key) ? key.slice(1, -1) : key)}:${value}`);
  }
}

/** The JSON of a value, or undefined where there is none. */
function* readValue(reader: TextReader, depth: number): Parsing<string | undefined> {
  if (depth > limits.jsonDepth) return undefined;
  yield* reader.skipSpace();
  if (yield* reader.take(GEMMA_QUOTE)) {
    const text = yield* reader.before([GEMMA_QUOTE]);
    yield* reader.take(GEMMA_QUOTE);
    return text === undefined ? undefined : JSON.stringify(text);
  }
  if (yield* reader.sees('"')) return yield* readWholeJson(reader);
  if (yield* reader.take("{")) {
    const members: string[] = [];
    const isWhole = yield* readMembers(reader, depth, (member) => members.push(member));
    return isWhole ? `{${members.join(",")}}` : undefined;
  }
  if (yield* reader.take("[")) return yield* readItems(reader, depth);
  return bareValue(yield* reader.before([",", "}", "]"]));
}

function* readItems(reader: TextReader, depth: number): Parsing<string | undefined> {
  const items: string[] = [];
  for (;;) {
    yield* reader.skipSpace();
    if (yield* reader.take("]")) return `[${items.join(",")}]`;
    const item = yield* readValue(reader, depth + 1);
    if (item === undefined) return undefined;
    items.push(item);
    yield* reader.skipSpace();
    if (!(yield* reader.take(",")) && !(yield* reader.sees("]"))) return undefined;
  }
}

/** A number or a word of JSON; anything else is a text whose marks were forgotten. */
function bareValue(written: string | undefined): string | undefined {
  const text = written?.trim();
  if (text === undefined || text === "") return undefined;
  try {
    JSON.parse(text);
    return text;
  } catch {
    return JSON.stringify(text);
  }
}
