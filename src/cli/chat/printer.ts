import type { AnswerStats } from "./conversation.ts";

const DIM = "\u001b[2m";
const PLAIN = "\u001b[22m";

export interface PrinterOptions {
  output: NodeJS.WritableStream;
  /** Notes and errors. */
  errors: NodeJS.WritableStream;
  /** A person reads: notes stand beside the talk, thoughts before the answer. */
  isTerminal: boolean;
  /** Whether thoughts are dimmed. */
  hasStyles: boolean;
}

/** Whether a terminal shows styles: https://no-color.org, and terminals that know none. */
export const hasStyles = ({ NO_COLOR, TERM }: NodeJS.ProcessEnv): boolean => !NO_COLOR && TERM !== "dumb";

/** Writes answers: over pipes the answers alone, in a terminal thoughts too, dimmed or between lines. */
export class Printer {
  private readonly options: PrinterOptions;
  private isThinking = false;
  private isAtLineStart = true;

  constructor(options: PrinterOptions) {
    this.options = options;
  }

  text(text: string): void {
    if (this.isThinking) this.endThoughts();
    this.write(text);
  }

  thought(text: string): void {
    const { isTerminal, hasStyles: isStyled } = this.options;
    if (!isTerminal) return;
    if (!this.isThinking) this.write(isStyled ? DIM : "(thinking)\n");
    this.isThinking = true;
    this.write(text);
  }

  /** Ends the line of an answer, whatever it ended with. */
  end(): void {
    if (this.isThinking) this.endThoughts();
    if (!this.isAtLineStart || !this.options.isTerminal) this.write("\n");
  }

  private endThoughts(): void {
    this.isThinking = false;
    const end = this.isAtLineStart ? "" : "\n";
    this.write(this.options.hasStyles ? `${PLAIN}${end}\n` : `${end}(answer)\n`);
  }

  /** On a terminal beside the talk; over pipes, where the output is the answers alone, apart from it. */
  note(text: string): void {
    const { isTerminal, output, errors } = this.options;
    (isTerminal ? output : errors).write(`${text}\n`);
  }

  error(text: string): void {
    this.options.errors.write(`error: ${text}\n`);
  }

  private write(text: string): void {
    if (text === "") return;
    this.isAtLineStart = text.endsWith("\n");
    this.options.output.write(text);
  }
}

const duration = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** What an answer took, in one line. */
export function statsLine({ promptTokens, tokens, firstMs, totalMs }: AnswerStats): string {
  const rate = ((tokens - 1) * 1000) / (totalMs - firstMs);
  const parts = [
    `${tokens} tokens in ${duration(totalMs)}`,
    ...(tokens > 1 && Number.isFinite(rate) ? [`${rate.toFixed(1)} tokens/s`] : []),
    `the first after ${duration(firstMs)}`,
    ...(promptTokens === undefined ? [] : [`${promptTokens} in the prompt`]),
  ];
  return parts.join(", ");
}
