/** What a text becomes, with where each token came from. */
export interface Encoding {
  ids: number[];
  /** Which of two texts a token belongs to, as the model's tokenTypeIds want it. */
  typeIds: number[];
  /** 1 for tokens, 0 for padding. */
  attentionMask: number[];
  /** 1 for tokens that stand for no text. */
  specialTokensMask: number[];
  tokens: string[];
  /**
   * First character of each token in its text and the one after its last, as JavaScript counts them; [0, 0] for special
   * tokens.
   */
  offsets: [start: number, end: number][];
  /** Word of each token within its text; null for special tokens. */
  wordIds: (number | null)[];
  /** 0 for tokens of the text, 1 for those of its pair; null for special tokens. */
  sequenceIds: (number | null)[];
  /** The parts that did not fit into maxLength, each of that length, overlapping by `stride` tokens. */
  overflowing: Encoding[];
}

/** How a text, or a pair of them, is encoded. */
export interface EncodeOptions {
  /** A second text, encoded after the first with the model's separator. */
  pair?: string;
  /** Add what the model expects around a text, such as [CLS] and [SEP]. @default true */
  addSpecialTokens?: boolean;
  /** Special tokens written out in the text are plain text. @default what tokenizer_config.json says, else false */
  isLiteral?: boolean;
  /** Most tokens, special ones included. @default no limit */
  maxLength?: number;
  /** What is cut when there are too many: the longer of the two, or always one of them. @default "longest_first" */
  truncation?: "longest_first" | "only_first" | "only_second";
  /** The end that is cut. @default what tokenizer_config.json says, else "right" */
  truncationSide?: "left" | "right";
  /** Tokens by which parts that did not fit overlap. @default 0 */
  stride?: number;
}

/** How a text becomes ids alone. */
export type PlainEncodeOptions = Pick<EncodeOptions, "addSpecialTokens" | "isLiteral">;

/** How the texts of a batch are brought to one length. */
export interface PadOptions {
  /** "longest" of the batch, or a number of tokens. @default no padding */
  padTo?: "longest" | number;
  /** @default what tokenizer_config.json says, else "right" */
  paddingSide?: "left" | "right";
  padId?: number;
  padTypeId?: number;
  padToken?: string;
  /** Lengths are multiples of this. @default 1 */
  padToMultipleOf?: number;
}

/** Fills an encoding and what did not fit it up to a length. */
export function padEncoding(
  encoding: Encoding,
  length: number,
  { paddingSide = "right", padId = 0, padTypeId = 0, padToken = "[PAD]" }: PadOptions,
): Encoding {
  const missing = length - encoding.ids.length;
  const overflowing = encoding.overflowing.map((part) =>
    padEncoding(part, length, { paddingSide, padId, padTypeId, padToken }),
  );
  if (missing <= 0) return { ...encoding, overflowing };
  const filled = <T>(values: readonly T[], value: T): T[] => {
    const padding = Array.from({ length: missing }, () => value);
    return paddingSide === "left" ? [...padding, ...values] : [...values, ...padding];
  };
  return {
    ids: filled(encoding.ids, padId),
    typeIds: filled(encoding.typeIds, padTypeId),
    attentionMask: filled(encoding.attentionMask, 0),
    specialTokensMask: filled(encoding.specialTokensMask, 1),
    tokens: filled(encoding.tokens, padToken),
    offsets: filled(encoding.offsets, [0, 0]),
    wordIds: filled(encoding.wordIds, null),
    sequenceIds: filled(encoding.sequenceIds, null),
    overflowing,
  };
}

/** The length that a batch is padded to. */
export function paddedLength(
  encodings: readonly Encoding[],
  { padTo, padToMultipleOf: multiple = 1 }: PadOptions,
): number {
  const longest = padTo === "longest" ? Math.max(0, ...encodings.map(({ ids }) => ids.length)) : (padTo as number);
  return Math.ceil(longest / multiple) * multiple;
}

/** For each number of code points the number of UTF-16 units before it; undefined where they are the same. */
export function utf16Positions(text: string): Int32Array | undefined {
  if (!/[\ud800-\udbff]/.test(text)) return undefined;
  const positions: number[] = [0];
  let units = 0;
  for (const character of text) {
    units += character.length;
    positions.push(units);
  }
  return Int32Array.from(positions);
}

/**
 * Offsets in code points as offsets in UTF-16 units. @param positions of the text and of its pair, by `utf16Positions`
 */
export function inUtf16(
  { offsets, sequenceIds }: Pick<Encoding, "offsets" | "sequenceIds">,
  positions: readonly (Int32Array | undefined)[],
): [number, number][] {
  if (positions.every((table) => table === undefined)) return offsets;
  return offsets.map(([start, end], i) => {
    const table = positions[sequenceIds[i] ?? 0];
    return table && sequenceIds[i] !== null ? [table[start], table[end]] : [start, end];
  });
}
