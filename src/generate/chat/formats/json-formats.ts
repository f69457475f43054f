/** Formats that write calls as JSON, or as Python. */
import type { CallWriter } from "../call-writer.ts";
import { literal, marker, sequence } from "../grammar.ts";
import type { Parsing } from "../text-reader.ts";
import { argumentsOf, jsonCall, pythonCall } from "./format-grammars.ts";
import { readJsonCalls } from "./json-calls.ts";
import { readMistralCalls } from "./named-calls.ts";
import { readPythonCalls } from "./python-calls.ts";
import { qwenTags } from "./tag-formats.ts";
import { readTaggedCall } from "./tagged-calls.ts";
import { takeEnd } from "./take-end.ts";
import type { ToolFormat, ToolFormatName } from "./tool-format.ts";

/** A list of calls in JSON between two markers. */
function markedList(
  name: ToolFormatName,
  [begin, end]: readonly [string, string],
  call: ToolFormat["call"] = (tool) => jsonCall(tool, "arguments"),
): ToolFormat {
  return {
    name,
    begins: [begin],
    keptTokens: [begin, end],
    *read(calls) {
      if (!(yield* readJsonCalls(calls, { isMarked: true }))) return false;
      yield* takeEnd(calls, end);
      return true;
    },
    call,
    around: {
      before: sequence(marker(begin), literal("[")),
      between: literal(", "),
      after: sequence(literal("]"), marker(end)),
    },
  };
}

const PYTHON_TAG = "<|python_tag|>";
const llama3: ToolFormat = {
  name: "llama3",
  begins: [PYTHON_TAG, qwenTags.call], // <function=name>{...}</function> is Llama 3.1's form for custom tools
  keptTokens: [PYTHON_TAG],
  endTokens: ["<|eom_id|>"],
  *read(calls, begin) {
    if (begin === PYTHON_TAG) return yield* readJsonCalls(calls, { isMarked: true });
    calls.reader.position -= begin.length;
    return yield* readTaggedCall(calls, qwenTags, [""]);
  },
  readFirst: (calls) => readJsonCalls(calls, { isMarked: false }),
  call: (tool) => jsonCall(tool, "parameters"),
  around: { between: literal("; ") },
  trigger: '{"name": "',
};

const PYTHON_BEGIN = "<|python_start|>";
const PYTHON_END = "<|python_end|>";
function* readLlama4(calls: CallWriter, isMarked: boolean): Parsing<boolean> {
  const { reader } = calls;
  yield* reader.skipSpace();
  const isJson = (yield* reader.sees("{")) || (yield* reader.sees("[{"));
  if (!(isJson ? yield* readJsonCalls(calls, { isMarked }) : yield* readPythonCalls(calls))) return false;
  yield* takeEnd(calls, PYTHON_END);
  return true;
}
const pythonic: ToolFormat = {
  name: "pythonic",
  begins: [PYTHON_BEGIN],
  keptTokens: [PYTHON_BEGIN, PYTHON_END],
  endTokens: ["<|eom|>"],
  read: (calls) => readLlama4(calls, true),
  readFirst: (calls) => readLlama4(calls, false),
  call: pythonCall,
  around: { before: literal("["), between: literal(", "), after: literal("]") },
  trigger: "[",
};

/** Meta's own template asks for JSON, where others ask for Python. */
const llama4: ToolFormat = {
  ...pythonic,
  name: "llama4",
  call: (tool) => jsonCall(tool, "parameters"),
  around: { between: literal("; ") },
  trigger: '{"name": "',
};

const LFM_BEGIN = "<|tool_call_start|>";
const LFM_END = "<|tool_call_end|>";
const lfm2: ToolFormat = {
  name: "lfm2",
  begins: [LFM_BEGIN],
  keptTokens: [LFM_BEGIN, LFM_END],
  *read(calls) {
    const { reader } = calls;
    yield* reader.skipSpace();
    const isJson = (yield* reader.sees("{")) || (yield* reader.sees("[{"));
    if (!(isJson ? yield* readJsonCalls(calls, { isMarked: true }) : yield* readPythonCalls(calls))) return false;
    yield* takeEnd(calls, LFM_END);
    return true;
  },
  call: pythonCall,
  around: {
    before: sequence(marker(LFM_BEGIN), literal("[")),
    between: literal(", "),
    after: sequence(literal("]"), marker(LFM_END)),
  },
};

const MISTRAL_CALLS = "[TOOL_CALLS]";
const MISTRAL_ID_LENGTH = 9;
const mistral: ToolFormat = {
  name: "mistral",
  begins: [MISTRAL_CALLS],
  keptTokens: [MISTRAL_CALLS],
  read: readMistralCalls,
  call: (tool) => jsonCall(tool, "arguments"),
  around: { before: sequence(marker(MISTRAL_CALLS), literal("[")), between: literal(", "), after: literal("]") },
  idLength: MISTRAL_ID_LENGTH,
};
const mistralArgs: ToolFormat = {
  ...mistral,
  name: "mistral-args",
  keptTokens: [MISTRAL_CALLS, "[ARGS]", "[CALL_ID]"],
  call: (tool) => sequence(marker(MISTRAL_CALLS), literal(tool.name), marker("[ARGS]"), argumentsOf(tool)),
  around: {},
};

const FENCES = ["```json", "```"];
const json: ToolFormat = {
  name: "json",
  begins: [],
  keptTokens: [],
  *readFirst(calls) {
    const { reader } = calls;
    const isFenced = yield* reader.takeAny(FENCES);
    if (!(yield* readJsonCalls(calls, { isMarked: false }))) return false;
    if (isFenced) yield* takeEnd(calls, "```");
    return true;
  },
  call: (tool) => jsonCall(tool, "arguments"),
  around: { before: literal("["), between: literal(", "), after: literal("]") },
  trigger: '[{"name": "',
};

const nemotron = markedList("nemotron", ["<TOOLCALL>", "</TOOLCALL>"]);
const toolCallsTag = markedList("tool-calls", ["<tool_calls>", "</tool_calls>"]);
const phi4 = markedList("phi4", ["<|tool_call|>", "<|/tool_call|>"]);
const commandR7b = markedList("command-r7b", ["<|START_ACTION|>", "<|END_ACTION|>"], (tool) =>
  jsonCall(tool, "parameters", "tool_name"),
);

/** Llama, LFM2, Mistral, and others. */
export const jsonFormats: readonly ToolFormat[] = [
  llama3,
  llama4,
  pythonic,
  lfm2,
  mistral,
  mistralArgs,
  nemotron,
  toolCallsTag,
  phi4,
  commandR7b,
  json,
];
