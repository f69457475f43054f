/** Prompt and prefix tuning in generation. */
import { OptionError } from "../base/index.ts";
import { type CausalLM, requireNoPrefix, type TextPrefix } from "../models/index.ts";

/**
 * The learned states before a text (see TextPrefix) when it is planned: they take the first positions of its cache, and
 * in its context so many ids stand for them.
 */
export class TextPrefixPlan {
  private readonly model: CausalLM;
  private readonly ofModel: TextPrefix | undefined;
  private readonly prefix: TextPrefix | undefined;

  /**
   * @param ofText that of the text's own adapter. @default that of the model
   * @throws OptionError where there are both
   */
  constructor(model: CausalLM, ofText?: TextPrefix) {
    if (ofText) requireNoPrefix("generate", model);
    this.model = model;
    this.ofModel = model.textPrefix;
    this.prefix = ofText ?? model.textPrefix;
  }

  /** How many positions it takes. */
  get length(): number {
    return this.prefix?.length ?? 0;
  }

  /** What stands for it in a context. */
  get ids(): number[] {
    return new Array<number>(this.length).fill(0);
  }

  /** @throws OptionError for ways of writing that do not go behind it */
  requireFit(ways: { embedded: unknown; contextShift: boolean; proposer: unknown; isSearch: boolean }): void {
    if (!this.prefix) return;
    const names = {
      "an embedded prompt": ways.embedded,
      "contextShift, which would forget it": ways.contextShift,
      "proposals of tokens": ways.proposer,
      "a search (numBeams, penaltyAlpha)": ways.isSearch,
    };
    const received = Object.entries(names).find(([, isAsked]) => isAsked)?.[0];
    if (received === undefined) return;
    const expected = "texts that are written token by token, behind prompt or prefix tuning";
    throw new OptionError({ where: "generate", expected, received, fix: "leave it out, or remove the adapter" });
  }

  /** @throws OptionError where the model has another than when the text was planned */
  requireCurrent(): void {
    if (this.model.textPrefix === this.ofModel) return;
    throw new OptionError({
      where: "generate",
      expected: "the adapter that the model had when the text was asked for",
      received: "another, applied or removed while it waited",
      fix: "ask for the text again",
    });
  }
}
