import { KindlingError } from "../../base/index.ts";
import {
  AnswerGrammars,
  type AskedAnswer,
  type ConstraintMaker,
  type GrammarTask,
  grammarTask,
  type MarkedVocabulary,
  type PackedTask,
  TokenVocabulary,
  taskKey,
  taskMarks,
  tokenMarks,
  type VocabularyTables,
  vocabularySource,
} from "../../generate/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import { currentClient } from "../client.ts";
import { Kept, type KeptOptions } from "./kept.ts";
import { SharedWork } from "./shared-work.ts";
import { GrammarThread } from "./thread.ts";

/**
 * Clients ask with the same schemas again and again, and to find out that one is too large may take as long as to make
 * one.
 */
const KEPT: KeptOptions<AnswerGrammars | Error> = {
  most: 64,
  mostBytes: 256 << 20,
  bytesOf: (value) => (value instanceof Error ? 0 : value.memoryBytes),
};

/**
 * Makes the grammars of answers beside the event loop: a schema or an expression may take a second, and the vocabulary
 * that the first one is for some hundred milliseconds.
 */
export class GrammarCompiler {
  private readonly tokenizer: Tokenizer;
  private readonly thread: GrammarThread;
  private readonly kept = new Kept(KEPT);
  private readonly underWay = new Map<string, SharedWork<AnswerGrammars>>();
  private readonly vocabularies = new Map<string, MarkedVocabulary>();
  private readonly vocabulariesUnderWay = new Map<string, SharedWork<MarkedVocabulary>>();

  constructor(tokenizer: Tokenizer, thread: GrammarThread = new GrammarThread()) {
    this.tokenizer = tokenizer;
    this.thread = thread;
  }

  /**
   * What holds an answer to what is asked, as `chatConstraint` and `grammarConstraint` would; undefined where it may be
   * anything. When the signal is aborted, and nobody else asks the same, it is no longer worked on.
   * @throws AnswerFault for what no grammar can be made of; OptionError for what takes too long; the signal's reason
   */
  async constraint(asked: AskedAnswer, signal: AbortSignal): Promise<ConstraintMaker | undefined> {
    const task = grammarTask(asked);
    if (!task) return undefined;
    signal.throwIfAborted();
    const vocabulary = await this.vocabulary(taskMarks(task), signal);
    signal.throwIfAborted();
    const grammars = await this.grammars(task, vocabulary, signal);
    return grammars.constraint(asked.thinkingBudget);
  }

  /** Ends the thread. */
  dispose(): Promise<void> {
    return this.thread.dispose();
  }

  private async grammars(task: GrammarTask, marked: MarkedVocabulary, signal: AbortSignal): Promise<AnswerGrammars> {
    const key = taskKey(task);
    const known = this.kept.get(key);
    if (known instanceof Error) throw known;
    return known ?? this.shared(this.underWay, key, (end) => this.compiled(key, task, marked, end)).join(signal);
  }

  private shared<T>(
    underWay: Map<string, SharedWork<T>>,
    key: string,
    work: (signal: AbortSignal) => Promise<T>,
  ): SharedWork<T> {
    const known = underWay.get(key);
    if (known && !known.isGivenUp) return known;
    const shared = new SharedWork(async (signal) => {
      try {
        return await work(signal);
      } finally {
        if (underWay.get(key) === shared) underWay.delete(key);
      }
    });
    underWay.set(key, shared);
    return shared;
  }

  private async compiled(
    key: string,
    task: GrammarTask,
    { vocabulary, bytes, addsBlanks }: MarkedVocabulary,
    signal: AbortSignal,
  ): Promise<AnswerGrammars> {
    const { characters, tries } = vocabulary;
    const job = { task, marks: { bytes, addsBlanks }, characters, alikeBytes: tries[0].maxBytes };
    try {
      const packed = await this.thread.run<PackedTask>(job, { client: currentClient(), signal });
      const grammars = await AnswerGrammars.of(task, packed, vocabulary);
      this.kept.set(key, grammars);
      return grammars;
    } catch (error) {
      if (error instanceof KindlingError) this.kept.set(key, error);
      throw error;
    }
  }

  /** The vocabulary with some marks, which is laid out once. */
  private async vocabulary(marks: readonly string[], signal: AbortSignal): Promise<MarkedVocabulary> {
    const key = JSON.stringify(marks);
    const known = this.vocabularies.get(key);
    if (known) return known;
    const work = async (end: AbortSignal) => {
      const source = vocabularySource(this.tokenizer, marks);
      const client = currentClient();
      const tables = await this.thread.run<VocabularyTables>({ source }, { client, signal: end });
      const vocabulary = { vocabulary: new TokenVocabulary(tables), ...tokenMarks(source) };
      this.vocabularies.set(key, vocabulary);
      return vocabulary;
    };
    return this.shared(this.vocabulariesUnderWay, key, work).join(signal);
  }
}
