import { checkOptions, OptionError } from "../../base/index.ts";
import { selectRows } from "../rows/combine.ts";
import type { Rows } from "../rows/rows.ts";
import { SeenTexts } from "./exact.ts";
import type { MinHashOptions } from "./minhash.ts";
import { findNearDuplicates } from "./near-duplicates.ts";

/** What are duplicates. */
export interface DedupOptions<R> {
  /** "exact": the same words; "minhash": most of the same sequences of words. @default "exact" */
  method?: "exact" | "minhash";
  /** The text by which rows are compared. */
  textOf: (row: R) => string;
  /** Of the method "minhash". */
  minhash?: MinHashOptions;
  /** Of the method "exact": whether case, punctuation and spaces do not count. @default true */
  isNormalised?: boolean;
}

/** Rows without duplicates, and which were left out. */
export interface Deduplicated<R> {
  rows: Rows<R>;
  /** Numbers of the rows that were left out, and of the row that each is like. */
  removed: readonly { index: number; like: number }[];
}

/**
 * Rows of which those that repeat an earlier one are left out. All rows are read once.
 * @throws OptionError for wrong options
 */
export async function dedupRows<R>(rows: Rows<R>, options: DedupOptions<R>): Promise<Deduplicated<R>> {
  checkOptions("dedupRows", options, ["method", "textOf", "minhash", "isNormalised"]);
  const { method = "exact", textOf, minhash, isNormalised = true } = options;
  if (method !== "exact" && method !== "minhash")
    throw new OptionError({
      where: "dedupRows",
      expected: 'method to be "exact" or "minhash"',
      received: JSON.stringify(method),
      fix: "choose one of them",
    });
  const firstOf = method === "exact" ? await exact(rows, textOf, isNormalised) : await near(rows, textOf, minhash);
  const kept: number[] = [];
  const removed: { index: number; like: number }[] = [];
  for (const [index, like] of firstOf.entries())
    if (like === index) kept.push(index);
    else removed.push({ index, like });
  return { rows: selectRows(rows, kept), removed };
}

async function exact<R>(rows: Rows<R>, textOf: (row: R) => string, isNormalised: boolean): Promise<Uint32Array> {
  const seen = new SeenTexts({ isNormalised });
  const firstOf = new Uint32Array(rows.count);
  let index = 0;
  for await (const row of rows) {
    firstOf[index] = seen.add(textOf(row)) ?? index;
    index++;
  }
  return firstOf;
}

async function near<R>(rows: Rows<R>, textOf: (row: R) => string, options?: MinHashOptions): Promise<Uint32Array> {
  const texts = async function* () {
    for await (const row of rows) yield textOf(row);
  };
  return (await findNearDuplicates(texts(), options)).firstOf;
}
