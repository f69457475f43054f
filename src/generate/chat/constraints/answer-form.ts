import type { ChatPlan } from "../plan.ts";
import type { ToolCallGrammar } from "../tool-call-grammar.ts";

/** What the form of an answer depends on: the part of a plan that is data, which a thread may be sent. */
export interface AnswerForm
  extends Pick<ChatPlan, "isReasoningOpen" | "reasoning" | "keptTokens" | "endTokens" | "calls"> {
  readonly grammar: Pick<ToolCallGrammar, "isRequired"> | undefined;
  readonly format: Pick<NonNullable<ChatPlan["format"]>, "name" | "begins" | "keptTokens"> | undefined;
}

/** That part of a plan. */
export function answerForm(plan: ChatPlan): AnswerForm {
  const { isReasoningOpen, reasoning, keptTokens, endTokens, calls, grammar, format } = plan;
  return {
    isReasoningOpen,
    reasoning,
    keptTokens,
    endTokens,
    calls,
    grammar: grammar && { isRequired: grammar.isRequired },
    format: format && { name: format.name, begins: format.begins, keptTokens: format.keptTokens },
  };
}
