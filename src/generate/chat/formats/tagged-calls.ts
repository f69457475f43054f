/** Calls in tags: <function=name><parameter=key>value</parameter></function>, and their relatives. */
import { isTextOnly, jsonOfText, parameterTypes } from "../argument-values.ts";
import type { CallWriter } from "../call-writer.ts";
import type { Parsing } from "../text-reader.ts";
import type { ChatTool } from "../tools.ts";
import { readJsonArguments } from "./json-calls.ts";

/** How a format writes a call with its parameters. */
export interface TagSyntax {
  /** Before the name of the function; "" where it stands alone. */
  call: string;
  /** Where the name ends. It is read with the name, unless that stands alone. */
  nameEnds: readonly string[];
  /** After the parameters; "" where nothing is. */
  callEnd: string;
  /** Before the name of a parameter. */
  parameter: string;
  /** Between the name of a parameter and its value, one after the other; each is one of several. */
  valueBegins: readonly (readonly string[])[];
  valueEnd: string;
  /** Whether a value stands between line breaks, which are not its own. */
  isOnLines: boolean;
}

/** Most characters of a function's name, and of a parameter's. */
const MAX_NAME = 64;
const MAX_KEY = 256;

/** What one call is read with. */
interface CallReading {
  calls: CallWriter;
  tool: ChatTool;
  syntax: TagSyntax;
  /** What may follow the call; "" stands for anything. */
  outerEnds: readonly string[];
  /** Names of the parameters so far. */
  keys: string[];
}

/**
 * A call, after the marker that says that there is one.
 * @param outerEnds what may follow the call: the end of a value is told by what stands after it, so that values may
 *   have the texts that end them. [""] stands for anything
 * @returns whether it is whole
 */
export function* readTaggedCall(calls: CallWriter, syntax: TagSyntax, outerEnds: readonly string[]): Parsing<boolean> {
  const { reader } = calls;
  if (!(yield* reader.take(syntax.call))) return false;
  const tool = calls.tool((yield* reader.before(syntax.nameEnds, MAX_NAME + 1))?.trim() ?? "");
  if (tool === undefined) return false;
  if (syntax.call !== "") yield* reader.takeAny(syntax.nameEnds);
  yield* reader.skipSpace();
  if (yield* reader.sees("{")) {
    if (!(yield* readJsonArguments(calls, tool.name))) return false;
    yield* takeCallEnd(calls, syntax);
    return true;
  }
  const reading: CallReading = { calls, tool, syntax, outerEnds, keys: [] };
  if (!(yield* reader.sees(syntax.parameter)) && !(yield* seesEnd(reading))) return false;
  if (!calls.begin(tool.name)) return false;
  while (yield* reader.take(syntax.parameter)) {
    if (!(yield* readParameter(reading))) return false;
    yield* reader.skipSpace();
  }
  if (!(yield* seesEnd(reading))) return false;
  yield* reader.take(syntax.callEnd);
  calls.arguments(reading.keys.length === 0 ? "{}" : "}");
  calls.end();
  return true;
}

function* takeCallEnd({ reader }: CallWriter, { callEnd }: TagSyntax): Parsing<void> {
  const at = reader.position;
  yield* reader.skipSpace();
  if (callEnd === "" || !(yield* reader.take(callEnd))) reader.position = at;
}

function* seesEnd({ calls: { reader }, syntax: { callEnd }, outerEnds }: CallReading): Parsing<boolean> {
  return yield* reader.seesAny([callEnd, ...outerEnds].filter((end) => end !== ""));
}

/** A parameter, after the tag that begins it. Whether it is whole. */
function* readParameter(reading: CallReading): Parsing<boolean> {
  const { calls, tool, syntax, keys } = reading;
  const { reader } = calls;
  const key = (yield* reader.before(syntax.valueBegins[0], MAX_KEY))?.trim();
  if (key === undefined) return false;
  for (const begins of syntax.valueBegins) {
    yield* reader.skipSpace();
    if (!(yield* reader.takeAny(begins))) return false;
  }
  if (syntax.isOnLines) yield* reader.take("\n");
  const types = parameterTypes(tool.parameters, key);
  const beginMember = (value: string) => {
    calls.arguments(`${keys.length === 0 ? "{" : ","}${JSON.stringify(key)}:${value}`);
    keys.push(key);
  };
  if (isTextOnly(types)) {
    beginMember('"');
    if (!(yield* readValue(reading, (text) => calls.arguments(JSON.stringify(text).slice(1, -1))))) return false;
    calls.arguments('"');
    return true;
  }
  let value = "";
  const isWhole = yield* readValue(reading, (text) => {
    value += text;
  });
  const json = isWhole ? jsonOfText(value, types) : undefined;
  if (json !== undefined) beginMember(json);
  return isWhole;
}

/** The text of a value, and what ends it. Whether it has an end. */
function* readValue(reading: CallReading, write: (text: string) => void): Parsing<boolean> {
  const { syntax } = reading;
  const { reader } = reading.calls;
  const { valueEnd, callEnd, isOnLines } = syntax;
  const nextLine = isOnLines ? `\n${syntax.parameter}` : "";
  const stops = [valueEnd, callEnd, nextLine].filter((stop) => stop !== "");
  let lineBreak = ""; // the last one, which may be the one before the end
  const writeHeld = (text: string) => {
    const whole = lineBreak + text;
    lineBreak = isOnLines && whole.endsWith("\n") ? "\n" : "";
    write(lineBreak === "" ? whole : whole.slice(0, -1));
  };
  for (;;) {
    const stop = yield* reader.through(stops, writeHeld);
    if (stop === undefined) return false;
    const after = reader.position;
    if (stop === valueEnd && (yield* isValueEnd(reading))) return true;
    reader.position = after;
    if (stop === callEnd && (yield* isCallEnd(reading))) {
      reader.position = after - stop.length;
      return true;
    }
    reader.position = after;
    if (stop === nextLine && (yield* isNextParameter(reading))) {
      reader.position = after - syntax.parameter.length;
      return true;
    }
    reader.position = after;
    writeHeld(stop);
  }
}

/** Whether what follows the end of a value goes on with the call; otherwise it was part of the value. */
function* isValueEnd(reading: CallReading): Parsing<boolean> {
  const { reader } = reading.calls;
  yield* reader.skipSpace();
  return reader.isAtEnd || (yield* reader.sees(reading.syntax.parameter)) || (yield* seesEnd(reading));
}

/** Models forget the end of a value at times: then the end of the call is followed by what follows calls. */
function* isCallEnd({ calls: { reader }, outerEnds }: CallReading): Parsing<boolean> {
  yield* reader.skipSpace();
  return reader.isAtEnd || (yield* reader.seesAny(outerEnds));
}

/** Whether a line begins a parameter that the tool has and the call not yet, though the value before it has no end. */
function* isNextParameter({ calls: { reader }, syntax, tool, keys }: CallReading): Parsing<boolean> {
  const key = (yield* reader.before(syntax.valueBegins[0], MAX_KEY))?.trim();
  const { properties = {} } = tool.parameters;
  return key !== undefined && !keys.includes(key) && Object.hasOwn(properties as object, key);
}
