/** The order in which Kindling learns examples, for peers that take the same one. */
import { writeFile } from "node:fs/promises";
import { batchesOf } from "kindling/data";

/** Writes the numbers of the examples of each step of a run whose batches are grouped by `lengths`. */
export async function writeOrder(path, lengths, { seed, steps, batchSize }) {
  const collate = (numbers) => numbers;
  const source = batchesOf([...lengths.keys()], { batchSize, seed, lengths, collate });
  const order = await Promise.all(Array.from({ length: steps }, (_, step) => source.batch(step)));
  await writeFile(path, JSON.stringify(order));
}
