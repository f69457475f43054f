/** `kindling data dedup`: leaves out rows that repeat earlier ones. */
import { findNearDuplicates, rowText, SeenTexts } from "../../data/index.ts";
import { dropUndefined } from "../sampling.ts";
import { type ReadFlags, Reading, writing } from "./reading.ts";

export interface DedupFlags extends ReadFlags {
  out: string;
  force?: boolean;
  text?: string;
  method: "exact" | "minhash";
  threshold?: number;
  permutations?: number;
  shingle?: number;
  removed?: string;
}

/** Exact duplicates in one pass; near ones in two, the first of which keeps signatures alone. */
export async function dedupCommand(files: string[], flags: DedupFlags): Promise<void> {
  const reading = new Reading(files, flags);
  await writing(flags, async (output, progress) => {
    const write = await output.open(flags.out);
    const reject = flags.removed === undefined ? undefined : await output.open(flags.removed);
    const firstOf = flags.method === "minhash" ? await nearDuplicates(reading, flags, progress) : undefined;
    const seen = new SeenTexts();
    let [index, left] = [0, 0];
    for await (const { row } of firstOf ? reading.again() : reading.rows()) {
      const first = firstOf ? firstOf[index] : (seen.add(rowText(row, flags.text)) ?? index);
      if (first === index) await write(row);
      else {
        left++;
        await reject?.({ ...row, duplicate_of: first });
      }
      progress(++index);
    }
    process.stderr.write(`${left} of ${index} rows repeat others\n`);
  });
  reading.report();
}

async function nearDuplicates(
  reading: Reading,
  { text, threshold, permutations, shingle: shingleWords }: DedupFlags,
  progress: (rows: number) => void,
): Promise<Uint32Array> {
  const texts = async function* () {
    let count = 0;
    for await (const { row } of reading.rows()) {
      yield rowText(row, text);
      progress(++count);
    }
  };
  return (await findNearDuplicates(texts(), dropUndefined({ threshold, permutations, shingleWords }))).firstOf;
}
