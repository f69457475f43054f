import { OptionError } from "../../base/index.ts";
import type { ParseState, Pushdown } from "./pushdown.ts";
import { allSteps, type Steps } from "./steps.ts";
import type { TokenMask } from "./token-mask.ts";
import type { TokenVocabulary } from "./vocabulary.ts";

/** What a text is written by. */
export interface TokenRules {
  readonly vocabulary: TokenVocabulary;
  readonly endTokens: readonly number[];
  readonly pushdown: Pushdown;
  maskOf(state: ParseState): Steps<TokenMask>;
  landingMaskOf(state: ParseState, mostBytes: number): Steps<TokenMask>;
  closingMaskOf(state: ParseState): Steps<TokenMask>;
}

/** One text that is written by a grammar, token by token. */
export class TokenConstraint {
  private readonly tokens: TokenRules;
  private state: ParseState;
  private hasEnded = false;
  /** What was worked out before it is asked for. */
  private prepared: { numTokens: number | "closing"; mask: TokenMask } | undefined;

  /**
   * @param of the text to go on with as it is now. @default one that begins
   * @internal
   */
  constructor(tokens: TokenRules, of?: TokenConstraint) {
    this.tokens = tokens;
    this.state = of?.state ?? tokens.pushdown.start;
    this.hasEnded = of?.hasEnded ?? false;
  }

  /**
   * Which tokens may follow; not to be written to. Never empty before the end.
   * @param numTokens how many may still be written, the end token included: only such are then in the mask that leave
   *   room to come to the end, where there is room at all. A byte may take a token. @default any number
   */
  mask(numTokens: number = Number.POSITIVE_INFINITY): TokenMask {
    const { prepared } = this;
    return prepared?.numTokens === numTokens ? prepared.mask : allSteps(this.maskSteps(numTokens));
  }

  private *maskSteps(numTokens: number): Steps<TokenMask> {
    const mask = yield* this.tokens.maskOf(this.state);
    const room = numTokens - 2; // bytes behind the next token, before the end
    if (mask.mostBytes <= room) return mask;
    const landing = yield* this.tokens.landingMaskOf(this.state, room);
    return landing.count > 0 ? landing : mask;
  }

  /** Those of them that lead to the end with the fewest bytes; never empty either. @internal */
  closingMask(): TokenMask {
    const { prepared } = this;
    return prepared?.numTokens === "closing" ? prepared.mask : allSteps(this.tokens.closingMaskOf(this.state));
  }

  /** Works out what `mask`, or `closingMask`, is going to give. @internal */
  *prepare(numTokens: number | "closing" = Number.POSITIVE_INFINITY): Steps<void> {
    const steps = numTokens === "closing" ? this.tokens.closingMaskOf(this.state) : this.maskSteps(numTokens);
    this.prepared = { numTokens, mask: yield* steps };
  }

  /** Whether what follows may be part of a rule's text, by the rule's number. @internal */
  isInside(rule: number): boolean {
    return this.state.items.some((item) => item.rule === rule);
  }

  /** Whether a token may follow. */
  allows(id: number): boolean {
    return !this.hasEnded && this.follow(id) !== null;
  }

  /**
   * Goes on with a token.
   * @throws OptionError for one that may not follow
   */
  accept(id: number): void {
    const next = this.hasEnded ? null : this.follow(id);
    if (next === null) {
      throw new OptionError({
        where: "TokenConstraint.accept",
        expected: this.hasEnded ? "no token behind the end" : "a token that the grammar allows here",
        received: `token ${id}`,
        fix: "pick tokens by mask()",
      });
    }
    this.prepared = undefined;
    if (next === "end") this.hasEnded = true;
    else this.state = next;
  }

  private follow(id: number): ParseState | "end" | null {
    if (this.tokens.endTokens.includes(id)) return this.state.mayEnd ? "end" : null;
    const bytes = this.tokens.vocabulary.bytesOf(id);
    if (!bytes || bytes.length === 0) return null;
    let state: ParseState | null = this.state;
    for (const byte of bytes) {
      state = this.tokens.pushdown.step(state, byte);
      if (state === null) return null;
    }
    return state;
  }

  /** Whether the text may end here. */
  get mayEnd(): boolean {
    return this.state.mayEnd;
  }

  /** Whether nothing may follow but the end, or the end is there. */
  get isComplete(): boolean {
    return this.hasEnded || (this.state.mayEnd && this.state.items.length === 0);
  }

  /** The same text, to be gone on with in another way: of a beam, or of another answer to the same prompt. */
  clone(): TokenConstraint {
    return new TokenConstraint(this.tokens, this);
  }

  /** Fewest bytes that still have to follow. */
  get minBytes(): number {
    return this.state.numBytes;
  }

  /**
   * The bytes that must follow whatever is picked, up to where there is a choice; empty where there is one now.
   * @param most of them. @default 256
   */
  forcedBytes(most = 256): Uint8Array {
    const bytes: number[] = [];
    let state = this.state;
    while (bytes.length < most && !this.hasEnded) {
      const only = this.tokens.pushdown.onlyByte(state);
      if (only === undefined) break;
      bytes.push(only);
      state = this.tokens.pushdown.step(state, only)!;
    }
    return Uint8Array.from(bytes);
  }

  /** The same as text: whole characters. Encode it to skip the model's steps for it. */
  forcedText(): string {
    const bytes = this.forcedBytes();
    return new TextDecoder("utf-8").decode(bytes, { stream: true });
  }
}
