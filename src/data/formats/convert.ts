/** Examples of rows: `toExample` by the format, each checked as it is made. */
import { isObject } from "../../base/index.ts";
import type { MixedMessage } from "../../tokenizers/index.ts";
import { RecordError } from "../rows/record-error.ts";
import type { Row } from "../rows/rows.ts";
import type {
  ClassifiedText,
  Conversation,
  ExampleFormat,
  Examples,
  ExtractiveQuestion,
  Preference,
  PromptCompletion,
  RatedCompletion,
  TaggedTokens,
  TextPair,
  TranslationPair,
} from "./examples.ts";
import { commonMessages, dialogueMessages, isMessages, messagesOf } from "./messages.ts";
import { type ColumnMapping, isDialoguePair, type RecognisedFormat } from "./recognise.ts";

type Turns = readonly MixedMessage[] | string;

function textIn(row: Row, column: string): string {
  const value = row[column];
  if (typeof value === "string") return value;
  throw new RecordError(value === undefined ? `no column "${column}"` : `${column} that is no text`);
}

function turnsIn(row: Row, column: string): Turns {
  return isMessages(row[column]) ? messagesOf(row[column], column) : textIn(row, column);
}

/** Refuses what has nothing to learn from. */
function filled<T extends Turns>(value: T, column: string): T {
  if (value.length === 0 || (typeof value === "string" && value.trim() === ""))
    throw new RecordError(`an empty ${column}`);
  return value;
}

function conversation(row: Row, { messages, tools }: ColumnMapping): Conversation {
  const talk = messagesOf(row[messages], messages);
  const list = tools === undefined ? undefined : toolsOf(row[tools]);
  return list ? { messages: talk, tools: list } : { messages: talk };
}

/** Tools as a list, or as a text of JSON, as tables keep them. */
function toolsOf(value: unknown): readonly object[] | undefined {
  if (value === null || value === undefined || value === "") return undefined;
  let list = value;
  if (typeof value === "string") {
    try {
      list = JSON.parse(value);
    } catch {
      throw new RecordError("tools that are no JSON");
    }
  }
  if (!Array.isArray(list) || !list.every(isObject)) throw new RecordError("tools that are no list of objects");
  return list.length > 0 ? list : undefined;
}

/** Alpaca's instruction, with what it is about behind it. Taori et al. 2023, "Stanford Alpaca". */
function alpaca(row: Row, { instruction, input, output, system }: ColumnMapping): PromptCompletion {
  const about = input === undefined ? "" : (row[input] ?? "");
  if (typeof about !== "string") throw new RecordError(`${input} that is no text`);
  const task = filled(textIn(row, instruction), instruction);
  const content = about.trim() === "" ? task : `${task}\n\n${about}`;
  const rule = system === undefined ? undefined : row[system];
  const before: MixedMessage[] = typeof rule === "string" && rule !== "" ? [{ role: "system", content: rule }] : [];
  const answer = filled(textIn(row, output), output);
  return {
    prompt: [...before, { role: "user", content }],
    completion: [{ role: "assistant", content: answer }],
  };
}

function promptCompletion(row: Row, { prompt, completion }: ColumnMapping): PromptCompletion {
  return { prompt: turnsIn(row, prompt), completion: filled(turnsIn(row, completion), completion) };
}

function preference(row: Row, columns: ColumnMapping): Preference {
  const { prompt, chosen, rejected } = columns;
  const isDialogues = isDialoguePair(row, columns);
  const [good, bad] = isDialogues
    ? [dialogueMessages(textIn(row, chosen)), dialogueMessages(textIn(row, rejected))]
    : [turnsIn(row, chosen), turnsIn(row, rejected)];
  if (JSON.stringify(good) === JSON.stringify(bad)) throw new RecordError("the same chosen and rejected");
  const margin = marginIn(row, columns.margin);
  if (prompt !== undefined && !isDialogues) {
    const asked = turnsIn(row, prompt);
    return {
      prompt: asked,
      chosen: answerIn(good, asked, chosen),
      rejected: answerIn(bad, asked, rejected),
      ...margin,
    };
  }
  if (typeof good === "string" || typeof bad === "string")
    throw new RecordError("chosen and rejected without a prompt, and in no form of a dialogue");
  const common = commonMessages(good, bad);
  if (common === 0) throw new RecordError("chosen and rejected that have no beginning in common");
  return {
    prompt: good.slice(0, common),
    chosen: filled(good.slice(common), chosen),
    rejected: filled(bad.slice(common), rejected),
    ...margin,
  };
}

function marginIn(row: Row, column: string | undefined): { margin?: number } {
  const value = column === undefined ? undefined : row[column];
  if (value === undefined || value === null || value === "") return {};
  if (!Number.isFinite(Number(value))) throw new RecordError(`${column} that is no number`);
  return { margin: Number(value) };
}

/** An answer without the prompt, which some files repeat in it. */
function answerIn(answer: Turns, prompt: Turns, column: string): Turns {
  if (typeof answer === "string") return filled(answer, column);
  const asked = typeof prompt === "string" ? [{ role: "user", content: prompt }] : prompt;
  const common = commonMessages(asked, answer);
  return filled(common === asked.length ? answer.slice(common) : answer, column);
}

function rated(row: Row, columns: ColumnMapping): RatedCompletion {
  const label = row[columns.label];
  const isTrue = label === true || label === 1 || /^(true|1)$/i.test(String(label));
  if (!isTrue && !(label === false || label === 0 || /^(false|0)$/i.test(String(label))))
    throw new RecordError(`${columns.label} that is neither true nor false`);
  return { ...promptCompletion(row, columns), isDesirable: isTrue };
}

function classified(row: Row, { text, textPair, label }: ColumnMapping): ClassifiedText {
  const value = row[label];
  for (const each of Array.isArray(value) ? value : [value]) {
    if (!isClass(each)) throw new RecordError(`${label} that is no class`);
    if (each === "") throw new RecordError(`an empty ${label}`);
  }
  const pair = textPair === undefined ? {} : { textPair: textIn(row, textPair) };
  return { text: filled(textIn(row, text), text), ...pair, label: value as ClassifiedText["label"] };
}

const isClass = (value: unknown) =>
  typeof value === "string" || typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value));

function pair(row: Row, { anchor, positive, negatives, score }: ColumnMapping): TextPair {
  const wrong = negatives === undefined ? undefined : ([row[negatives]].flat() as unknown[]);
  if (wrong && !wrong.every((text): text is string => typeof text === "string"))
    throw new RecordError(`${negatives} that are no texts`);
  const value = score === undefined ? undefined : Number(row[score]);
  if (value !== undefined && !Number.isFinite(value)) throw new RecordError(`${score} that is no number`);
  return {
    anchor: filled(textIn(row, anchor), anchor),
    positive: filled(textIn(row, positive), positive),
    ...(wrong && { negatives: wrong as string[] }),
    ...(value !== undefined && { score: value }),
  };
}

/** SQuAD's answers: { text: [...], answer_start: [...] }, or a list of { text, answer_start }. */
function question(row: Row, { question, context, answers }: ColumnMapping): ExtractiveQuestion {
  const value = row[answers];
  const passage = filled(textIn(row, context), context);
  const entries: [unknown, unknown][] = Array.isArray(value)
    ? value.filter(isObject).map(({ text, answer_start: start }) => [text, start])
    : isObject(value)
      ? [value.text].flat().map((text, i) => [text, [value.answer_start].flat()[i]])
      : [];
  const list = entries.map(([text, start]) => {
    if (typeof text !== "string" || !Number.isSafeInteger(start)) throw new RecordError(`${answers} of another form`);
    return { text, start: placeIn(passage, text, start as number) };
  });
  return { question: filled(textIn(row, question), question), context: passage, answers: list };
}

/** Where an answer stands: Python's files count characters, a pair of UTF-16 units as one. */
function placeIn(context: string, text: string, start: number): number {
  if (context.startsWith(text, start)) return start;
  const units = Array.from(context).slice(0, start).join("").length;
  if (context.startsWith(text, units)) return units;
  throw new RecordError(`an answer that does not stand at ${start}: ${JSON.stringify(text.slice(0, 40))}`);
}

function tagged(row: Row, { tokens, tags }: ColumnMapping): TaggedTokens {
  const [words, marks] = [row[tokens], row[tags]];
  if (!Array.isArray(words) || !words.every((word) => typeof word === "string") || words.length === 0)
    throw new RecordError(`${tokens} that are no words`);
  if (!Array.isArray(marks) || marks.length !== words.length)
    throw new RecordError(`${Array.isArray(marks) ? marks.length : "no"} tags for ${words.length} tokens`);
  if (!marks.every((mark) => typeof mark === "string" || Number.isSafeInteger(mark)))
    throw new RecordError(`${tags} that are neither names nor numbers`);
  return { tokens: words, tags: marks };
}

function translation(row: Row, columns: ColumnMapping): TranslationPair {
  if (columns.translation === undefined)
    return {
      source: filled(textIn(row, columns.source), columns.source),
      target: filled(textIn(row, columns.target), columns.target),
    };
  const texts = row[columns.translation];
  const entries = isObject(texts) ? Object.entries(texts) : [];
  if (entries.length < 2) throw new RecordError(`${columns.translation} without two languages`);
  const [[from, source], [to, target]] = entries;
  if (typeof source !== "string" || typeof target !== "string" || source === "" || target === "")
    throw new RecordError(`an empty ${columns.translation}`);
  return { source, target, languages: [from, to] };
}

const converters: { readonly [F in ExampleFormat]: (row: Row, columns: ColumnMapping) => Examples[F] } = {
  messages: conversation,
  sharegpt: conversation,
  alpaca,
  "prompt-completion": promptCompletion,
  preference,
  kto: rated,
  classification: classified,
  pairs: pair,
  "question-answering": question,
  "token-classification": tagged,
  translation,
  text: (row, { text }) => ({ text: filled(textIn(row, text), text) }),
};

/** The example of a row. @throws RecordError for a row that is none, with the reason */
export function toExample<F extends ExampleFormat>(
  row: Row,
  { format, columns }: RecognisedFormat & { format: F },
): Examples[F] {
  return converters[format](row, columns);
}

/**
 * The conversation of a row of messages, ShareGPT, Alpaca, or prompt and completion, for chat templates.
 * @throws RecordError for a row that is none
 *
 * @example
 * const row = { instruction: "Add.", input: "1 and 2", output: "3" };
 * toConversation(row, recogniseFormat([row])).messages[1].content; // "3"
 */
export function toConversation(row: Row, recognised: RecognisedFormat): Conversation {
  const example = toExample(row, recognised);
  if ("messages" in example) return example;
  if (!("completion" in example)) throw new RecordError(`a row of ${recognised.format}, which is no conversation`);
  return { messages: [...asMessages(example.prompt, "user"), ...asMessages(example.completion, "assistant")] };
}

const asMessages = (turns: Turns, role: string): readonly MixedMessage[] =>
  typeof turns === "string" ? [{ role, content: turns }] : turns;
