import { foldKeyOnHost } from "../ops/index.ts";
import { permute } from "./permute.ts";

/** Batches that are sorted by length together: more would be less random, fewer would pad more. */
const GROUP_BATCHES = 50;

/**
 * An order of each epoch in which examples of a batch have similar lengths, so that little is padded: a random order
 * cut into groups of 50 batches, each sorted by length, whose batches are then shuffled. The first batch of the first
 * epoch has the longest example, so that memory which does not suffice is noticed at once.
 */
export function lengthGroupedOrder(
  lengths: ArrayLike<number>,
  { batchSize, seed }: { batchSize: number; seed: number },
): (sample: number) => number {
  const size = lengths.length;
  const epochs = new Map<number, Uint32Array>();
  const orderOf = (epoch: number): Uint32Array => {
    const kept = epochs.get(epoch);
    if (kept) return kept;
    const order = orderOfEpoch(lengths, { batchSize, seed, epoch });
    epochs.clear(); // one epoch after another is asked for
    epochs.set(epoch, order);
    return order;
  };
  return (sample) => orderOf(Math.floor(sample / size))[sample % size];
}

function orderOfEpoch(
  lengths: ArrayLike<number>,
  { batchSize, seed, epoch }: { batchSize: number; seed: number; epoch: number },
): Uint32Array {
  const size = lengths.length;
  const [key, batchKey] = foldKeyOnHost([seed | 0, 0x6c656e67], epoch); // "leng"
  const order = Uint32Array.from({ length: size }, (_, i) => permute(i, size, key));
  const group = GROUP_BATCHES * batchSize;
  for (let from = 0; from < size; from += group)
    order.subarray(from, from + group).sort((a, b) => lengths[b] - lengths[a] || a - b);
  const whole = Math.floor(size / batchSize); // the last batch may be smaller: it stays the last
  const shuffled = new Uint32Array(order);
  for (let batch = 0; batch < whole; batch++) {
    const from = permute(batch, whole, batchKey) * batchSize;
    shuffled.set(order.subarray(from, from + batchSize), batch * batchSize);
  }
  if (epoch > 0 || whole === 0) return shuffled;
  let longest = 0;
  for (let i = 1; i < size; i++) if (lengths[shuffled[i]] > lengths[shuffled[longest]]) longest = i;
  const start = Math.floor(longest / batchSize) * batchSize;
  const count = Math.min(batchSize, size - start);
  const [first, other] = [shuffled.slice(0, count), shuffled.slice(start, start + count)];
  shuffled.set(first, start);
  shuffled.set(other, 0);
  return shuffled;
}
