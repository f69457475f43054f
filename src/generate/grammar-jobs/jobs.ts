import { DataError, type ErrorParts, KindlingError, OptionError } from "../../base/index.ts";
import { answerGrammar, thoughtGrammars } from "../chat/constraints/answer-grammar.ts";
import { answerMarks } from "../chat/constraints/thought-marks.ts";
import type { CodePoints } from "../grammar/code-points.ts";
import { compileGrammar } from "../grammar/compile-grammar.ts";
import type { Grammar } from "../grammar/grammar.ts";
import { markedBytes, type TokenMarks, type VocabularySource } from "../grammar/marked-vocabulary.ts";
import { buffersOf, packGrammar } from "../grammar/packed-grammar.ts";
import { writableGrammar } from "../grammar/token-grammar.ts";
import { type VocabularyTables, vocabularyTables } from "../grammar/vocabulary.ts";
import type { GrammarTask, PackedTask } from "./tasks.ts";

/** Grammars that are to be made for a vocabulary. */
export interface GrammarJob {
  task: GrammarTask;
  marks: TokenMarks;
  /** Those that the vocabulary can write; undefined for all. */
  characters: CodePoints | undefined;
  /** The most bytes of its short tokens. */
  alikeBytes: number;
}

/** A vocabulary that is to be laid out. */
export interface VocabularyJob {
  source: VocabularySource;
}

/** What the thread of grammars is told. */
export type JobMessage = GrammarJob | VocabularyJob;

/** What of an answer is asked for: its content, or its calls of tools. */
export type AskedPart = "content" | "calls";

/** No grammar can be made of what is asked of an answer; its cause says the same without the part. */
export class AnswerFault extends OptionError {
  /** What is at fault. */
  readonly part: AskedPart;

  constructor(cause: KindlingError, part: AskedPart) {
    super({ ...partsOf(cause), cause });
    this.part = part;
  }
}

const partsOf = ({ where, expected, received, fix }: KindlingError) => ({ where, expected, received, fix });

/** What comes of a job: it, what is refused and why, or another failure. Errors keep no classes between threads. */
export type JobAnswer<T> =
  | { result: T }
  | { refusal: Omit<ErrorParts, "cause">; isOfData: boolean; part: AskedPart | undefined }
  | { failure: string };

/** @throws the KindlingError that a job has ended with, of a task an AnswerFault; or an Error */
export function jobResult<T>(answer: JobAnswer<T>): T {
  if ("result" in answer) return answer.result;
  if ("failure" in answer) throw new Error(answer.failure);
  const { refusal, isOfData, part } = answer;
  const error = isOfData ? new DataError(refusal) : new OptionError(refusal);
  throw part === undefined ? error : new AnswerFault(error, part);
}

/** The answer to a message, and what of it goes over to the other thread. */
export function runJob(message: JobMessage): { answer: JobAnswer<unknown>; transfer: ArrayBuffer[] } {
  try {
    const { result, transfer } = "task" in message ? packedTask(message) : vocabularyResult(message);
    return { answer: { result }, transfer };
  } catch (error) {
    return { answer: refusalOf(error), transfer: [] };
  }
}

function vocabularyResult({ source }: VocabularyJob): { result: VocabularyTables; transfer: ArrayBuffer[] } {
  const result = vocabularyTables(markedBytes(source));
  const { bytes, offsets, isText, tries } = result;
  const ofTries = tries.flatMap(({ byte, depth, end, token }) => [byte, depth, end, token]);
  return { result, transfer: [bytes, offsets, isText, ...ofTries].map(({ buffer }) => buffer as ArrayBuffer) };
}

function packedTask({ task, marks, characters, alikeBytes }: GrammarJob): {
  result: PackedTask;
  transfer: ArrayBuffer[];
} {
  const hasCalls = task.kind !== "content" && task.form.calls !== undefined;
  const { packed, thinking } = faultsOf(hasCalls ? "calls" : "content", () => {
    const { grammars, thinking } = grammarsOf(task, marks);
    const packed = grammars.map((grammar) => packGrammar(writableGrammar(grammar, characters), alikeBytes));
    return { packed, thinking };
  });
  return { result: { grammars: packed, thinking }, transfer: packed.flatMap(buffersOf) };
}

function grammarsOf(task: GrammarTask, marks: TokenMarks): { grammars: Grammar[]; thinking?: number } {
  if (task.kind === "content") return { grammars: [contentGrammar(task.content)] };
  const ofAnswer = answerMarks(task.form, marks);
  if (task.kind === "thoughts") {
    const { begin, thinking } = thoughtGrammars(task.form, ofAnswer)!;
    return { grammars: [begin, thinking] };
  }
  const content = task.content === undefined ? undefined : contentGrammar(task.content);
  const { grammar, thinking } = answerGrammar(task.form, ofAnswer, content);
  return { grammars: [grammar], thinking };
}

const contentGrammar = (json: string): Grammar => faultsOf("content", () => compileGrammar(JSON.parse(json)));

/** What work comes to; what it refuses is the fault of this part, unless it says another. */
function faultsOf<T>(part: AskedPart, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof KindlingError && !(error instanceof AnswerFault) ? new AnswerFault(error, part) : error;
  }
}

function refusalOf(error: unknown): JobAnswer<never> {
  if (!(error instanceof KindlingError)) return { failure: error instanceof Error ? error.message : String(error) };
  const { part, cause } = error instanceof AnswerFault ? error : { part: undefined, cause: error };
  return { refusal: partsOf(error), isOfData: cause instanceof DataError, part };
}
