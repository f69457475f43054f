import { DataError } from "../base/index.ts";
import type { Encoding } from "../tokenizers/index.ts";

/**
 * Ids as a text that is tokenized: all of one text, and none of them known to be special.
 * @throws DataError for ids that the model has not
 */
export function encodingOfIds(ids: readonly number[], { config }: { config: object }): Encoding {
  const { vocabSize = Number.POSITIVE_INFINITY } = config as { vocabSize?: number };
  const wrong = ids.find((id) => !(id >= 0 && id < vocabSize));
  if (wrong !== undefined) {
    const expected = `ids from 0 to ${vocabSize - 1}`;
    const fix = "use the ids of this model's tokenizer";
    throw new DataError({ where: "tokenize", expected, received: String(wrong), fix });
  }
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
