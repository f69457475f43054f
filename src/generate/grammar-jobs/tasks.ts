import { AnswerConstraint, ThoughtLimit } from "../chat/constraints/answer-constraint.ts";
import { type AnswerForm, answerForm } from "../chat/constraints/answer-form.ts";
import { grammarKey } from "../chat/constraints/grammar-key.ts";
import { knownMarks, markTexts, thoughtMarks } from "../chat/constraints/thought-marks.ts";
import type { ChatPlan } from "../chat/plan.ts";
import type { GrammarSource } from "../grammar/compile-grammar.ts";
import type { Grammar } from "../grammar/grammar.ts";
import { type PackedGrammar, packedBytes, unpackGrammar } from "../grammar/packed-grammar.ts";
import type { ConstraintMaker } from "../grammar/pick-constraint.ts";
import { TokenGrammar } from "../grammar/token-grammar.ts";
import type { TokenVocabulary } from "../grammar/vocabulary.ts";

/** What grammars are to be made for an answer, as data. Content is a `GrammarSource` as JSON. */
export type GrammarTask =
  /** The whole text is content. */
  | { kind: "content"; content: string }
  /** An answer to a chat: thoughts, calls, and content or free text. */
  | { kind: "answer"; form: AnswerForm; content: string | undefined }
  /** Thoughts alone, which have a budget. */
  | { kind: "thoughts"; form: AnswerForm };

/** What is asked of an answer. */
export interface AskedAnswer {
  /** Of a chat. @default the text is no answer to one */
  plan?: ChatPlan;
  /** What the answer is, where it is no call. @default any text */
  content?: GrammarSource;
  /** Most tokens of thoughts. @default any number */
  thinkingBudget?: number;
}

/** What grammars an answer needs, as `chatConstraint` would make them; undefined where it may be anything. */
export function grammarTask({ plan, content: source, thinkingBudget }: AskedAnswer): GrammarTask | undefined {
  const content = source && JSON.stringify(source);
  const form = plan && answerForm(plan);
  const hasThoughts = form !== undefined && thoughtMarks(form) !== undefined;
  if (form && !form.grammar && content === undefined)
    return hasThoughts && thinkingBudget !== undefined ? { kind: "thoughts", form } : undefined;
  if (form && (form.calls || hasThoughts)) return { kind: "answer", form, content };
  return content === undefined ? undefined : { kind: "content", content };
}

/** What tells tasks apart. */
export function taskKey(task: GrammarTask): string {
  if (task.kind === "content") return `content ${task.content}`;
  const { calls, ...form } = task.form;
  if (task.kind === "thoughts") return `thoughts ${JSON.stringify(form)}`;
  return JSON.stringify(["answer", form, calls && [calls.triggers, grammarKey(calls.calls)], task.content]);
}

/** The texts that are to be marks of the vocabulary that a task is for. With those that are known, one serves most. */
export function taskMarks(task: GrammarTask): string[] {
  const texts = task.kind === "content" ? [] : markTexts(task.form);
  return [...knownMarks, ...texts.filter((text) => !knownMarks.includes(text))];
}

/** The grammars of a task, packed. */
export interface PackedTask {
  readonly grammars: readonly PackedGrammar[];
  /** The rule of thoughts in a whole answer. */
  readonly thinking: number | undefined;
}

/** Token grammars that are kept for one form, by the tokens that end a text: requests may name others. */
const MOST_ENDS = 4;

/** The grammars of a task for a vocabulary, which hold any number of answers. */
export class AnswerGrammars {
  private readonly task: GrammarTask;
  private readonly grammars: readonly Grammar[];
  private readonly thinking: number | undefined;
  private readonly vocabulary: TokenVocabulary;
  private readonly packedBytes: number;
  private readonly byEnds = new Map<string, readonly TokenGrammar[]>();

  private constructor(
    task: GrammarTask,
    packed: PackedTask,
    grammars: readonly Grammar[],
    vocabulary: TokenVocabulary,
  ) {
    this.task = task;
    this.grammars = grammars;
    this.thinking = packed.thinking;
    this.vocabulary = vocabulary;
    this.packedBytes = packed.grammars.reduce((sum, grammar) => sum + packedBytes(grammar), 0);
  }

  /** Memory of the grammars, and of what was worked out so far while texts were written, in bytes, about. */
  get memoryBytes(): number {
    const tokens = [...this.byEnds.values()].flat();
    return tokens.reduce((sum, { memoryBytes }) => sum + memoryBytes, this.packedBytes);
  }

  /** Unpacks the grammars of a task, with pauses for others. */
  static async of(task: GrammarTask, packed: PackedTask, vocabulary: TokenVocabulary): Promise<AnswerGrammars> {
    const grammars: Grammar[] = [];
    for (const grammar of packed.grammars) grammars.push(await unpackGrammar(grammar));
    return new AnswerGrammars(task, packed, grammars, vocabulary);
  }

  /** Holds an answer. @param thinkingBudget most tokens of its thoughts. @default any number */
  constraint(thinkingBudget?: number): ConstraintMaker {
    const { task } = this;
    return (endTokens) => {
      const [tokens, thinking] = this.tokenGrammars(endTokens);
      if (task.kind !== "thoughts") return new AnswerConstraint(tokens, this.thinking, thinkingBudget);
      const { isReasoningOpen: isOpen } = task.form;
      return new ThoughtLimit({ begin: tokens, thinking, isOpen, budget: thinkingBudget ?? Number.POSITIVE_INFINITY });
    };
  }

  private tokenGrammars(endTokens: readonly number[]): readonly TokenGrammar[] {
    const { vocabulary, byEnds } = this;
    // a model without any ends where nothing may follow; the id behind the last is none that it gives
    const ends = endTokens.length > 0 ? endTokens : [vocabulary.size];
    const key = ends.join();
    const tokens =
      byEnds.get(key) ??
      this.grammars.map((grammar) => new TokenGrammar(grammar, vocabulary, ends, { isWritable: true }));
    byEnds.delete(key); // the last that was used goes behind the others
    byEnds.set(key, tokens);
    if (byEnds.size > MOST_ENDS) byEnds.delete(byEnds.keys().next().value!);
    return tokens;
  }
}
