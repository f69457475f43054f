/** `kindling data split`: files for training, validation and test. */
import { join } from "node:path";
import { checkShares, type Row, rowText, type SplitName, splitOf } from "../../data/index.ts";
import { type ReadFlags, Reading, writing } from "./reading.ts";

export interface SplitFlags extends ReadFlags {
  out: string;
  force?: boolean;
  validation: number;
  test: number;
  seed: number;
  group?: string;
  to: string;
}

/** Writes each row to the file of its part. */
export async function splitCommand(files: string[], flags: SplitFlags): Promise<void> {
  const { validation, test, seed, group } = flags;
  const shares = { validation, test, seed };
  checkShares("data split", shares);
  const reading = new Reading(files, flags);
  await writing(flags, async (output, progress) => {
    const open = (name: SplitName) => output.open(join(flags.out, `${name}.${flags.to}`));
    const writers: Partial<Record<SplitName, (row: Row) => Promise<void>>> = { train: await open("train") };
    if (validation > 0) writers.validation = await open("validation");
    if (test > 0) writers.test = await open("test");
    let count = 0;
    for await (const { row } of reading.rows()) {
      await writers[splitOf(rowText(row, group), shares)]?.(row);
      progress(++count);
    }
  });
  reading.report();
}
