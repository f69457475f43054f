import { checkOptions } from "../base/index.ts";
import type { QuestionAnswerer } from "../models/index.ts";
import type { Encoding, Tokenizer } from "../tokenizers/index.ts";
import { largest, softmax } from "./common.ts";
import { TextPipeline } from "./text-pipeline.ts";
import { type TextBatchOptions, type TextOutputs, textBatchNames, textBatchOf } from "./text-runner.ts";

/** A question, and the text that its answer stands in. */
export interface Question {
  question: string;
  context: string;
}

/** An answer: a part of the context, and how probable it is. */
export interface Answer {
  /** Probability of its start times that of its end; spans that grow to the same words are summed. */
  score: number;
  /** Places in the context. */
  start: number;
  end: number;
  /** The words; "" for no answer. */
  answer: string;
}

/** How many answers are given, of what length, and how long contexts are read in parts. */
export interface QuestionAnsweringOptions extends TextBatchOptions {
  /** Most answers; the result is a list where there are several. @default 1 */
  topK?: number;
  /** Tokens by which parts of a long context overlap. @default half of a part, at most 128 */
  docStride?: number;
  /** Tokens of question and part together. @default 384, or what the model takes */
  maxSeqLen?: number;
  /** Tokens of the question, the rest is cut. @default 64 */
  maxQuestionLen?: number;
  /** Tokens of an answer. @default 15 */
  maxAnswerLen?: number;
  /** Whether "" may be the answer. @default false */
  handleImpossibleAnswer?: boolean;
  /** Answers begin and end with whole words. @default true */
  alignToWords?: boolean;
}
const optionNames = [
  "topK",
  "docStride",
  "maxSeqLen",
  "maxQuestionLen",
  "maxAnswerLen",
  "handleImpossibleAnswer",
  "alignToWords",
  ...textBatchNames,
];

const MAX_SEQUENCE = 384;
const MAX_QUESTION = 64;
/** Stands for no chance in logits. */
const HIDDEN = -10000;

/** Answers that stand in a text. */
export class QuestionAnsweringPipeline extends TextPipeline<QuestionAnswerer> {
  constructor(model: QuestionAnswerer, tokenizer: Tokenizer) {
    super(model, tokenizer, { outputs: ["startLogits", "endLogits"], per: "token" });
  }

  /**
   * The best answer, or with `topK` a list of the best, best first; for each of several questions.
   * @throws OptionError for unknown options
   */
  run(input: Question, options?: QuestionAnsweringOptions): Promise<Answer | Answer[]>;
  run(inputs: readonly Question[], options?: QuestionAnsweringOptions): Promise<Answer[] | Answer[][]>;
  async run(inputs: Question | readonly Question[], options: QuestionAnsweringOptions = {}) {
    checkOptions("question-answering", options, optionNames);
    return this.runner.answers<Question, Answer | Answer[]>(inputs, {
      task: "question-answering",
      batch: textBatchOf(options),
      prepare: (input) => this.encode(input, options),
      answer: ({ context }, parts, results) => {
        const answers = this.answersIn(context, parts, results, options);
        return answers.length === 1 ? answers[0] : answers;
      },
    });
  }

  /** The question with the context, or with each part of a long one. */
  private async encode({ question, context }: Question, options: QuestionAnsweringOptions): Promise<Encoding[]> {
    const { maxQuestionLen = MAX_QUESTION } = options;
    const maxLength = Math.min(options.maxSeqLen ?? MAX_SEQUENCE, this.runner.longest(this.tokenizer));
    const stride = options.docStride ?? Math.min(Math.floor(maxLength / 2), 128);
    const words = await this.tokenizer.encodeText(question, { addSpecialTokens: false });
    const cut = words.ids.length > maxQuestionLen ? question.slice(0, words.offsets[maxQuestionLen - 1][1]) : question;
    const { overflowing, ...first } = await this.tokenizer.encodeText(cut, {
      pair: context,
      maxLength,
      stride,
      truncation: "only_second",
    });
    return [first as Encoding, ...overflowing];
  }

  private answersIn(
    context: string,
    parts: readonly Encoding[],
    results: readonly TextOutputs[],
    { topK = 1, handleImpossibleAnswer = false, alignToWords = true, maxAnswerLen = 15 }: QuestionAnsweringOptions,
  ): Answer[] {
    const candidates: Answer[] = [];
    let noAnswer = 1_000_000;
    for (const [i, part] of parts.entries()) {
      const { starts, ends, isContext } = this.probabilities(part, results[i]);
      if (handleImpossibleAnswer) noAnswer = Math.min(noAnswer, starts[0] * ends[0]);
      starts[0] = 0;
      ends[0] = 0;
      // several spans may grow to the same words: their scores are summed, and more of them are needed
      const count = alignToWords ? 2 * topK + 10 : topK;
      for (const { start, end, score } of spans(starts, ends, isContext, { count, maxAnswerLen })) {
        const place = alignToWords ? wordPlace(part, start, end) : undefined;
        const [from, to] = place ?? [part.offsets[start][0], part.offsets[end][1]];
        const answer = context.slice(from, to);
        const same = candidates.find((other) => other.answer.toLowerCase() === answer.toLowerCase());
        if (same) same.score += score;
        else candidates.push({ score, start: from, end: to, answer });
      }
    }
    if (handleImpossibleAnswer) candidates.push({ score: noAnswer, start: 0, end: 0, answer: "" });
    return candidates.sort((a, b) => b.score - a.score).slice(0, topK);
  }

  /**
   * How probable each token is as start and as end; only those of the context count, and the first, which stands for no
   * answer.
   */
  private probabilities(part: Encoding, { startLogits, endLogits }: TextOutputs) {
    const { cls } = this.tokenizer.special;
    const first = cls === undefined ? null : this.tokenizer.tokenToId(cls);
    const isContext = part.sequenceIds.map((sequence, i) => sequence === 1 || part.ids[i] === first);
    const hidden = (logits: Float32Array) => softmax(logits.map((value, i) => (isContext[i] ? value : HIDDEN)));
    return { starts: hidden(startLogits), ends: hidden(endLogits), isContext };
  }
}

/** The best pairs of start and end, no further apart than an answer may be. */
function spans(
  starts: readonly number[],
  ends: readonly number[],
  isContext: readonly boolean[],
  { count, maxAnswerLen }: { count: number; maxAnswerLen: number },
) {
  const pairs: { start: number; end: number; score: number }[] = [];
  for (let start = 0; start < starts.length; start++) {
    for (let end = start; end < Math.min(starts.length, start + maxAnswerLen); end++)
      pairs.push({ start, end, score: starts[start] * ends[end] });
  }
  const best = largest(
    pairs.map(({ score }) => score),
    count,
  ).map((i) => pairs[i]);
  return best.filter(({ start, end }) => isContext[start] && isContext[end]);
}

/** The places of whole words, where the tokens belong to some. */
function wordPlace(
  { wordIds, sequenceIds, offsets }: Encoding,
  start: number,
  end: number,
): [number, number] | undefined {
  const [first, last] = [wordIds[start], wordIds[end]];
  if (first === null || last === null) return undefined;
  const ofWord = (word: number) => offsets.filter((_, i) => wordIds[i] === word && sequenceIds[i] === 1);
  const [begin, finish] = [ofWord(first), ofWord(last)];
  return begin.length > 0 && finish.length > 0 ? [begin[0][0], finish[finish.length - 1][1]] : undefined;
}
