/** Pairs of texts, as the methods that compare texts read them. */
import { DataError } from "../../base/index.ts";
import {
  type BadRows,
  type ColumnMapping,
  type ExampleFormat,
  type Rows,
  readExamples,
  type TextPair,
} from "../../data/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import { datasetsOf } from "./datasets.ts";

/** The format and the columns that a config names for its rows. */
export function namedFormat({ data }: Pick<SharedConfig, "data">): { format?: ExampleFormat; columns?: ColumnMapping } {
  const [{ format, columns }] = datasetsOf(data.train) as { format?: ExampleFormat; columns?: ColumnMapping }[];
  return { format, columns };
}

/**
 * Pairs of rows: pairs as they are, and prompts with completions, or questions with answers, as texts that belong
 * together.
 * @throws DataError for rows of another format, for bad rows that are not skipped, and where none is left
 */
export async function readPairs(rows: Rows, config: SharedConfig, badRows: BadRows): Promise<TextPair[]> {
  const { recognised, examples } = await readExamples(rows, { ...namedFormat(config), badRows });
  const { format } = recognised;
  const pairs: TextPair[] = [];
  let index = 0;
  for await (const example of examples as AsyncIterable<unknown>) {
    const pair = pairOf(example);
    if (!pair)
      throw new DataError({
        where: rows.placeOf(index),
        expected: "a pair: anchor and positive, or question and answer, with negatives or a score if there are",
        received: `a row of ${format}`,
        fix: "say which column has which part: columns: { anchor: question, positive: reply }",
      });
    requireNegatives(pair, rows.placeOf(index));
    pairs.push(pair);
    index++;
  }
  return pairs;
}

/** The pair of an example; undefined where it is none. */
export function pairOf(example: unknown): TextPair | undefined {
  const { anchor, prompt, completion } = example as Partial<TextPair & Record<"prompt" | "completion", unknown>>;
  if (typeof anchor === "string") return example as TextPair;
  if (typeof prompt !== "string" || typeof completion !== "string" || prompt.trim() === "") return undefined;
  return { anchor: prompt, positive: completion };
}

/** @throws DataError for an empty negative */
export function requireNegatives({ negatives = [] }: Pick<TextPair, "negatives">, where: string): void {
  if (negatives.every((text) => text.trim() !== "")) return;
  throw new DataError({
    where,
    expected: "negatives that are texts",
    received: "an empty one",
    fix: "correct the row, or leave the text out",
  });
}
