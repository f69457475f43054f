/** Which format rows are in, by the names and the values of their fields. */
import { DataError, isObject, listedNames, nearest, OptionError } from "../../base/index.ts";
import type { Row, Rows } from "../rows/rows.ts";
import type { ExampleFormat } from "./examples.ts";
import { isDialogue, isMessages } from "./messages.ts";

/** Which column has which part of an example, such as { prompt: "question", completion: "reply" }. */
export type ColumnMapping = Readonly<Record<string, string>>;

/** A format, and the column of each of its parts. */
export interface RecognisedFormat {
  format: ExampleFormat;
  columns: ColumnMapping;
}

type Test = (value: unknown, row: Row) => boolean;

/** A part of an example: names that columns have for it, the usual ones first, and what its values are. */
interface Part {
  names: readonly string[];
  fits: Test;
  isOptional?: boolean;
}

const isText: Test = (value) => typeof value === "string";
const isTurns: Test = (value) => isText(value, {}) || isMessages(value);
const isLabel: Test = (value) => [value].flat().every((each) => ["string", "number", "boolean"].includes(typeof each));
const isNumber: Test = (value) =>
  typeof value === "number" || (isText(value, {}) && /^-?\d+(\.\d+)?$/.test(String(value)));
const isTruth: Test = (value) =>
  typeof value === "boolean" || value === 0 || value === 1 || /^(true|false)$/i.test(String(value));
const isTexts: Test = (value) => Array.isArray(value) && value.every((each) => typeof each === "string");
const part = (fits: Test, ...names: string[]): Part => ({ names, fits });
const optional = (fits: Test, ...names: string[]): Part => ({ names, fits, isOptional: true });
const isAnswers: Test = (value) => isObject(value) || (Array.isArray(value) && value.every(isObject));
const isSharegpt: Test = (value) => isMessages(value) && "from" in value[0];
const isLanguages: Test = (value) =>
  isObject(value) && Object.keys(value).length >= 2 && Object.values(value).every((text) => typeof text === "string");

/** Formats in the order in which they are tried: those with more parts first. */
const formats: readonly [ExampleFormat, Readonly<Record<string, Part>>][] = [
  [
    "sharegpt",
    { messages: part(isSharegpt, "conversations", "conversation", "messages"), tools: optional(() => true, "tools") },
  ],
  [
    "messages",
    {
      messages: part(isMessages, "messages", "conversations", "conversation", "dialogue", "dialog"),
      tools: optional(() => true, "tools", "functions"),
    },
  ],
  [
    "preference",
    {
      prompt: optional(isTurns, "prompt", "question", "instruction", "input"),
      chosen: part(isTurns, "chosen", "preferred", "chosen_response"),
      rejected: part(isTurns, "rejected", "dispreferred", "rejected_response"),
      margin: optional(isNumber, "margin"),
    },
  ],
  [
    "kto",
    {
      prompt: part(isTurns, "prompt"),
      completion: part(isTurns, "completion", "response"),
      label: part(isTruth, "label", "desirable"),
    },
  ],
  [
    "question-answering",
    {
      question: part(isText, "question"),
      context: part(isText, "context", "passage"),
      answers: part(isAnswers, "answers", "answer"),
    },
  ],
  [
    "token-classification",
    {
      tokens: part(isTexts, "tokens", "words"),
      tags: part(
        (value, row) => Array.isArray(value) && value !== row.tokens,
        "ner_tags",
        "tags",
        "labels",
        "pos_tags",
        "ner",
      ),
    },
  ],
  ["translation", { translation: part(isLanguages, "translation") }],
  ["translation", { source: part(isText, "source", "src"), target: part(isText, "target", "tgt") }],
  [
    "alpaca",
    {
      instruction: part(isText, "instruction"),
      input: optional((value) => isText(value, {}) || value === null, "input", "context"),
      output: part(isText, "output", "response"),
      system: optional((value) => isText(value, {}) || value === null, "system"),
    },
  ],
  [
    "prompt-completion",
    {
      prompt: part(isTurns, "prompt", "question"),
      completion: part(isTurns, "completion", "response", "reply", "answer"),
    },
  ],
  [
    "pairs",
    {
      anchor: part(isText, "anchor", "query", "sentence1", "sentence_A", "text_a"),
      positive: part(isText, "positive", "pos", "sentence2", "sentence_B", "text_b", "passage", "document"),
      negatives: optional((value) => isText(value, {}) || isTexts(value, {}), "negative", "negatives", "neg"),
      score: optional(isNumber, "score", "similarity", "similarity_score"),
    },
  ],
  [
    "classification",
    {
      text: part(
        isText,
        ...["text", "sentence", "review", "content", "premise", "question1", "sentence1", "comment", "title"],
      ),
      textPair: optional(isText, "hypothesis", "text_pair", "question2", "sentence2"),
      label: part(isLabel, "label", "labels", "class", "category", "sentiment", "target", "star", "stars"),
    },
  ],
  ["text", { text: part(isText, "text", "content", "document", "article", "body") }],
];

const partNames: readonly string[] = [...new Set(formats.flatMap(([, parts]) => Object.keys(parts)))];

/** The formats that can be named. */
export const exampleFormats: readonly ExampleFormat[] = [...new Set(formats.map(([format]) => format))];

/** What the caller knows of rows. */
export interface RecogniseOptions {
  /** @default told by the columns */
  format?: ExampleFormat;
  /** Columns of parts that are called otherwise than usual. @default none */
  columns?: ColumnMapping;
}

/**
 * The format of rows, by some of them: the first with all its parts in columns of the usual names, whose values are
 * such as the format has.
 * @throws OptionError for a format or a part that there is not, or a column that the rows have not; DataError where the
 *   rows are in none of the formats
 */
export function recogniseFormat(
  rows: readonly Row[],
  { format, columns = {} }: RecogniseOptions = {},
): RecognisedFormat {
  const where = "recogniseFormat";
  if (format !== undefined && !exampleFormats.includes(format))
    throw unknownName(where, "format", format, exampleFormats);
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  for (const [name, column] of Object.entries(columns)) {
    if (!partNames.includes(name)) throw unknownName(where, "part of an example", name, partNames);
    if (!names.includes(column)) throw unknownName(where, `column for ${name}`, column, names);
  }
  for (const [candidate, parts] of formats) {
    if (format !== undefined && candidate !== format) continue;
    const mapping = columnsOf(rows, parts, columns);
    if (mapping) return { format: candidate, columns: mapping };
  }
  const asked = format && formats.filter(([name]) => name === format).map(([, parts]) => neededParts(parts));
  throw new DataError({
    where,
    expected: asked ? `rows of ${format}, with ${asked.join(" or with ")}` : `rows of ${exampleFormats.join(", ")}`,
    received: `the columns ${listedNames(names[0] ?? "", names) || "of no rows"}${withoutValues(rows, names)}`,
    fix: 'say which column has which part: columns { prompt: "question", completion: "reply" }',
  });
}

/** Columns that have a name and no value, in words. */
function withoutValues(rows: readonly Row[], names: readonly string[]): string {
  const empty = names.filter((name) => rows.every((row) => row[name] === null || row[name] === undefined));
  return empty.length === 0 ? "" : `, of which these have no values: ${empty.slice(0, 8).join(", ")}`;
}

const neededParts = (parts: Readonly<Record<string, Part>>) =>
  Object.keys(parts)
    .filter((name) => !parts[name].isOptional)
    .join(", ");

function unknownName(where: string, what: string, received: string, names: readonly string[]): OptionError {
  const near = nearest(received, names);
  return new OptionError({
    where,
    expected: `a ${what} of ${listedNames(received, names)}`,
    received: JSON.stringify(received),
    fix: near ? `did you mean "${near}"?` : "choose one of them",
  });
}

/** The columns of the parts of a format, where the rows have them all, and no part is named that it has not. */
function columnsOf(
  rows: readonly Row[],
  parts: Readonly<Record<string, Part>>,
  mapping: ColumnMapping,
): ColumnMapping | undefined {
  if (Object.keys(mapping).some((name) => !Object.hasOwn(parts, name))) return undefined;
  const columns: Record<string, string> = {};
  for (const [name, { names, fits, isOptional }] of Object.entries(parts)) {
    const candidates = Object.hasOwn(mapping, name) ? [mapping[name]] : names;
    const taken = new Set(Object.values(columns));
    const column = candidates.find((candidate) => !taken.has(candidate) && isColumn(rows, candidate, fits));
    if (column !== undefined) columns[name] = column;
    else if (!isOptional) return undefined;
  }
  return columns;
}

/** Whether most rows have such values in a column: some may be bad. */
function isColumn(rows: readonly Row[], column: string, fits: Test): boolean {
  const values = rows.filter((row) => Object.hasOwn(row, column));
  return values.length > 0 && values.filter((row) => fits(row[column], row)).length * 2 > rows.length;
}

/** Rows by which a format is told. */
const SAMPLE = 64;

/** As `recogniseFormat`, by rows spread over all of them. */
export async function recogniseRows(rows: Rows, options: RecogniseOptions = {}): Promise<RecognisedFormat> {
  const count = Math.min(SAMPLE, rows.count);
  const indices = Array.from({ length: count }, (_, i) => Math.floor((i * rows.count) / count));
  const sample: Row[] = [];
  for (const index of indices) sample.push(await rows.row(index));
  return recogniseFormat(sample, options);
}

/** Whether a preference is of whole dialogues in one text. */
export const isDialoguePair = (row: Row, { chosen, rejected }: ColumnMapping): boolean =>
  isDialogue(row[chosen]) && isDialogue(row[rejected]);
