import type { PickConstraint } from "../../grammar/pick-constraint.ts";
import type { TokenConstraint } from "../../grammar/token-constraint.ts";
import type { TokenGrammar } from "../../grammar/token-grammar.ts";
import type { TokenMask } from "../../grammar/token-mask.ts";

/** An answer that is held to a grammar, with at most so many tokens of thoughts. */
export class AnswerConstraint implements PickConstraint {
  private readonly text: TokenConstraint;
  private readonly thinking: number | undefined;
  private readonly budget: number;
  private numThoughts = 0;

  /** @param thinking the rule of thoughts */
  constructor(tokens: TokenGrammar, thinking: number | undefined, budget = Number.POSITIVE_INFINITY) {
    this.text = tokens.start();
    this.thinking = thinking;
    this.budget = budget;
  }

  private get isThinking(): boolean {
    return this.thinking !== undefined && this.text.isInside(this.thinking);
  }

  private get isOver(): boolean {
    return this.numThoughts >= this.budget && this.isThinking;
  }

  /** Thoughts that are over the budget are closed the shortest way: a character is made whole first. */
  mask(numTokens?: number): TokenMask {
    return this.isOver ? this.text.closingMask() : this.text.mask(numTokens);
  }

  prepare(numTokens?: number): Iterable<void> {
    return this.text.prepare(this.isOver ? "closing" : numTokens);
  }

  accept(id: number): void {
    if (this.numThoughts < this.budget && this.isThinking) this.numThoughts++;
    this.text.accept(id);
  }

  get isComplete(): boolean {
    return this.text.isComplete;
  }
}

/** What limits thoughts alone. */
export interface ThoughtTokens {
  /** What begins them, and any text. */
  begin: TokenGrammar;
  /** Thoughts from behind their begin to their end, and any text. */
  thinking: TokenGrammar;
  isOpen: boolean;
  budget: number;
}

/** An answer that may be anything, but for thoughts that end after so many tokens. */
export class ThoughtLimit implements PickConstraint {
  readonly isComplete = false;
  private readonly tokens: ThoughtTokens;
  /** What is read now; undefined when no thoughts can follow any more. */
  private text: TokenConstraint | undefined;
  private isThinking: boolean;
  private numThoughts = 0;

  constructor(tokens: ThoughtTokens) {
    this.tokens = tokens;
    this.isThinking = tokens.isOpen;
    this.text = (tokens.isOpen ? tokens.thinking : tokens.begin).start();
  }

  mask(): TokenMask | undefined {
    const isOver = this.isThinking && this.numThoughts >= this.tokens.budget;
    return isOver ? this.text?.closingMask() : undefined;
  }

  accept(id: number): void {
    if (!this.text) return;
    if (this.isThinking) this.numThoughts++;
    const isText = this.text.allows(id);
    if (isText) this.text.accept(id);
    // bytes that are no text, and special tokens: thoughts go on behind them
    else this.text = this.isThinking ? this.tokens.thinking.start() : undefined;
    if (!this.text?.mayEnd) return;
    this.text = this.isThinking ? undefined : this.tokens.thinking.start();
    this.isThinking = !this.isThinking;
  }
}
