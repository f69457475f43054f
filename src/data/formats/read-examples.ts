import { checkOptions, DataError } from "../../base/index.ts";
import { BadRows } from "../rows/bad-rows.ts";
import { mapRows, selectRows } from "../rows/combine.ts";
import { RecordError } from "../rows/record-error.ts";
import type { Row, Rows } from "../rows/rows.ts";
import { toConversation, toExample } from "./convert.ts";
import type { Conversation, ExampleFormat, Examples } from "./examples.ts";
import { type RecognisedFormat, type RecogniseOptions, recogniseRows } from "./recognise.ts";

/** How rows become examples. */
export interface ReadExamplesOptions<F extends ExampleFormat> extends RecogniseOptions {
  format?: F;
  /** Counts rows that are no examples. @default the first is an error */
  badRows?: BadRows;
}

/** Examples, and how their columns were understood. */
export interface ReadExamples<E> {
  recognised: RecognisedFormat;
  examples: Rows<E>;
}

/**
 * Examples of rows in a format that is recognised, or named. Each row is read once to see whether it is one.
 * @throws DataError where rows are in no format, for a row that is none and is not to be skipped, and where none is
 *   left; OptionError as `recogniseFormat`
 */
export async function readExamples<F extends ExampleFormat>(
  rows: Rows,
  options: ReadExamplesOptions<F> = {},
): Promise<ReadExamples<Examples[F]>> {
  checkOptions("readExamples", options, ["format", "columns", "badRows"]);
  const { badRows, ...known } = options;
  const recognised = (await recogniseRows(rows, known)) as RecognisedFormat & { format: F };
  return { recognised, examples: await converted(rows, recognised, (row) => toExample(row, recognised), badRows) };
}

/** As `readExamples`, all of them as conversations. */
export async function readConversations(
  rows: Rows,
  options: ReadExamplesOptions<ExampleFormat> = {},
): Promise<ReadExamples<Conversation>> {
  checkOptions("readConversations", options, ["format", "columns", "badRows"]);
  const { badRows, ...known } = options;
  const recognised = await recogniseRows(rows, known);
  return { recognised, examples: await converted(rows, recognised, (row) => toConversation(row, recognised), badRows) };
}

async function converted<E>(
  rows: Rows,
  { format, columns }: RecognisedFormat,
  convert: (row: Row) => E,
  badRows = new BadRows(),
): Promise<Rows<E>> {
  const good: number[] = [];
  let index = 0;
  for await (const row of rows) {
    try {
      convert(row);
      good.push(index);
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      badRows.add({ ...placed(rows.placeOf(index)), reason: error.reason });
    }
    index++;
  }
  if (good.length === 0)
    throw new DataError({
      where: rows.count > 0 ? placed(rows.placeOf(0)).file : "rows",
      expected: `rows of ${format}`,
      received: `${rows.count} rows, none of which is one`,
      fix: "look at the reasons of the bad rows",
    });
  const kept = good.length === rows.count ? rows : selectRows(rows, good);
  return mapRows(kept, convert, { name: `${format} ${JSON.stringify(columns)}` });
}

/** "train.jsonl:17" as file and line. */
function placed(place: string): { file: string; line: number } {
  const colon = place.lastIndexOf(":");
  const line = Number(place.slice(colon + 1));
  return colon > 0 && line > 0 ? { file: place.slice(0, colon), line } : { file: place, line: 1 };
}
