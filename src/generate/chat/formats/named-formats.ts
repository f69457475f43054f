/** Formats that write a call's name before the JSON of its arguments. */
import { literal, marker, sequence } from "../grammar.ts";
import { argumentsOf, gemmaCall } from "./format-grammars.ts";
import { GEMMA_QUOTE, readGemmaCall } from "./gemma-calls.ts";
import { harmonyTokens } from "./harmony.ts";
import { readDeepSeekCalls, readKimiCalls, readNamedLine } from "./named-calls.ts";
import { takeEnd } from "./take-end.ts";
import type { ToolFormat } from "./tool-format.ts";

const glm4: ToolFormat = {
  name: "glm4",
  begins: [],
  keptTokens: [],
  readFirst: readNamedLine,
  endTokens: ["<|observation|>"],
  call: (tool) => sequence(literal(`${tool.name}\n`), argumentsOf(tool)),
  mostCalls: 1,
  trigger: "",
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

const GEMMA_CALL = "<|tool_call>";
const GEMMA_CALL_END = "<tool_call|>";
const gemma4: ToolFormat = {
  name: "gemma4",
  begins: [GEMMA_CALL],
  keptTokens: [GEMMA_CALL, GEMMA_CALL_END, GEMMA_QUOTE],
  *read(calls) {
    if (!(yield* readGemmaCall(calls))) return false;
    yield* takeEnd(calls, GEMMA_CALL_END);
    return true;
  },
  endTokens: ["<|tool_response>"],
  call: (tool) => sequence(marker(GEMMA_CALL), gemmaCall(tool), marker(GEMMA_CALL_END)),
};

const harmony: ToolFormat = {
  name: "harmony",
  begins: [],
  keptTokens: harmonyTokens,
  endTokens: ["<|call|>", "<|return|>"],
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

/** The older GLM-4, DeepSeek, Kimi, Gemma 4 and gpt-oss. */
export const namedFormats: readonly ToolFormat[] = [glm4, deepseekV3, deepseekV31, kimiK2, gemma4, harmony];
