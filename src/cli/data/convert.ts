/** `kindling data convert`: rows in another format of files, or as messages. */

import { DataError } from "../../base/index.ts";
import { BadRows, type RecognisedFormat, type Row, recogniseFormat, toConversation } from "../../data/index.ts";
import { type ReadFlags, Reading, writing } from "./reading.ts";

export interface ConvertFlags extends ReadFlags {
  out: string;
  force?: boolean;
  as?: "messages";
  column?: Record<string, string>;
  limit?: number;
}

/** Rows by which the format is told. */
const SAMPLE = 64;

/** Writes all rows to one file, whose ending says the format. */
export async function convertDataCommand(files: string[], flags: ConvertFlags): Promise<void> {
  const reading = new Reading(files, flags);
  const { limit = Number.POSITIVE_INFINITY, onBadRow } = flags;
  const unfit = new BadRows({ onBadRow });
  await writing(flags, async (output, progress) => {
    const write = await output.open(flags.out);
    const recognised =
      flags.as === "messages" ? recogniseFormat(await firstRows(reading), { columns: flags.column ?? {} }) : undefined;
    let count = 0;
    for await (const { row, place } of recognised ? reading.again() : reading.rows()) {
      if (count >= limit) break;
      const converted = recognised ? conversation(row, recognised, place, unfit) : row;
      if (!converted) continue;
      await write(converted);
      progress(++count);
    }
  });
  reading.report();
  if (unfit.count > 0) process.stderr.write(`${unfit.count} rows that are no conversation left out:\n${unfit}`);
}

async function firstRows(reading: Reading): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const { row } of reading.rows()) if (rows.push(row) >= SAMPLE) break;
  return rows;
}

function conversation(row: Row, recognised: RecognisedFormat, place: string, unfit: BadRows): Row | undefined {
  try {
    return { ...toConversation(row, recognised) };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const colon = place.lastIndexOf(":");
    unfit.add({ file: place.slice(0, colon), line: Number(place.slice(colon + 1)), reason: error.received });
    return undefined;
  }
}
