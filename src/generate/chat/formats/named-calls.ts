/** Calls whose name stands before the JSON of their arguments: name[ARGS]{...}. */
import type { CallWriter } from "../call-writer.ts";
import type { Parsing } from "../text-reader.ts";
import { readJsonArguments, readJsonCalls } from "./json-calls.ts";

const MAX_NAME = 64;
/** Most characters of an id that a model writes. */
const MAX_ID = 128;

/**
 * Mistral's, after [TOOL_CALLS]: a list in JSON, or name[ARGS]{...}, at times with [CALL_ID]id before [ARGS], or
 * name{...}.
 */
export function* readMistralCalls(calls: CallWriter): Parsing<boolean> {
  const { reader } = calls;
  yield* reader.skipSpace();
  if (yield* reader.seesAny(["[", "{"])) return yield* readJsonCalls(calls, { isMarked: true });
  const name = yield* reader.before(["[ARGS]", "[CALL_ID]", "{"], MAX_NAME + 1);
  if (name === undefined || calls.tool(name.trim()) === undefined) return false;
  let id: string | undefined;
  if (yield* reader.take("[CALL_ID]")) id = (yield* reader.before(["[ARGS]", "{"], MAX_ID))?.trim();
  yield* reader.take("[ARGS]");
  yield* reader.skipSpace();
  return yield* readJsonArguments(calls, name.trim(), id);
}

const CALL = "<｜tool▁call▁begin｜>";
const CALL_END = "<｜tool▁call▁end｜>";
const CALLS_END = "<｜tool▁calls▁end｜>";
const SEPARATOR = "<｜tool▁sep｜>";
const FENCE = "```";

/**
 * DeepSeek's, after the marker of all calls, or of one: function, separator, name and fenced JSON (V3 and R1), or name,
 * separator, JSON (V3.1).
 * @param isInCall whether the marker of the first call is read already
 */
export function* readDeepSeekCalls(calls: CallWriter, isInCall: boolean): Parsing<boolean> {
  const { reader } = calls;
  for (let isFirst = true; ; isFirst = false) {
    yield* reader.skipSpace();
    if (!(isFirst && isInCall) && !(yield* reader.take(CALL))) {
      if (isFirst) return false;
      yield* reader.take(CALLS_END);
      calls.settle();
      return true;
    }
    if (!(yield* readDeepSeekCall(calls))) return false;
  }
}

function* readDeepSeekCall(calls: CallWriter): Parsing<boolean> {
  const { reader } = calls;
  const first = (yield* reader.before([SEPARATOR], MAX_NAME + 1))?.trim();
  if (first === undefined) return false;
  yield* reader.take(SEPARATOR);
  yield* reader.skipSpace();
  const isNamed = yield* reader.seesAny(["{", FENCE]);
  const name = isNamed ? first : (yield* reader.before(["\n", FENCE, "{"], MAX_NAME + 1))?.trim();
  if (name === undefined) return false;
  yield* reader.skipSpace();
  const isFenced = yield* reader.take(FENCE);
  if (isFenced) yield* reader.take("json");
  yield* reader.skipSpace();
  if (!(yield* readJsonArguments(calls, name))) return false;
  yield* reader.skipSpace();
  if (isFenced) yield* reader.take(FENCE);
  yield* reader.skipSpace();
  yield* reader.take(CALL_END);
  calls.settle();
  return true;
}

/** Kimi K2's, after the marker of all calls: functions.name:0, a marker, JSON. The id is the model's. */
export function* readKimiCalls(calls: CallWriter, isInCall: boolean): Parsing<boolean> {
  const { reader } = calls;
  for (let isFirst = true; ; isFirst = false) {
    yield* reader.skipSpace();
    if (!(isFirst && isInCall) && !(yield* reader.take("<|tool_call_begin|>"))) {
      if (isFirst) return false;
      yield* reader.take("<|tool_calls_section_end|>");
      calls.settle();
      return true;
    }
    const id = (yield* reader.before(["<|tool_call_argument_begin|>"], MAX_ID))?.trim();
    const name = /^(?:functions\.)?(.+?)(?::\d+)?$/.exec(id ?? "")?.[1];
    if (name === undefined) return false;
    yield* reader.take("<|tool_call_argument_begin|>");
    yield* reader.skipSpace();
    if (!(yield* readJsonArguments(calls, name, id))) return false;
    yield* reader.skipSpace();
    yield* reader.take("<|tool_call_end|>");
    calls.settle();
  }
}

/** The older GLM-4's, which no marker begins: the name, a line break, JSON. */
export function* readNamedLine(calls: CallWriter): Parsing<boolean> {
  const { reader } = calls;
  const at = reader.position;
  const names = [...calls.names].sort((a, b) => b.length - a.length); // the longest of those that begin alike
  for (const name of names) {
    reader.position = at;
    if (!(yield* reader.take(name)) || !(yield* reader.take("\n"))) continue;
    yield* reader.skipSpace();
    return yield* readJsonArguments(calls, name);
  }
  return false;
}
