import { numberRules, requireNumbers } from "../../base/index.ts";
import type { Proposals } from "./acceptance.ts";
import { type PromptLookupOptions, promptLookup } from "./prompt-lookup.ts";

/** Puts tokens forward that may follow a text, at less cost than the model itself picks them. */
export interface Proposer {
  /**
   * @param ids the text so far
   * @param most tokens that there is room for
   * @returns none where it has nothing to put forward
   */
  propose(ids: readonly number[], most: number, signal?: AbortSignal): Proposals | Promise<Proposals>;
  /** Is told how many of those proposed last were accepted. */
  learn(proposed: number, accepted: number): void;
}

/** Tokens that are picked one by one after none of those proposed was accepted: twice as many each time, up to this. */
const LONGEST_PAUSE = 32;

/**
 * How many tokens are proposed: twice as many when all were accepted, else as many as were. A token more in a run costs
 * a seventh of a run, so what is not accepted is dear: where nothing was, nothing is proposed for a while.
 */
class ProposalCount {
  private count: number;
  private pause = 0;
  private left = 0;
  private readonly most: number;

  constructor(first: number, most: number) {
    this.count = Math.min(first, most);
    this.most = most;
  }

  /** How many may be proposed now. */
  take(): number {
    if (this.left === 0) return this.count;
    this.left--;
    return 0;
  }

  learn(proposed: number, accepted: number): void {
    if (accepted < proposed) this.count = Math.max(1, accepted);
    else if (proposed >= this.count) this.count = Math.min(this.most, 2 * this.count);
    this.pause = accepted > 0 ? 0 : Math.min(LONGEST_PAUSE, Math.max(1, 2 * this.pause));
    this.left = this.pause;
  }
}

const FIRST_COUNT = 3;

/** Proposes what followed the last tokens where they came before: for texts that repeat parts of their prompt. */
export class LookupProposer implements Proposer {
  private readonly options: PromptLookupOptions;
  private readonly count: ProposalCount;

  /** @throws OptionError for numbers below 1 */
  constructor({ promptLookupNumTokens = 10, ...options }: PromptLookupOptions) {
    promptLookup([], { promptLookupNumTokens, ...options });
    this.options = options;
    this.count = new ProposalCount(FIRST_COUNT, promptLookupNumTokens);
  }

  propose(ids: readonly number[], most: number): Proposals {
    const promptLookupNumTokens = Math.min(this.count.take(), most);
    return { ids: promptLookupNumTokens < 1 ? [] : promptLookup(ids, { ...this.options, promptLookupNumTokens }) };
  }

  learn(proposed: number, accepted: number): void {
    this.count.learn(proposed, accepted);
  }
}

/** What a draft model needs to have: a `Generator` has it. */
export interface DraftWriter {
  readonly contextLength: number;
  readonly model: { readonly config: { readonly vocabSize: number } };
  generate(
    ids: readonly number[],
    options: {
      maxNewTokens: number;
      temperature: number;
      stopTokens: readonly number[];
      onLogprobs: (logprobs: { logprob: number }) => void;
      signal?: AbortSignal;
    },
  ): AsyncIterable<number>;
}

/** How a draft model proposes; names are those of generation_config.json. */
export interface DraftOptions {
  /** Most tokens that it proposes at once. @default 20 */
  numAssistantTokens?: number;
  /** It stops where its likeliest token is less probable than this, to itself. @default 0.4 */
  assistantConfidenceThreshold?: number;
}

/**
 * Proposes the likeliest tokens of a smaller model with the same tokenizer. What it has read stays in its cache, so a
 * proposal that was not accepted costs it nothing but that.
 */
export class DraftProposer implements Proposer {
  private readonly draft: DraftWriter;
  private readonly vocabSize: number;
  private readonly threshold: number;
  private readonly count: ProposalCount;

  /**
   * @param vocabSize of the model that decides: the draft's may be padded to another
   * @throws OptionError for numbers out of range
   */
  constructor(
    draft: DraftWriter,
    vocabSize: number,
    { numAssistantTokens = 20, assistantConfidenceThreshold = 0.4 }: DraftOptions,
  ) {
    requireNumbers(
      "generate",
      { numAssistantTokens, assistantConfidenceThreshold },
      { numAssistantTokens: numberRules.positiveInteger, assistantConfidenceThreshold: numberRules.fraction },
    );
    this.draft = draft;
    this.vocabSize = vocabSize;
    this.threshold = Math.log(assistantConfidenceThreshold);
    this.count = new ProposalCount(FIRST_COUNT, numAssistantTokens);
  }

  async propose(ids: readonly number[], most: number, signal?: AbortSignal): Promise<Proposals> {
    const { draft, vocabSize, threshold } = this;
    const maxNewTokens = Math.min(this.count.take(), most, draft.contextLength - ids.length);
    const proposed: number[] = [];
    if (maxNewTokens < 1 || ids.some((id) => id >= draft.model.config.vocabSize)) return { ids: proposed };
    let isSure = true;
    const onLogprobs = ({ logprob }: { logprob: number }) => {
      isSure = logprob >= threshold;
    };
    for await (const id of draft.generate(ids, { maxNewTokens, temperature: 0, stopTokens: [], onLogprobs, signal })) {
      if (!isSure || id >= vocabSize) break;
      proposed.push(id);
    }
    return { ids: proposed };
  }

  learn(proposed: number, accepted: number): void {
    this.count.learn(proposed, accepted);
  }
}
