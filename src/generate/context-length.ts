import { OptionError } from "../base/index.ts";

/** A prompt and the answer asked for do not fit into the context together. A server answers 400 with this `code`. */
export class ContextLengthError extends OptionError {
  readonly code = "context_length_exceeded";
  readonly promptTokens: number;
  /** Most tokens of the answer, as it was asked for; undefined where nothing was said. */
  readonly maxNewTokens: number | undefined;
  readonly contextLength: number;

  constructor({
    promptTokens,
    maxNewTokens,
    contextLength,
  }: { promptTokens: number; maxNewTokens?: number; contextLength: number }) {
    super({
      where: "generate",
      expected: `a prompt and an answer of at most ${contextLength} tokens together, the context`,
      received: `${promptTokens} of the prompt${maxNewTokens === undefined ? "" : ` and maxNewTokens ${maxNewTokens}`}`,
      fix: "shorten the prompt, ask for fewer tokens, use a longer context if the model has one, or let the oldest half be forgotten with contextShift",
    });
    this.promptTokens = promptTokens;
    this.maxNewTokens = maxNewTokens;
    this.contextLength = contextLength;
  }
}
