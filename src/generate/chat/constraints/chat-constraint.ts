import { known, numberRules, requireNumbers } from "../../../base/index.ts";
import type { Tokenizer } from "../../../tokenizers/index.ts";
import type { Grammar } from "../../grammar/grammar.ts";
import { type MarkedVocabulary, markedVocabulary } from "../../grammar/marked-vocabulary.ts";
import { type ConstraintMaker, grammarConstraint } from "../../grammar/pick-constraint.ts";
import { TokenGrammar } from "../../grammar/token-grammar.ts";
import type { ChatPlan } from "../plan.ts";
import { AnswerConstraint, ThoughtLimit } from "./answer-constraint.ts";
import { answerGrammar, thoughtGrammars } from "./answer-grammar.ts";
import { grammarKey } from "./grammar-key.ts";
import { answerMarks, knownMarks, markTexts, thoughtMarks } from "./thought-marks.ts";

/** What an answer to a chat is held to. */
export interface ChatConstraintOptions {
  plan: ChatPlan;
  /** What the answer is, where it is no call: of a response format. It begins after the thoughts. @default any text */
  content?: Grammar;
  tokenizer: Tokenizer;
  /** Most tokens of thoughts, their end not counted. 0 ends them at once. @default any number */
  thinkingBudget?: number;
}

const names = { plan: true, content: true, tokenizer: true, thinkingBudget: true } as const;

/** Grammars that are remembered for each tokenizer and form of marks; a large list of tools takes some MiB. */
const MOST_GRAMMARS = 32;

/** What is worked out for a tokenizer and some marks, by what the answers are to be. */
class AnswerCache {
  readonly marked: MarkedVocabulary;
  private readonly grammars = new Map<string, unknown>();
  private readonly contents = new WeakMap<Grammar, number>();
  private numContents = 0;

  constructor(marked: MarkedVocabulary) {
    this.marked = marked;
  }

  /** What tells a grammar of content apart from others. */
  numberOf(content: Grammar): number {
    const number = this.contents.get(content) ?? this.numContents++;
    this.contents.set(content, number);
    return number;
  }

  once<T>(key: string, make: () => T): T {
    const value = this.grammars.has(key) ? (this.grammars.get(key) as T) : make();
    this.grammars.delete(key); // the last that was used goes behind the others
    this.grammars.set(key, value);
    if (this.grammars.size > MOST_GRAMMARS) this.grammars.delete(this.grammars.keys().next().value!);
    return value;
  }
}

const caches = new WeakMap<Tokenizer, Map<string, AnswerCache>>();

function cacheOf(tokenizer: Tokenizer, plan: ChatPlan): AnswerCache {
  const ofTokenizer = caches.get(tokenizer) ?? new Map<string, AnswerCache>();
  caches.set(tokenizer, ofTokenizer);
  const further = markTexts(plan).filter((text) => !knownMarks.includes(text));
  const key = JSON.stringify(further);
  const cache = ofTokenizer.get(key) ?? new AnswerCache(markedVocabulary(tokenizer, [...knownMarks, ...further]));
  ofTokenizer.set(key, cache);
  return cache;
}

/**
 * Holds answers to what a plan and a response format ask: calls that are required, calls of strict tools once they
 * begin, content, and thoughts that end. What is worked out is kept for further answers and requests.
 *
 * - Markers that are tokens of the tokenizer are written as those tokens, others as text. The tokens `plan.endTokens`
 *   must be among the tokens that end the text.
 * - Where the prompt has not opened thoughts, the model may think or not; thoughts that are begun must be closed before
 *   the answer.
 * - Where calls are not required, text is free, and calls are held from where they begin: at a marker of the format, or
 *   at the beginning of the answer for formats without. After the calls the answer ends.
 * - With `content` the answer is that, or calls where tools may be called; calls alone where they are required.
 * - A budget alone leaves all else free.
 *
 * @returns undefined where nothing is asked
 * @throws OptionError for a schema that is not followed, a limit of grammars, a budget that is no whole number, or a
 *   tokenizer whose tokens are no bytes of a text, as BERT's
 */
export function chatConstraint(options: ChatConstraintOptions): ConstraintMaker | undefined {
  known("chatConstraint", options, names);
  const { plan, content, tokenizer, thinkingBudget } = options;
  if (thinkingBudget !== undefined)
    requireNumbers("chatConstraint", { thinkingBudget }, { thinkingBudget: numberRules.wholeNumber });
  if (!plan.grammar && !content)
    return thinkingBudget === undefined ? undefined : thoughtLimit(options, thinkingBudget);
  if (!plan.calls && !thoughtMarks(plan)) return content && grammarConstraint(content, tokenizer);
  const cache = cacheOf(tokenizer, plan);
  const { marked } = cache;
  const asked = [plan.isReasoningOpen, plan.reasoning, plan.grammar?.isRequired, content && cache.numberOf(content)];
  const calls = plan.calls && grammarKey(plan.calls.calls);
  const key = JSON.stringify([asked, plan.endTokens, plan.keptTokens, plan.format?.name, calls]);
  const { grammar, thinking } = cache.once(key, () => answerGrammar(plan, answerMarks(plan, marked), content));
  return (endTokens) => {
    const tokens = cache.once(`${key} ${endTokens}`, () => tokenGrammar(grammar, marked, endTokens));
    return new AnswerConstraint(tokens, thinking, thinkingBudget);
  };
}

/** A model without any end ends where nothing may follow; the id behind the last is none that it gives. */
const tokenGrammar = (grammar: Grammar, { vocabulary }: MarkedVocabulary, ends: readonly number[]) =>
  new TokenGrammar(grammar, vocabulary, ends.length > 0 ? ends : [vocabulary.size]);

function thoughtLimit({ plan, tokenizer }: ChatConstraintOptions, budget: number): ConstraintMaker | undefined {
  if (!thoughtMarks(plan)) return undefined;
  const cache = cacheOf(tokenizer, plan);
  const { marked } = cache;
  const key = JSON.stringify(["thoughts", plan.reasoning, plan.format?.name, plan.endTokens, plan.keptTokens]);
  const grammars = cache.once(key, () => thoughtGrammars(plan, answerMarks(plan, marked)))!;
  return (endTokens) => {
    const tokens = cache.once(`${key} ${endTokens}`, () => ({
      begin: tokenGrammar(grammars.begin, marked, endTokens),
      thinking: tokenGrammar(grammars.thinking, marked, endTokens),
    }));
    return new ThoughtLimit({ ...tokens, isOpen: plan.isReasoningOpen, budget });
  };
}
