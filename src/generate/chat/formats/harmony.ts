/** gpt-oss's answers: messages on channels, each with a header. */
import type { CallWriter } from "../call-writer.ts";
import type { Parsing } from "../text-reader.ts";
import { readJsonArguments } from "./json-calls.ts";

/** Most characters of a header. */
const MAX_HEADER = 256;
const MESSAGE = "<|message|>";
const headerBegins = ["<|start|>", "<|channel|>", "to=", " to="];
const bodyEnds = ["<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>"];

/** Whom a message is for, its channel, and the kind of its content. */
const headerForm =
  /^(?:<\|start\|>assistant)?\s*(?:to=(\S+?))?\s*(?:<\|channel\|>\s*(analysis|commentary|final))?\s*(?:to=(\S+?))?\s*(?:(?:<\|constrain\|>)?\s*(?:json|code))?\s*$/;

/** The special tokens of the format. */
export const harmonyTokens = [
  "<|start|>",
  "<|end|>",
  "<|message|>",
  "<|channel|>",
  "<|constrain|>",
  "<|return|>",
  "<|call|>",
] as const;

export interface HarmonyOutput {
  content: (text: string) => void;
  reasoning: (text: string) => void;
}

/** A whole answer. What has no header is content. */
export function* readHarmony(calls: CallWriter, { content, reasoning }: HarmonyOutput): Parsing<void> {
  const { reader } = calls;
  while (yield* reader.more()) {
    const begin = yield* reader.takeAny(headerBegins);
    const at = reader.position;
    const rest = begin === undefined ? undefined : yield* reader.before([MESSAGE], MAX_HEADER);
    const header = rest === undefined ? null : headerForm.exec(begin + rest);
    if (!header) {
      reader.position = at;
      if (begin !== undefined) content(begin);
      yield* readBody(calls, content);
      continue;
    }
    yield* reader.take(MESSAGE);
    const [, before, channel, after] = header;
    const name = /^functions\.([\w-]+)$/.exec(after ?? before ?? "")?.[1];
    if (name !== undefined) yield* readCall(calls, name, content);
    else yield* readBody(calls, channel === "analysis" ? reasoning : content);
  }
}

/** A call of a function; what is none is content, without its header. */
function* readCall(calls: CallWriter, name: string, content: (text: string) => void): Parsing<void> {
  const { reader } = calls;
  const at = reader.position;
  yield* reader.skipSpace();
  if (yield* readJsonArguments(calls, name)) {
    yield* reader.skipSpace();
    yield* reader.takeAny(bodyEnds.slice(0, 3));
    return;
  }
  const wasOpen = calls.isOpen;
  calls.breakOff();
  if (reader.isAtEnd && wasOpen) return;
  reader.position = wasOpen ? Math.max(at, calls.safe) : at;
  yield* readBody(calls, content);
}

function* readBody(calls: CallWriter, write: (text: string) => void): Parsing<void> {
  const { reader } = calls;
  const stop = yield* reader.through(bodyEnds, (text) => {
    write(text);
    reader.release();
  });
  // a message may begin without the end of the one before it
  if (stop === "<|start|>" || stop === "<|channel|>") reader.position -= stop.length;
}
