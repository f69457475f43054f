import type { Encoding } from "../tokenizers/index.ts";

/** Ids as a text that is tokenized: all of one text, and none of them known to be special. */
export function encodingOfIds(ids: readonly number[]): Encoding {
  return {
    ids: [...ids],
    typeIds: ids.map(() => 0),
    attentionMask: ids.map(() => 1),
    specialTokensMask: ids.map(() => 0),
    tokens: [],
    offsets: ids.map(() => [0, 0]),
    wordIds: ids.map(() => null),
    sequenceIds: ids.map(() => 0),
    overflowing: [],
  };
}
