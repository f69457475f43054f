/** Calls as JSON: {"name": ..., "arguments": {...}}, one, or a list. */
import type { CallWriter } from "../call-writer.ts";
import { readJson, readWholeJson } from "../json-scanner.ts";
import type { Parsing } from "../text-reader.ts";

const nameKeys = ["name", "function", "tool_name"];
const argumentKeys = ["arguments", "parameters", "args", "input"];
/** What else may stand in a call that nothing marks as one: anything more, and it is an answer in JSON. */
const plainKeys = ["id", "type"];

interface JsonCall {
  name?: string;
  /** Whole arguments that are not given out yet, for want of a name. */
  held?: string;
  /** Whether the arguments are given out. */
  isWritten: boolean;
}

export interface JsonCallOptions {
  /** Whether a marker says that it is a call; otherwise it must have a name, arguments and nothing more. */
  isMarked: boolean;
}

/** Text between two calls: models write them one after the other in several ways. */
const separators = [";", ","];

/**
 * One call, or several: a list, or one after the other.
 * @returns whether there is at least one, and nothing but calls up to where the reader is
 */
export function* readJsonCalls(calls: CallWriter, options: JsonCallOptions): Parsing<boolean> {
  const { reader } = calls;
  yield* reader.skipSpace();
  const isList = yield* reader.take("[");
  if (isList) yield* reader.skipSpace();
  if (!(yield* readJsonCall(calls, options))) return false;
  for (;;) {
    const end = reader.position;
    yield* reader.skipSpace();
    if (isList && (yield* reader.take("]"))) {
      calls.settle();
      return true;
    }
    if (yield* reader.takeAny(separators)) yield* reader.skipSpace();
    if (!(yield* reader.sees("{"))) {
      reader.position = end;
      return !isList;
    }
    if (!(yield* readJsonCall(calls, options))) {
      if (!calls.isOpen) reader.position = end;
      return !calls.isOpen && !isList;
    }
  }
}

/** One call. Whether it is whole; a call whose arguments are whole is, whatever stands behind them. */
function* readJsonCall(calls: CallWriter, options: JsonCallOptions): Parsing<boolean> {
  const call: JsonCall = { isWritten: false };
  const isWhole = yield* readMembers(calls, call, options);
  if (call.isWritten) {
    const { reader } = calls;
    if (isWhole || reader.isAtEnd) calls.settle();
    else reader.position = calls.safe;
    return true;
  }
  if (!isWhole || call.name === undefined) return false;
  if (call.held === undefined && !options.isMarked) return false;
  return calls.whole(call.name, call.held ?? "{}");
}

/** The members of an object. Whether it is a whole object that may be a call. */
function* readMembers(calls: CallWriter, call: JsonCall, options: JsonCallOptions): Parsing<boolean> {
  const { reader } = calls;
  if (!(yield* reader.take("{"))) return false;
  for (;;) {
    yield* reader.skipSpace();
    const key = yield* readText(calls);
    if (key === undefined) return false;
    yield* reader.skipSpace();
    if (!(yield* reader.take(":"))) return false;
    yield* reader.skipSpace();
    if (!(yield* readMember(key, calls, call, options))) return false;
    yield* reader.skipSpace();
    if (yield* reader.take("}")) return true;
    if (!(yield* reader.take(","))) return false;
  }
}

/** The value of a member. Whether it is one that a call may have. */
function* readMember(key: string, calls: CallWriter, call: JsonCall, options: JsonCallOptions): Parsing<boolean> {
  const { reader } = calls;
  const first = yield* reader.peek();
  if (key === "function" && first === "{") return yield* readMembers(calls, call, options);
  if (nameKeys.includes(key) && first === '"' && call.name === undefined) {
    call.name = yield* readText(calls);
    return call.name !== undefined && calls.tool(call.name) !== undefined;
  }
  if (argumentKeys.includes(key) && !call.isWritten && call.held === undefined)
    return yield* readArguments(first, calls, call);
  if (!options.isMarked && !plainKeys.includes(key)) return false;
  return (yield* readWholeJson(reader)) !== undefined;
}

function* readArguments(first: string, calls: CallWriter, call: JsonCall): Parsing<boolean> {
  if (first === "{" && call.name !== undefined) {
    if (!(yield* readJsonArguments(calls, call.name))) return false;
    call.isWritten = true;
    return true;
  }
  const json = yield* readWholeJson(calls.reader);
  call.held = json === undefined ? undefined : asObject(json);
  return call.held !== undefined;
}

/** An object, also one that is written as a text, or null for one without members; undefined for all else. */
function asObject(json: string): string | undefined {
  if (json === "null") return "{}";
  if (json.startsWith("{")) return json;
  if (!json.startsWith('"')) return undefined;
  const text: string = JSON.parse(json);
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? text.trim() : undefined;
  } catch {
    return undefined;
  }
}

/** A JSON string, as the text that it stands for. */
function* readText(calls: CallWriter): Parsing<string | undefined> {
  if (!(yield* calls.reader.sees('"'))) return undefined;
  const json = yield* readWholeJson(calls.reader);
  return json === undefined ? undefined : JSON.parse(json);
}

/**
 * The arguments of a call whose name is known, an object, given out as they come.
 * @returns whether they are whole; if so the call has ended
 */
export function* readJsonArguments(calls: CallWriter, name: string, id?: string): Parsing<boolean> {
  if (!(yield* calls.reader.sees("{")) || !calls.begin(name, id)) return false;
  if (!(yield* readJson(calls.reader, (json) => calls.arguments(json)))) return false;
  calls.end();
  return true;
}
