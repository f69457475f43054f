import { otherBytes, type TokenMarks } from "../../grammar/marked-vocabulary.ts";
import { toolFormats } from "../formats/formats.ts";
import { reasoningFormats } from "../reasoning.ts";
import type { AnswerForm } from "./answer-form.ts";
import type { AnswerMarks } from "./call-rules.ts";

/** How thoughts stand in an answer that is held to a form. */
export interface ThoughtMarks {
  begin: string;
  end: string;
  /** What comes between thoughts and what follows them. */
  between: string;
}

/** gpt-oss thinks in a message of its own. */
const harmonyThoughts: ThoughtMarks = {
  begin: "<|channel|>analysis<|message|>",
  end: "<|end|>",
  between: "<|start|>assistant",
};

/** The marks of a plan's thoughts; undefined for a model without. */
export function thoughtMarks({ format, reasoning }: AnswerForm): ThoughtMarks | undefined {
  if (format?.name === "harmony") return harmonyThoughts;
  return reasoning && { ...reasoning, between: "" };
}

/** All texts that a plan's answers may have as one token. */
export function markTexts(plan: AnswerForm): string[] {
  const { format, reasoning, keptTokens } = plan;
  const marks = [...(format?.keptTokens ?? []), ...(reasoning ? [reasoning.begin, reasoning.end] : []), ...keptTokens];
  return [...new Set(marks)].filter((text) => !plan.endTokens.includes(text));
}

/** The marks of all forms that are known: with them, one vocabulary serves all plans of a tokenizer. */
export const knownMarks: readonly string[] = [
  ...[...toolFormats.values()].flatMap(({ keptTokens }) => keptTokens),
  ...reasoningFormats.flatMap(({ begin, end }) => [begin, end]),
];

/** The marks that mean something in the answers of a plan, and those that do not. */
export function answerMarks(plan: AnswerForm, { bytes, addsBlanks }: TokenMarks): AnswerMarks {
  const texts = markTexts(plan);
  const all = [...bytes];
  return {
    bytes: new Map(all.filter(([text]) => texts.includes(text))),
    others: [otherBytes, ...all.filter(([text]) => !texts.includes(text)).map(([, mark]) => mark)],
    ends: plan.endTokens,
    addsBlanks,
  };
}
