import type { CallWriter } from "../call-writer.ts";
import { literal, marker, sequence } from "../grammar.ts";
import type { Parsing } from "../text-reader.ts";
import { argumentsOf, jsonCall, pythonCall, taggedCall } from "./format-grammars.ts";
import { harmonyTokens } from "./harmony.ts";
import { readJsonCalls } from "./json-calls.ts";
import { readDeepSeekCalls, readKimiCalls, readMistralCalls, readNamedLine } from "./named-calls.ts";
import { readPythonCalls } from "./python-calls.ts";
import { readTaggedCall, type TagSyntax } from "./tagged-calls.ts";
import type { ToolFormat } from "./tool-format.ts";

const BEGIN = "<tool_call>";
const END = "</tool_call>";

const qwenTags: TagSyntax = {
  call: "<function=",
  nameEnds: [">"],
  callEnd: "</function>",
  parameter: "<parameter=",
  valueBegins: [[">"]],
  valueEnd: "</parameter>",
  isOnLines: true,
};
const glmTags: TagSyntax = {
  call: "",
  nameEnds: ["\n", "<arg_key>", END],
  callEnd: "",
  parameter: "<arg_key>",
  valueBegins: [["</arg_key>"], ["<arg_value>"]],
  valueEnd: "</arg_value>",
  isOnLines: false,
};
const miniMaxTags: TagSyntax = {
  call: '<invoke name="',
  nameEnds: ['">'],
  callEnd: "</invoke>",
  parameter: '<parameter name="',
  valueBegins: [['">']],
  valueEnd: "</parameter>",
  isOnLines: false,
};

/**
 * What stands in <tool_call>: JSON, tags, or a name with tags. Models of one family write that of another at times, so
 * all are read.
 */
function* readToolCallTag(calls: CallWriter, begin: string): Parsing<boolean> {
  const { reader } = calls;
  if (begin === qwenTags.call) reader.position -= begin.length;
  yield* reader.skipSpace();
  const isJson = yield* reader.seesAny(["{", "["]);
  if (isJson) {
    if (!(yield* readJsonCalls(calls, { isMarked: true }))) return false;
  } else {
    const isTagged = yield* reader.sees(qwenTags.call);
    if (!(yield* readTaggedCall(calls, isTagged ? qwenTags : glmTags, [END, BEGIN]))) return false;
  }
  yield* takeEnd(calls, END, isJson ? "}" : "");
  return true;
}

/** Reads the end of a call where it is next, after blanks and what models write too often. */
function* takeEnd(calls: CallWriter, end: string, surplus = ""): Parsing<void> {
  const { reader } = calls;
  const at = reader.position;
  yield* reader.skipSpace();
  while (surplus !== "" && (yield* reader.take(surplus))) yield* reader.skipSpace();
  if (yield* reader.take(end)) calls.settle();
  else reader.position = at;
}

/** Calls in an outer tag, one after the other. */
function readOuterTag(syntax: TagSyntax, end: string): ToolFormat["read"] {
  return function* (calls) {
    const { reader } = calls;
    for (let count = 0; ; count++) {
      yield* reader.skipSpace();
      if (count > 0 && !(yield* reader.sees(syntax.call))) break;
      if (!(yield* readTaggedCall(calls, syntax, [end, syntax.call]))) return false;
    }
    yield* takeEnd(calls, end);
    return true;
  };
}

const hermes: ToolFormat = {
  name: "hermes",
  begins: [BEGIN],
  keptTokens: [BEGIN, END],
  read: readToolCallTag,
  call: (tool) => sequence(marker(BEGIN), literal("\n"), jsonCall(tool, "arguments"), literal("\n"), marker(END)),
  around: { between: literal("\n") },
};

const qwen3Coder: ToolFormat = {
  ...hermes,
  name: "qwen3-coder",
  begins: [BEGIN, qwenTags.call], // smaller models forget the first
  call: (tool) =>
    sequence(
      marker(BEGIN),
      literal("\n"),
      taggedCall(tool, { ...qwenTags, nameBreak: "\n", valueBreak: "", parameterBreak: "\n" }),
      literal("\n"),
      marker(END),
    ),
};

const glm45: ToolFormat = {
  ...hermes,
  name: "glm4.5",
  keptTokens: [BEGIN, END, "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"],
  call: (tool) =>
    sequence(
      marker(BEGIN),
      taggedCall(tool, { ...glmTags, nameBreak: "\n", valueBreak: "\n", parameterBreak: "\n" }),
      marker(END),
    ),
};

const glm4: ToolFormat = {
  name: "glm4",
  begins: [],
  keptTokens: [],
  readFirst: readNamedLine,
  call: (tool) => sequence(literal(`${tool.name}\n`), argumentsOf(tool)),
  mostCalls: 1,
  trigger: "",
};

const PYTHON_TAG = "<|python_tag|>";
const llama3: ToolFormat = {
  name: "llama3",
  begins: [PYTHON_TAG],
  keptTokens: [PYTHON_TAG],
  read: (calls) => readJsonCalls(calls, { isMarked: true }),
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
  read: (calls) => readLlama4(calls, true),
  readFirst: (calls) => readLlama4(calls, false),
  call: pythonCall,
  around: { before: literal("["), between: literal(", "), after: literal("]") },
  trigger: "[",
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

const DEEPSEEK_CALLS = "<｜tool▁calls▁begin｜>";
const DEEPSEEK_CALL = "<｜tool▁call▁begin｜>";
const DEEPSEEK_CALL_END = "<｜tool▁call▁end｜>";
const DEEPSEEK_CALLS_END = "<｜tool▁calls▁end｜>";
const DEEPSEEK_SEPARATOR = "<｜tool▁sep｜>";
const deepseekV3: ToolFormat = {
  name: "deepseek-v3",
  // distilled models have no such tokens, and write them by heart
  begins: [
    DEEPSEEK_CALLS,
    DEEPSEEK_CALL,
    "<｜tool_calls_begin｜>",
    "<｜tool calls begin｜>",
    "<｜tool\\_calls\\_begin｜>",
    "<｜tool▁calls｜>",
  ],
  keptTokens: [DEEPSEEK_CALLS, DEEPSEEK_CALL, DEEPSEEK_SEPARATOR, DEEPSEEK_CALL_END, DEEPSEEK_CALLS_END],
  read: (calls, begin) => readDeepSeekCalls(calls, begin === DEEPSEEK_CALL),
  call: (tool) =>
    sequence(
      marker(DEEPSEEK_CALL),
      literal("function"),
      marker(DEEPSEEK_SEPARATOR),
      literal(`${tool.name}\n\`\`\`json\n`),
      argumentsOf(tool),
      literal("\n```"),
      marker(DEEPSEEK_CALL_END),
    ),
  around: { before: marker(DEEPSEEK_CALLS), between: literal("\n"), after: marker(DEEPSEEK_CALLS_END) },
};
const deepseekV31: ToolFormat = {
  ...deepseekV3,
  name: "deepseek-v3.1",
  call: (tool) =>
    sequence(
      marker(DEEPSEEK_CALL),
      literal(tool.name),
      marker(DEEPSEEK_SEPARATOR),
      argumentsOf(tool),
      marker(DEEPSEEK_CALL_END),
    ),
  around: { before: marker(DEEPSEEK_CALLS), after: marker(DEEPSEEK_CALLS_END) },
};

const KIMI_CALLS = "<|tool_calls_section_begin|>";
const KIMI_CALLS_END = "<|tool_calls_section_end|>";
const KIMI_CALL = "<|tool_call_begin|>";
const KIMI_ARGUMENTS = "<|tool_call_argument_begin|>";
const KIMI_CALL_END = "<|tool_call_end|>";
const kimiK2: ToolFormat = {
  name: "kimi-k2",
  begins: [KIMI_CALLS, KIMI_CALL],
  keptTokens: [KIMI_CALLS, KIMI_CALL, KIMI_ARGUMENTS, KIMI_CALL_END, KIMI_CALLS_END],
  read: (calls, begin) => readKimiCalls(calls, begin === KIMI_CALL),
  call: (tool) =>
    sequence(
      marker(KIMI_CALL),
      literal(`functions.${tool.name}:`),
      { kind: "schema", schema: { type: "integer", minimum: 0, maximum: 999 } },
      marker(KIMI_ARGUMENTS),
      argumentsOf(tool),
      marker(KIMI_CALL_END),
    ),
  around: { before: marker(KIMI_CALLS), after: marker(KIMI_CALLS_END) },
};

const MINIMAX_BEGIN = "<minimax:tool_call>";
const MINIMAX_END = "</minimax:tool_call>";
const miniMaxM2: ToolFormat = {
  name: "minimax-m2",
  begins: [MINIMAX_BEGIN],
  keptTokens: [MINIMAX_BEGIN, MINIMAX_END],
  read: readOuterTag(miniMaxTags, MINIMAX_END),
  call: (tool) => taggedCall(tool, { ...miniMaxTags, nameBreak: "\n", valueBreak: "", parameterBreak: "\n" }),
  around: {
    before: sequence(marker(MINIMAX_BEGIN), literal("\n")),
    between: literal("\n"),
    after: sequence(literal("\n"), marker(MINIMAX_END)),
  },
};

const SEED_BEGIN = "<seed:tool_call>";
const SEED_END = "</seed:tool_call>";
const seedTags: TagSyntax = { ...qwenTags, isOnLines: false };
const seedOss: ToolFormat = {
  name: "seed-oss",
  begins: [SEED_BEGIN],
  keptTokens: [SEED_BEGIN, SEED_END],
  read: readOuterTag(seedTags, SEED_END),
  call: (tool) =>
    sequence(
      marker(SEED_BEGIN),
      literal("\n"),
      taggedCall(tool, { ...seedTags, nameBreak: "\n", valueBreak: "", parameterBreak: "\n" }),
      literal("\n"),
      marker(SEED_END),
    ),
  around: { between: literal("\n") },
};

const harmony: ToolFormat = {
  name: "harmony",
  begins: [],
  keptTokens: harmonyTokens,
  call: (tool) =>
    sequence(
      marker("<|channel|>"),
      literal(`commentary to=functions.${tool.name} `),
      marker("<|constrain|>"),
      literal("json"),
      marker("<|message|>"),
      argumentsOf(tool),
      marker("<|call|>"),
    ),
  mostCalls: 1,
  trigger: "<|channel|>commentary to=",
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

/** How families of models write calls, by name. */
export const toolFormats: readonly ToolFormat[] = [
  hermes,
  qwen3Coder,
  glm45,
  glm4,
  llama3,
  pythonic,
  lfm2,
  mistral,
  mistralArgs,
  deepseekV3,
  deepseekV31,
  kimiK2,
  miniMaxM2,
  seedOss,
  harmony,
  json,
];
