/** Tool calls and thoughts in the text of chat models: parsers, grammars, and what requests say of them. */

export { type ChatConstraintOptions, chatConstraint } from "./constraints/chat-constraint.ts";
export { addEvent, ChatAnswer, type ChatEvent, type ToolCall } from "./events.ts";
export { detectToolFormat, toolFormat } from "./formats/detect.ts";
export { type ToolFormat, type ToolFormatName, toolFormatNames } from "./formats/tool-format.ts";
export type { CallGrammar, TextGrammar } from "./grammar.ts";
export { keptStream } from "./kept-stream.ts";
export { normalizeMessages, type TemplateTraits, templateTraits } from "./messages.ts";
export { chatDelta, chatFinishReason, chatMessage } from "./openai.ts";
export { ChatParser, type ChatParserOptions } from "./parser.ts";
export {
  type ChatPlan,
  type ChatPlanOptions,
  planChat,
  readToolRequest,
  type ToolRequest,
  withToolInstructions,
} from "./plan.ts";
export { detectReasoning, isReasoningOpen, type ReasoningFormat } from "./reasoning.ts";
export { ReasoningBudget, type ReasoningBudgetOptions } from "./reasoning-budget.ts";
export { type ToolCallGrammar, toolCallGrammar } from "./tool-call-grammar.ts";
export {
  type ChatTool,
  readToolChoice,
  readTools,
  type ToolChoice,
} from "./tools.ts";
