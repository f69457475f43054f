import type { MixedMessage } from "../../tokenizers/index.ts";
import { detectToolFormat, toolFormat } from "./formats/detect.ts";
import type { ToolFormat, ToolFormatName } from "./formats/tool-format.ts";
import { ChatParser, type ChatParserOptions } from "./parser.ts";
import { detectReasoning, isReasoningOpen, type ReasoningFormat } from "./reasoning.ts";
import { type ToolCallGrammar, toolCallGrammar } from "./tool-call-grammar.ts";
import { type ChatTool, chosenTools, readToolChoice, readTools, requiresCall, type ToolChoice } from "./tools.ts";

/** What a request says of tools, read and checked. */
export interface ToolRequest {
  tools: readonly ChatTool[];
  choice: ToolChoice;
  parallel: boolean;
  /** Tools for the chat template, in OpenAI's form; undefined where none may be called. */
  templateTools: readonly object[] | undefined;
}

/**
 * Reads the fields `tools`, `tool_choice` and `parallel_tool_calls` of a request to OpenAI's chat completions.
 * @throws OptionError naming the field that is wrong
 */
export function readToolRequest({
  tools: list,
  toolChoice,
  parallelToolCalls = true,
}: {
  tools?: unknown;
  toolChoice?: unknown;
  parallelToolCalls?: boolean;
}): ToolRequest {
  const tools = list === undefined || list === null ? [] : readTools(list);
  const choice = readToolChoice(toolChoice, tools);
  const isSingle = typeof choice === "object" && choice.isSingle;
  const shown = choice === "none" ? [] : isSingle ? chosenTools(tools, choice) : tools;
  const names = shown.map(({ name }) => name);
  const templateTools = (list as { function: { name: string } }[] | undefined)?.filter((tool) =>
    names.includes(tool.function.name),
  );
  return {
    tools,
    choice,
    parallel: parallelToolCalls && !isSingle,
    templateTools: templateTools?.length ? templateTools : undefined,
  };
}

/** What is known of a chat when its answer begins. */
export interface ChatPlanOptions {
  /** The chat template that the prompt was made with. */
  template: string | undefined;
  /** Texts of the tokenizer's special tokens. @default none */
  specialTexts?: readonly string[];
  /** The rendered prompt: its end tells whether thoughts are open. */
  prompt: string;
  /** The beginning of the answer, where the prompt ends with it. @default "" */
  prefix?: string;
  /** @default no tools */
  request?: ToolRequest;
  /** How calls are written. @default by the template and the special tokens */
  format?: ToolFormatName;
  /** @default by the template and the special tokens */
  reasoning?: ReasoningFormat;
}

/** What is needed for the answer to a chat. */
export interface ChatPlan {
  /** How calls are written; undefined where there are none. */
  format: ToolFormat | undefined;
  /** How thoughts are marked; undefined for a model without. */
  reasoning: ReasoningFormat | undefined;
  isReasoningOpen: boolean;
  /** Special tokens that decoding must keep (`keptStream`). */
  keptTokens: readonly string[];
  /** Special tokens that end the answer, besides the model's usual ones. */
  endTokens: readonly string[];
  /** What the calls must be: where one is asked for, or tools are strict. It begins after the thoughts. */
  grammar: ToolCallGrammar | undefined;
  /** What calls are where they may come at all, asked for and strict or not. */
  calls: ToolCallGrammar | undefined;
  /** A parser of one answer. */
  parser: (options?: Pick<ChatParserOptions, "wholeCalls" | "newId">) => ChatParser;
}

/** How the answer to a chat is to be decoded, held to its form and taken apart. */
export function planChat(options: ChatPlanOptions): ChatPlan {
  const { template, specialTexts = [], prompt, prefix = "", request } = options;
  const format = formatOf(options);
  const reasoning = options.reasoning ?? detectReasoning(template, specialTexts);
  const isOpen = reasoning !== undefined && isReasoningOpen(prompt, reasoning, prefix);
  const tools = request ? chosenTools(request.tools, request.choice) : [];
  const kept = [...(format?.keptTokens ?? []), ...(reasoning ? [reasoning.begin, reasoning.end] : [])];
  const calls = format && request && toolCallGrammar(format, request.tools, request);
  const isHeld = request && (requiresCall(request.choice) || tools.some(({ strict }) => strict));
  return {
    format,
    reasoning,
    isReasoningOpen: isOpen,
    keptTokens: specialTexts.filter((text) => text !== "" && kept.some((mark) => mark.includes(text))),
    endTokens: (format?.endTokens ?? []).filter((text) => specialTexts.includes(text)),
    grammar: isHeld ? calls : undefined,
    calls,
    parser: (more) =>
      new ChatParser({ format, tools, reasoning, isReasoningOpen: isOpen, parallel: request?.parallel, ...more }),
  };
}

/** Channels are in every answer of a model that has them. */
function formatOf({ template, specialTexts = [], request, format: name }: ChatPlanOptions): ToolFormat | undefined {
  const detected = name === undefined ? detectToolFormat(template, specialTexts) : toolFormat(name);
  if (detected?.name === "harmony") return detected;
  const isAsked = request !== undefined && request.choice !== "none";
  return isAsked ? (detected ?? toolFormat("json")) : undefined;
}

/**
 * Messages that tell of tools, for a template that does not: a system message says what they are, and how they are
 * called.
 */
export function withToolInstructions(messages: readonly MixedMessage[], request: ToolRequest): MixedMessage[] {
  if (!request.templateTools) return [...messages];
  const described = chosenTools(request.tools, request.choice).map(({ name, description, parameters }) =>
    JSON.stringify({ name, ...(description !== undefined && { description }), parameters }),
  );
  const when = requiresCall(request.choice) ? "Answer with calls of functions" : "To call functions, answer";
  const text = [
    "You can call these functions:",
    ...described,
    `${when} in this form and nothing else: [{"name": the name, "arguments": an object of the arguments}]`,
  ].join("\n");
  const [first, ...rest] = messages;
  if (first?.role !== "system") return [{ role: "system", content: text }, ...messages];
  const content =
    typeof first.content === "string"
      ? `${first.content}\n\n${text}`
      : [...(first.content ?? []), { type: "text", text }];
  return [{ ...first, content }, ...rest];
}
