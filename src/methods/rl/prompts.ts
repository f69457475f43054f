/** The prompts of rows. */
import { DataError, isObject, listedNames } from "../../base/index.ts";
import type { BadRows, Row, Rows } from "../../data/index.ts";
import {
  type ChatFormat,
  chatFormat,
  encodePrompt,
  type MixedMessage,
  type Tokenizer,
} from "../../tokenizers/index.ts";
import type { DatasetInput } from "../config/schema.ts";
import type { MethodContext } from "../method.ts";
import { datasetsOf } from "../parts/datasets.ts";

/** What the model goes on from, and what its rewards see of it. */
export interface Prompt {
  ids: readonly number[];
  /** As the row has it; a conversation as its template writes it. */
  text: string;
  row: Row;
  /** "train.jsonl:17" */
  place: string;
}

/** How rows become prompts. */
export interface PromptOptions {
  tokenizer: Tokenizer;
  /** Most tokens of a prompt: longer ones are left out. */
  maxLength: number;
  /** Whose `columns` may name that of the prompt. */
  dataset: DatasetInput;
  badRows: BadRows;
  context: MethodContext;
}

/** Names that columns have for prompts, the usual ones first. */
const COLUMNS = ["prompt", "messages", "conversation", "question", "instruction"];

/**
 * The prompts of rows: texts, which are a user's message where the tokenizer has a chat template, and conversations up
 * to the answer that is to be written.
 * @throws DataError for a row without a prompt that is not to be skipped, and where no row is left
 */
export async function readPrompts(rows: Rows, options: PromptOptions): Promise<Prompt[]> {
  const { tokenizer, maxLength, dataset, badRows, context } = options;
  const [{ columns = {} }] = datasetsOf(dataset) as { columns?: Record<string, string> }[];
  const format = tokenizer.chatTemplate === undefined ? undefined : chatFormat(tokenizer.chatTemplate, tokenizer);
  const prompts: Prompt[] = [];
  let [index, tooLong] = [0, 0];
  for await (const row of rows) {
    context.signal?.throwIfAborted();
    const place = rows.placeOf(index++);
    const value = promptIn(row, columns.prompt);
    const ids = typeof value === "string" || value.messages ? await idsOf(value, tokenizer, format) : [];
    if (ids.length > maxLength) tooLong++;
    else if (ids.length > 0) prompts.push({ ids, text: textOf(value as Turns, format), row, place });
    else badRows.add({ ...placed(place), reason: typeof value === "string" ? "an empty prompt" : reasonOf(value) });
    context.onProgress?.("encoding prompts", index / rows.count);
  }
  requirePrompts(prompts, { index, tooLong, maxLength });
  if (tooLong > 0) {
    const notes = [`${tooLong} of ${index} prompts are longer than maxLength ${maxLength}, and left out`];
    context.onWarning({ where: "data", notes });
  }
  return prompts;
}

type Turns = string | { messages: readonly MixedMessage[] };
type Found = Turns | { messages?: undefined; reason: string };

const reasonOf = (value: Found): string => (typeof value === "object" && "reason" in value ? value.reason : "");

/** The prompt of a row, or why there is none. */
function promptIn(row: Row, column: string | undefined): Found {
  const name = column ?? COLUMNS.find((each) => row[each] !== undefined);
  if (name === undefined || row[name] === undefined)
    return { reason: `no ${column ?? COLUMNS.join(", ")} among ${listedNames("prompt", Object.keys(row))}` };
  const value = row[name];
  if (typeof value === "string") return value;
  const isTalk = Array.isArray(value) && value.length > 0 && value.every((each) => isObject(each) && "role" in each);
  if (!isTalk) return { reason: `${name} that is neither a text nor messages` };
  const messages = value as MixedMessage[];
  const last = messages.findLastIndex(({ role }) => role !== "assistant");
  return last < 0 ? { reason: `${name} of answers alone` } : { messages: messages.slice(0, last + 1) };
}

async function idsOf(value: Turns, tokenizer: Tokenizer, format: ChatFormat | undefined): Promise<readonly number[]> {
  const talk = format ?? chatFormat(undefined, tokenizer);
  if (typeof value === "object")
    return encodePrompt(tokenizer, talk.render(value.messages), { addSpecialTokens: talk.addSpecialTokens });
  if (value === "" || !format) return encodePrompt(tokenizer, value);
  const text = format.render([{ role: "user", content: value }]);
  return encodePrompt(tokenizer, text, { addSpecialTokens: format.addSpecialTokens });
}

const textOf = (value: Turns, format: ChatFormat | undefined): string =>
  typeof value === "string"
    ? value
    : (format?.render(value.messages) ?? value.messages.map(({ content }) => content).join("\n"));

/** "train.jsonl:17" as file and line. */
function placed(place: string): { file: string; line: number } {
  const colon = place.lastIndexOf(":");
  return { file: place.slice(0, colon), line: Number(place.slice(colon + 1)) };
}

/** @throws DataError where no row is a prompt that is short enough */
function requirePrompts(
  prompts: readonly Prompt[],
  { index, tooLong, maxLength }: { index: number; tooLong: number; maxLength: number },
): void {
  if (prompts.length > 0) return;
  throw new DataError({
    where: "data",
    expected: `prompts of at most maxLength ${maxLength} tokens`,
    received: `${index} rows, ${tooLong} of them with longer ones`,
    fix:
      tooLong > 0 ? "raise data.maxLength" : "give rows with a prompt, or name its column: columns: { prompt: text }",
  });
}
