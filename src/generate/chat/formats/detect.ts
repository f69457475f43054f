import { OptionError } from "../../../base/index.ts";
import { toolFormats } from "./formats.ts";
import type { ToolFormat, ToolFormatName } from "./tool-format.ts";
import { toolFormatNames } from "./tool-format.ts";

/** What a template must have in it, all of each; the first that fits counts. */
const signs: readonly [ToolFormatName, ...string[]][] = [
  ["harmony", "<|channel|>", "to=functions."],
  ["harmony", "<|channel|>", "<|start|>assistant to="],
  ["gemma4", "<|tool_call>", "<tool_call|>"],
  ["kimi-k2", "<|tool_call_argument_begin|>"],
  ["minimax-m2", "<minimax:tool_call>"],
  ["seed-oss", "<seed:tool_call>"],
  ["deepseek-v3", "<｜tool▁calls▁begin｜>", "```json"],
  ["deepseek-v3.1", "<｜tool▁calls▁begin｜>"],
  ["deepseek-v3.2", "｜DSML｜", "function_calls"],
  ["deepseek-v4", "｜DSML｜", "tool_calls>"],
  ["mistral-args", "[TOOL_CALLS]", "[ARGS]"],
  ["mistral", "[TOOL_CALLS]"],
  ["glm4.5", "<arg_key>", "<tool_call>"],
  ["qwen3-coder", "<function=", "<parameter="],
  ["lfm2", "<|tool_call_start|>"],
  ["nemotron", "<TOOLCALL>"],
  ["command-r7b", "<|START_ACTION|>"],
  ["phi4", "<|tool_call|>"],
  ["tool-calls", "<tool_calls>"],
  ["hermes", "<tool_call>"],
  ["pythonic", "[func_name1("],
  ["llama4", "<|python_start|>", '"parameters": '],
  ["pythonic", "<|python_start|>"],
  ["llama3", "<|python_tag|>"],
  ["llama3", '{"name": ', '"parameters": '],
  ["glm4", "<|observation|>", "tools"],
  ["glm4", "[gMASK]<sop>", "tools"],
];

/**
 * How a model writes the calls of tools, by its chat template.
 * @param template undefined for a model without one
 * @param addedTokens texts of the tokenizer's added tokens: they tell where the template does not. @default none
 * @returns "json" where the template knows tools and shows no form, undefined where it does not know them
 */
export function detectToolFormat(
  template: string | undefined,
  addedTokens: readonly string[] = [],
): ToolFormat | undefined {
  if (template === undefined) return undefined;
  const name = signs.find(([, ...texts]) => texts.every((text) => template.includes(text)))?.[0];
  if (name !== undefined) return toolFormat(name);
  if (!/\btools\b/.test(template)) return undefined;
  const byToken = signs.find(([, ...texts]) => texts.length === 1 && addedTokens.includes(texts[0]))?.[0];
  return toolFormat(byToken ?? "json");
}

/** The format of a name. @throws OptionError for a name that is none */
export function toolFormat(name: ToolFormatName): ToolFormat {
  const format = toolFormats.get(name);
  if (format) return format;
  throw new OptionError({
    where: "toolFormat",
    expected: `one of ${toolFormatNames.join(", ")}`,
    received: JSON.stringify(name),
    fix: "choose one of them",
  });
}
