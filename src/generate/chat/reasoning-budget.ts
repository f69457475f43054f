import { known, numberRules, requireNumbers } from "../../base/index.ts";

/** How long thoughts may be, and how they are marked. */
export interface ReasoningBudgetOptions {
  /** Most tokens of thoughts, without their marks. 0 ends them at once. */
  budget: number;
  /** Ids of what begins thoughts. */
  beginIds: readonly number[];
  /** Ids of what ends them. */
  endIds: readonly number[];
  /** Ids that lead to the end, such as those of "\n\nTime is up, I answer now.\n". @default none */
  leadIds?: readonly number[];
  /** Whether the prompt ends inside of thoughts. @default false */
  isOpen?: boolean;
}

const names = { budget: true, beginIds: true, endIds: true, leadIds: true, isOpen: true } as const;
/** Tokens that may stand before thoughts: blanks. */
const MOST_BLANKS = 4;

/**
 * Ends thoughts that grow too long: says which tokens must come next. It sees all tokens of the answer, those included
 * that it asked for.
 *
 * @example
 * const budget = new ReasoningBudget({ budget: 2, beginIds: [7], endIds: [8], isOpen: true });
 * budget.push(3); // []
 * budget.push(4); // [8]
 */
export class ReasoningBudget {
  private readonly options: Required<ReasoningBudgetOptions>;
  private state: "before" | "thinking" | "over" = "before";
  /** Tokens before or in thoughts. */
  private count = 0;
  /** How many ids of the mark that is waited for have come. */
  private matched = 0;
  private wanted: readonly number[] = [];

  /** @throws OptionError for a budget that is no whole number */
  constructor(options: ReasoningBudgetOptions) {
    const where = "ReasoningBudget";
    known(where, options, names);
    requireNumbers(where, { budget: options.budget }, { budget: numberRules.wholeNumber });
    this.options = { leadIds: [], isOpen: false, ...options };
    if (options.isOpen) this.think();
  }

  /** Ids that must come next, one after the other; none where any token may. */
  get forced(): readonly number[] {
    return this.wanted;
  }

  /** Whether the answer is in its thoughts. */
  get isThinking(): boolean {
    return this.state === "thinking";
  }

  /** Takes the next token of the answer. @returns what `forced` is from then on */
  push(id: number): readonly number[] {
    const { beginIds, endIds } = this.options;
    if (this.state === "over") return this.wanted;
    this.count++;
    if (this.wanted.length > 0 && this.wanted[0] === id) {
      this.wanted = this.wanted.slice(1);
      if (this.wanted.length === 0) this.state = "over";
      return this.wanted;
    }
    const mark = this.state === "thinking" ? endIds : beginIds;
    this.matched = matchedAfter(mark, this.matched, id);
    const isWhole = this.matched === mark.length;
    if (this.state === "before") {
      if (isWhole) this.think();
      else if (this.count - this.matched > MOST_BLANKS) this.state = "over";
    } else if (isWhole) {
      this.state = "over";
      this.wanted = [];
    } else this.limit();
    return this.wanted;
  }

  private think(): void {
    this.state = "thinking";
    this.count = 0;
    this.matched = 0;
    this.limit();
  }

  /** An end that the model has begun itself is only made whole. */
  private limit(): void {
    const { budget, leadIds, endIds } = this.options;
    if (this.count < budget) return;
    this.wanted = this.matched > 0 ? endIds.slice(this.matched) : [...leadIds, ...endIds];
  }
}

/** How many first ids of a mark the last ids are, after one more. */
function matchedAfter(mark: readonly number[], matched: number, id: number): number {
  const last = [...mark.slice(0, matched), id];
  for (let length = Math.min(last.length, mark.length); length > 0; length--)
    if (last.slice(-length).every((value, i) => value === mark[i])) return length;
  return 0;
}
