/** Pairs of texts that are judged together, as cross-encoders learn them. */
import { DataError } from "../../base/index.ts";
import { type BadRows, ClassNames, type ClassValue, type Rows, readExamples } from "../../data/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import { namedFormat, pairOf, requireNegatives } from "./text-pairs.ts";

/** Two texts, and what is to be said of them. */
export interface JudgedPair {
  texts: readonly [string, string];
  /** A class as its file has it, or a number. */
  label: ClassValue;
}

/** What the pairs of rows are. */
export interface JudgedPairs {
  pairs: JudgedPair[];
  /** Pairs of each row: its positive, then its negatives. */
  perRow: number;
  /** Classes, numbers that say how much, or texts that are right before texts that are wrong. */
  kind: "classes" | "scores" | "lists";
}

/**
 * Pairs of rows of three kinds: two texts with a label, with a score, or with texts that are wrong; of these each row
 * gives as many as the poorest has.
 * @throws DataError for rows of another format, and for pairs without anything to be said of them
 */
export async function readJudged(rows: Rows, config: SharedConfig, badRows: BadRows): Promise<JudgedPairs> {
  const { recognised, examples } = await readExamples(rows, { ...namedFormat(config), badRows });
  const all: Judgement[] = [];
  let index = 0;
  for await (const example of examples as AsyncIterable<unknown>) {
    const judgement = judgementOf(example);
    if (!judgement)
      throw new DataError({
        where: rows.placeOf(index),
        expected: "two texts with a label, a score or negatives",
        received: `a row of ${recognised.format} without`,
        fix: "say which column has which part: columns: { text: question1, textPair: question2, label: same }",
      });
    requireNegatives(judgement, rows.placeOf(index));
    all.push(judgement);
    index++;
  }
  return joined(all);
}

interface Judgement {
  texts: readonly [string, string];
  label?: ClassValue;
  score?: number;
  negatives?: readonly string[];
}

/** What a row says of two texts; undefined where it says nothing. */
function judgementOf(example: unknown): Judgement | undefined {
  const { text, textPair, label } = example as { text?: string; textPair?: string; label?: ClassValue };
  if (text !== undefined && textPair !== undefined && label !== undefined) return { texts: [text, textPair], label };
  const pair = pairOf(example);
  if (!pair) return undefined;
  const { anchor, positive, score, negatives } = pair;
  if (score === undefined && !negatives?.length) return undefined;
  return { texts: [anchor, positive], score, negatives };
}

function joined(all: readonly Judgement[]): JudgedPairs {
  if (all[0].label !== undefined)
    return { kind: "classes", perRow: 1, pairs: all.map(({ texts, label }) => ({ texts, label: label ?? "" })) };
  if (all.every(({ score }) => score !== undefined))
    return { kind: "scores", perRow: 1, pairs: all.map(({ texts, score }) => ({ texts, label: score as number })) };
  const count = all.reduce((least, { negatives = [] }) => Math.min(least, negatives.length), Number.POSITIVE_INFINITY);
  if (count === 0)
    throw new DataError({
      where: "data",
      expected: "a negative of each row, or a score of each",
      received: "rows of which some have the one and some the other",
      fix: "give all rows the same",
    });
  const pairs = all.flatMap(({ texts: [first, second], negatives = [] }): JudgedPair[] => [
    { texts: [first, second], label: 1 },
    ...negatives.slice(0, count).map((wrong): JudgedPair => ({ texts: [first, wrong], label: 0 })),
  ]);
  return { kind: "lists", perRow: 1 + count, pairs };
}

/** Of each row its first pairs alone. */
export const firstOfRows = ({ kind, perRow, pairs }: JudgedPairs, count: number): JudgedPairs => ({
  ...{ kind, perRow: count },
  pairs: pairs.filter((_, i) => i % perRow < count),
});

/** Whether labels are no and yes, as 0 and 1 or false and true. */
export const isBinary = (pairs: readonly JudgedPair[]): boolean =>
  pairs.every(({ label }) => [0, 1, false, true, "0", "1"].includes(label));

/** The classes of pairs. @throws DataError for one class alone, which teaches nothing */
export function classesOf(pairs: readonly JudgedPair[]): ClassNames {
  const classes = ClassNames.of(pairs.map(({ label }) => label));
  if (classes.names.length > 1) return classes;
  throw new DataError({
    where: "data",
    expected: "pairs of two classes or more",
    received: `${JSON.stringify(classes.names[0])} alone`,
    fix: "give pairs of the other classes too",
  });
}

/** Labels as numbers. @throws DataError for one that is none, one out of range, or the same for all */
export function numbersOf(pairs: readonly JudgedPair[], loss: string, isShare: boolean): number[] {
  const numbers = pairs.map(({ label }) => Number(label));
  const wrong = numbers.findIndex((value) => !Number.isFinite(value) || (isShare && (value < 0 || value > 1)));
  const refuse = (received: string, fix: string): never => {
    const expected = `labels that are numbers${isShare ? " from 0 to 1" : ""}, and not all the same, for ${loss}`;
    throw new DataError({ where: "data", expected, received, fix });
  };
  if (wrong !== -1) refuse(JSON.stringify(pairs[wrong].label), "take another loss, or divide scores by the highest");
  if (new Set(numbers).size < 2) refuse(`${numbers[0]} alone`, "give pairs of other labels too");
  return numbers;
}
