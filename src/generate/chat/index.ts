/** Tool calls and thoughts in the text of chat models: parsers, grammars, and what requests say of them. */
export { ChatAnswer, type ChatEvent, type ToolCall } from "./events.ts";
export { detectToolFormat, toolFormat } from "./formats/detect.ts";
export { type ToolFormat, type ToolFormatName, toolFormatNames } from "./formats/tool-format.ts";
export type { Grammar } from "./grammar.ts";
export { ChatParser, type ChatParserOptions } from "./parser.ts";
export { detectReasoning, isReasoningOpen, type ReasoningFormat } from "./reasoning.ts";
export { type ToolCallGrammar, toolCallGrammar } from "./tool-call-grammar.ts";
export {
  type ChatTool,
  type JsonSchema,
  readToolChoice,
  readTools,
  type ToolChoice,
} from "./tools.ts";
