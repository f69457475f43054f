/** What a model is asked for, and how its answer is read. */
import { isObject } from "../../base/index.ts";

/** Pairs of questions and answers about a document, or of tasks and their results. */
export type PairKind = "qa" | "instruction";

/** A pair that a model wrote, with the words of the document that it rests on. */
export interface GeneratedPair {
  question: string;
  answer: string;
  /** Words of the document, as they stand there. */
  quote: string;
}

/** A part of a document that is asked about at once. */
export interface Passage {
  text: string;
  /** Where it is from, such as "notes.txt:3". */
  place: string;
}

const tasks: Readonly<Record<PairKind, string>> = {
  qa: "questions that a reader of the passage could ask and that the passage answers, each with its answer",
  instruction:
    "tasks that somebody could give an assistant and that can be done with the passage alone (to explain, summarise, compare, list or rewrite), each with the result. A task holds all that is needed to do it, or can be understood without the passage",
};

/** Counts for the sum by which answers are found again: a change of the words below is another request. */
export const PROMPT_VERSION = 1;

/** The messages of a request. */
export function pairMessages({ text }: Passage, kind: PairKind, count: number): { role: string; content: string }[] {
  const rules = [
    `Write ${count} ${tasks[kind]}.`,
    "Use only what the passage says. Write in the language of the passage. Do not speak of 'the passage' or 'the text'.",
    'Reply with JSON alone: a list of objects {"question": ..., "answer": ..., "quote": ...}, where quote is the sentence of the passage, word for word, that the answer rests on.',
  ];
  return [
    {
      role: "system",
      content: "You write training examples for language models, exactly in the form that is asked for.",
    },
    { role: "user", content: `${rules.join("\n")}\n\nPassage:\n${text}` },
  ];
}

/**
 * The pairs in an answer: a list of JSON, alone, in a code block or within other words, or in a field of an object.
 * Undefined where there is none, as in an answer that was cut off.
 */
export function pairsIn(answer: string): GeneratedPair[] | undefined {
  const text = answer.replace(/<think>[\s\S]*?<\/think>/g, "");
  const start = text.indexOf("[");
  const end = text.lastIndexOf("]");
  if (start < 0 || end < start) return undefined;
  let list: unknown;
  try {
    list = JSON.parse(text.slice(start, end + 1));
  } catch {
    return undefined;
  }
  if (!Array.isArray(list)) return undefined;
  return list.filter(isObject).flatMap(({ question, instruction, answer, output, quote }) => {
    const [asked, reply] = [question ?? instruction, answer ?? output];
    if (typeof asked !== "string" || typeof reply !== "string") return [];
    return [{ question: asked.trim(), answer: reply.trim(), quote: typeof quote === "string" ? quote.trim() : "" }];
  });
}

/**
 * Cuts a document into passages of at most so many characters, between paragraphs, and a paragraph that is longer
 * between sentences.
 */
export function passagesOf(text: string, place: string, characters: number): Passage[] {
  const parts = text
    .split(/\n\s*\n/)
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .flatMap((part) => (part.length <= characters ? [part] : sentencesOf(part, characters)));
  const passages: string[] = [];
  for (const part of parts) {
    const last = passages.at(-1);
    if (last !== undefined && last.length + 2 + part.length <= characters)
      passages[passages.length - 1] = `${last}\n\n${part}`;
    else passages.push(part);
  }
  return passages.map((passage, i) => ({ text: passage, place: passages.length === 1 ? place : `${place}#${i + 1}` }));
}

function sentencesOf(text: string, characters: number): string[] {
  const pieces: string[] = [];
  for (const sentence of text.match(/[^.!?。！？]+[.!?。！？]*\s*/gu) ?? [text]) {
    const last = pieces.at(-1);
    if (last !== undefined && last.length + sentence.length <= characters) pieces[pieces.length - 1] = last + sentence;
    else for (let at = 0; at < sentence.length; at += characters) pieces.push(sentence.slice(at, at + characters));
  }
  return pieces.map((piece) => piece.trim()).filter((piece) => piece !== "");
}
