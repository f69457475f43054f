/** Formats that write calls in tags. */
import type { CallWriter } from "../call-writer.ts";
import { literal, marker, sequence } from "../grammar.ts";
import type { Parsing } from "../text-reader.ts";
import { jsonCall, type TagLayout, taggedCall } from "./format-grammars.ts";
import { readJsonCalls } from "./json-calls.ts";
import { readTaggedCall, type TagSyntax } from "./tagged-calls.ts";
import { takeEnd } from "./take-end.ts";
import type { ToolFormat, ToolFormatName } from "./tool-format.ts";

const BEGIN = "<tool_call>";
const END = "</tool_call>";

export const qwenTags: TagSyntax = {
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
const dsmlTags: TagSyntax = {
  call: '<｜DSML｜invoke name="',
  nameEnds: ['">'],
  callEnd: "</｜DSML｜invoke>",
  parameter: '<｜DSML｜parameter name="',
  valueBegins: [['" string="true">', '" string="false">', '">']],
  valueEnd: "</｜DSML｜parameter>",
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

const lines = (valueBegin: string): TagLayout => ({
  nameBreak: "\n",
  valueBegin: () => valueBegin,
  parameterBreak: "\n",
});

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
    const isBare = begin === qwenTags.call; // anything may follow
    if (!(yield* readTaggedCall(calls, isTagged ? qwenTags : glmTags, isBare ? [""] : [END, BEGIN]))) return false;
  }
  yield* takeEnd(calls, END, isJson ? "}" : "");
  return true;
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
    sequence(marker(BEGIN), literal("\n"), taggedCall(tool, qwenTags, lines(">")), literal("\n"), marker(END)),
};

const glm45: ToolFormat = {
  ...hermes,
  name: "glm4.5",
  endTokens: ["<|observation|>"],
  keptTokens: [BEGIN, END, "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"],
  call: (tool) => sequence(marker(BEGIN), taggedCall(tool, glmTags, lines("</arg_key>\n<arg_value>")), marker(END)),
};

const MINIMAX_BEGIN = "<minimax:tool_call>";
const MINIMAX_END = "</minimax:tool_call>";
const miniMaxM2: ToolFormat = {
  name: "minimax-m2",
  begins: [MINIMAX_BEGIN],
  keptTokens: [MINIMAX_BEGIN, MINIMAX_END],
  read: readOuterTag(miniMaxTags, MINIMAX_END),
  call: (tool) => taggedCall(tool, miniMaxTags, lines('">')),
  around: {
    before: sequence(marker(MINIMAX_BEGIN), literal("\n")),
    between: literal("\n"),
    after: sequence(literal("\n"), marker(MINIMAX_END)),
  },
};

/** DeepSeek V3.2's. */
const DSML_CALLS = ["<｜DSML｜function_calls>", "<｜DSML｜tool_calls>"] as const;
const DSML_ENDS = ["</｜DSML｜function_calls>", "</｜DSML｜tool_calls>"] as const;
function dsml(version: 0 | 1, name: ToolFormatName): ToolFormat {
  const [begin, end] = [DSML_CALLS[version], DSML_ENDS[version]];
  return {
    name,
    begins: [begin],
    keptTokens: ["｜DSML｜"],
    read: readOuterTag(dsmlTags, end),
    call: (tool) => taggedCall(tool, dsmlTags, { ...lines(""), valueBegin: (isText) => `" string="${isText}">` }),
    around: { before: literal(`${begin}\n`), between: literal("\n"), after: literal(`\n${end}`) },
  };
}

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
      taggedCall(tool, seedTags, lines(">")),
      literal("\n"),
      marker(SEED_END),
    ),
  around: { between: literal("\n") },
};

const deepseekV32 = dsml(0, "deepseek-v3.2");
const deepseekV4 = dsml(1, "deepseek-v4");

/** Qwen, GLM, MiniMax, Seed and the newer DeepSeek. */
export const tagFormats: readonly ToolFormat[] = [
  hermes,
  qwen3Coder,
  glm45,
  miniMaxM2,
  seedOss,
  deepseekV32,
  deepseekV4,
];
