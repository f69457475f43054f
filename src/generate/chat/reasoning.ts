/** How a model marks its thoughts. */
export interface ReasoningFormat {
  begin: string;
  end: string;
}

/** The ways that are known. */
export const reasoningFormats: readonly ReasoningFormat[] = [
  { begin: "<think>", end: "</think>" },
  { begin: "[THINK]", end: "[/THINK]" },
  { begin: "<seed:think>", end: "</seed:think>" },
  { begin: "<mm:think>", end: "</mm:think>" },
  { begin: "<thought>", end: "</thought>" },
  { begin: "<|channel>thought", end: "<channel|>" }, // Gemma 4
  { begin: "<|START_THINKING|>", end: "<|END_THINKING|>" },
];

/**
 * The marks of a model's thoughts, by its chat template.
 * @param addedTokens texts of the tokenizer's added tokens, where the template says nothing. @default none
 * @returns undefined for a model that does not think, as far as can be seen
 */
export function detectReasoning(
  template: string | undefined,
  addedTokens: readonly string[] = [],
): ReasoningFormat | undefined {
  const named = reasoningFormats.find(({ end }) => template?.includes(end));
  return named ?? reasoningFormats.find(({ begin, end }) => addedTokens.includes(begin) && addedTokens.includes(end));
}

/**
 * Whether a prompt ends inside of thoughts, so that the answer begins there: many templates open them. Marks further
 * up, in what people wrote, say nothing.
 * @param prefix the beginning of the answer, where the prompt ends with it. @default ""
 */
export function isReasoningOpen(prompt: string, { begin, end }: ReasoningFormat, prefix = ""): boolean {
  if (prompt.trimEnd().endsWith(begin)) return true;
  return prefix.trimStart().startsWith(begin) && !prefix.includes(end);
}
