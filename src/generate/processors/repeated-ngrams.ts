import type { LogitsProcessor } from "./processor.ts";

/** No sequence of `size` tokens comes twice. */
export const noRepeatNgrams =
  (size: number): LogitsProcessor =>
  (logits, { ids }) =>
    banRepeating(logits, ids, ids, size);

/** No sequence of `size` tokens of what was read comes again. */
export const noEncoderRepeatNgrams =
  (size: number): LogitsProcessor =>
  (logits, { ids, source = [] }) =>
    banRepeating(logits, source, ids, size);

/** Bans what would make the last `size` tokens of a text a sequence that is in another. */
function banRepeating(logits: Float32Array, source: readonly number[], ids: readonly number[], size: number): void {
  const start = ids.length - size + 1;
  if (start < 0) return;
  for (let i = 0; i + size <= source.length; i++) {
    let shared = 0;
    while (shared < size - 1 && source[i + shared] === ids[start + shared]) shared++;
    if (shared === size - 1) logits[source[i + shared]] = Number.NEGATIVE_INFINITY;
  }
}
