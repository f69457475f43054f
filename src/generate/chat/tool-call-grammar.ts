import type { ToolFormat } from "./formats/tool-format.ts";
import { type CallGrammar, choice, sequence } from "./grammar.ts";
import { type ChatTool, chosenTools, requiresCall, type ToolChoice } from "./tools.ts";

/** Calls of tools as a grammar. */
export interface ToolCallGrammar {
  /** Calls, from their first marker on. */
  calls: CallGrammar;
  /** Whether the answer must be calls. Otherwise it is free until a trigger comes, which `calls` begins with. */
  isRequired: boolean;
  triggers: readonly string[];
}

/**
 * What calls of tools may be, in a format.
 * @param options choice: what is asked for. @default "auto". parallel: whether there may be several calls. @default
 *   true
 * @returns undefined where no tool may be called
 */
export function toolCallGrammar(
  format: ToolFormat,
  tools: readonly ChatTool[],
  options: { parallel?: boolean; choice?: ToolChoice } = {},
): ToolCallGrammar | undefined {
  const { parallel = true, choice: toolChoice = "auto" } = options;
  const allowed = chosenTools(tools, toolChoice);
  if (allowed.length === 0) return undefined;
  const isSingle = !parallel || (typeof toolChoice === "object" && toolChoice.isSingle);
  const most = isSingle ? 1 : format.mostCalls;
  const { before, between, after } = format.around ?? {};
  const repeated: CallGrammar = {
    kind: "repeat",
    item: choice(allowed.map((tool) => format.call(tool))),
    ...(between && { separator: between }),
    least: 1,
    ...(most !== undefined && { most }),
  };
  const items = [before, repeated, after].filter((item) => item !== undefined);
  return {
    calls: items.length === 1 ? items[0] : sequence(...items),
    isRequired: requiresCall(toolChoice),
    triggers: [format.trigger ?? format.begins[0]],
  };
}
