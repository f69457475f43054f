/** Questions with the parts of their contexts that a model reads at a time, and the answers that it finds there. */
import type { ExtractiveQuestion } from "../../data/index.ts";
import { exactMatch, tokenF1 } from "../../metrics/index.ts";
import type { EncoderInputs, QuestionAnswerer } from "../../models/index.ts";
import { type Tensor, tensor } from "../../tensor/index.ts";
import type { Encoding, Tokenizer } from "../../tokenizers/index.ts";
import { type Objective, type Scorer, type SupervisedOptions, supervised } from "../../train/index.ts";
import type { TextForm } from "./encoded-texts.ts";
import { encoderInputs, type TextTokens, tokensOf } from "./text-batches.ts";

/** A question with a part of its context. */
export interface QuestionWindow extends TextTokens {
  /** Number among all windows. */
  index: number;
  /** Number of its question. */
  question: number;
  /** Places in the context of the tokens from `from` on, which are the context's. */
  offsets: readonly (readonly [start: number, end: number])[];
  from: number;
  /** The first and the last token of the answer, or both the first of all where there is none in this part. */
  start: number;
  end: number;
}

/** A question as it is judged. */
export interface JudgedQuestion {
  context: string;
  /** "" where there is none. */
  answers: readonly string[];
}

/** A batch of windows. */
export interface QuestionBatch extends EncoderInputs {
  /** i32 [B] */
  startPositions: Tensor<"i32">;
  /** i32 [B] */
  endPositions: Tensor<"i32">;
  /** Which windows they are, for the scorer: i32 [B] */
  windows: Tensor<"i32">;
}

/** How contexts are cut. */
export interface WindowOptions {
  tokenizer: Tokenizer;
  form: TextForm;
  /** Tokens that two parts have in common. */
  stride: number;
  maxQuestionTokens: number;
}

/**
 * The windows of a question, which it stands in front of. Those that hold a whole answer learn its place, the others
 * that there is none, by the first token of all.
 */
export async function windowsOf(
  { question, context, answers }: ExtractiveQuestion,
  { tokenizer, form, stride, maxQuestionTokens }: WindowOptions,
): Promise<Omit<QuestionWindow, "index" | "question">[]> {
  const words = await tokenizer.encodeText(question, { addSpecialTokens: false });
  const isLong = words.ids.length > maxQuestionTokens;
  const asked = isLong ? question.slice(0, words.offsets[maxQuestionTokens - 1][1]) : question;
  const { maxLength } = form;
  const encoding = await tokenizer.encodeText(asked, { pair: context, maxLength, stride, truncation: "only_second" });
  const [answer] = answers;
  return [encoding, ...encoding.overflowing].map((part) => windowOf(part, answer));
}

function windowOf(
  part: Encoding,
  answer: ExtractiveQuestion["answers"][number] | undefined,
): Omit<QuestionWindow, "index" | "question"> {
  const from = part.sequenceIds.indexOf(1);
  const last = part.sequenceIds.lastIndexOf(1);
  const offsets = from < 0 ? [] : part.offsets.slice(from, last + 1);
  const nowhere = { ...tokensOf(part), offsets, from, start: 0, end: 0 };
  if (!answer || answer.text === "" || offsets.length === 0) return nowhere;
  const [begin, finish] = [answer.start, answer.start + answer.text.length];
  if (offsets[0][0] > begin || offsets[offsets.length - 1][1] < finish) return nowhere;
  const start = offsets.findLastIndex(([place]) => place <= begin);
  const end = offsets.findIndex(([, place]) => place >= finish);
  return start <= end ? { ...nowhere, start: from + start, end: from + end } : nowhere;
}

/** Windows as a batch. */
export function questionBatch(windows: readonly QuestionWindow[], form: TextForm): QuestionBatch {
  const numbers = (of: (window: QuestionWindow) => number) =>
    tensor(windows.map(of), { dtype: "i32" }) as Tensor<"i32">;
  return {
    ...encoderInputs(windows, form),
    startPositions: numbers(({ start }) => start),
    endPositions: numbers(({ end }) => end),
    windows: numbers(({ index }) => index),
  };
}

/** How answers are found and compared. */
export interface AnswerOptions {
  windows: readonly QuestionWindow[];
  questions: readonly JudgedQuestion[];
  /** Most tokens of an answer. */
  maxAnswerTokens: number;
  /** Whether "" may be the answer. */
  hasNoAnswers: boolean;
  language: "en" | "zh";
}

/**
 * Trains a model to find where answers begin and end. Measured over whole questions, by the best of all spans in their
 * windows: exact match and the F1 of words. Rajpurkar et al. 2018, arXiv:1806.03822.
 */
export function questionObjective(
  model: QuestionAnswerer,
  { trained, tokenizer, ...answers }: SupervisedOptions & AnswerOptions,
): Objective<QuestionBatch> {
  return {
    ...supervised<QuestionBatch>(model, { trained, tokenizer }),
    loss: ({ windows, ...inputs }, run) => ({
      loss: model.loss({ ...inputs, ...run }),
      weight: tensor(windows.size(0)),
    }),
    scorer: () => questionScorer(model, answers),
  };
}

/** The best span so far of a question, and how likely it is that it has no answer. */
interface Best {
  score: number;
  text: string;
  noAnswer: number;
}

function questionScorer(model: QuestionAnswerer, options: AnswerOptions): Scorer<QuestionBatch> {
  const { windows, questions, hasNoAnswers, language, maxAnswerTokens } = options;
  const best = new Map<number, Best>();
  return {
    outputs({ windows: numbers, startPositions: _, endPositions: __, ...inputs }) {
      const { startLogits, endLogits } = model.forward(inputs);
      return { startLogits, endLogits, numbers };
    },
    add({ startLogits, endLogits, numbers }) {
      const [rows, width] = startLogits.shape;
      for (let row = 0; row < rows; row++) {
        const window = windows[Number(numbers.data[row])];
        const of = (data: ArrayLike<unknown>) =>
          Float32Array.from({ length: window.ids.length }, (_, i) => Number(data[row * width + i]));
        const [starts, ends] = [of(startLogits.data), of(endLogits.data)];
        const span = bestSpan(starts, ends, window, maxAnswerTokens);
        const known = best.get(window.question) ?? { score: -Infinity, text: "", noAnswer: Infinity };
        const noAnswer = Math.min(known.noAnswer, starts[0] + ends[0]);
        const isBetter = span.score > known.score;
        const text = isBetter ? questions[window.question].context.slice(span.from, span.to) : known.text;
        best.set(window.question, { score: Math.max(span.score, known.score), text, noAnswer });
      }
    },
    result() {
      const asked = [...best.keys()];
      const guesses = [...best.values()].map(({ score, text, noAnswer }) =>
        hasNoAnswers && noAnswer > score ? "" : text,
      );
      const references = asked.map((question) => questions[question].answers);
      best.clear();
      return {
        exactMatch: exactMatch(guesses, references, { language }),
        f1: tokenF1(guesses, references, { language }),
      };
    },
  };
}

/** The likeliest span of a window's context, by the sum of its logits, and its places in the context. */
export function bestSpan(
  starts: ArrayLike<number>,
  ends: ArrayLike<number>,
  { from, offsets }: Pick<QuestionWindow, "from" | "offsets">,
  maxAnswerTokens: number,
): { score: number; from: number; to: number } {
  let best = { score: Number.NEGATIVE_INFINITY, from: 0, to: 0 };
  for (let start = 0; start < offsets.length; start++) {
    for (let end = start; end < Math.min(offsets.length, start + maxAnswerTokens); end++) {
      const score = starts[from + start] + ends[from + end];
      if (score > best.score) best = { score, from: offsets[start][0], to: offsets[end][1] };
    }
  }
  return best;
}
