import type { TokenPicker } from "./token-picker.ts";

/** How a text has ended: by a token or text that stops it, or as long as it may be. */
export type FinishReason = "stop" | "length";

/** What runs the texts of one call: each by itself at its beginning, then one more token of all together. */
export interface TextRows {
  /** Runs the beginning of a text, and gives the logits after it, f32 [V]. */
  begin(row: number): Promise<Float32Array>;
  /** Runs one more token of some texts, and gives the logits after each. */
  advance(tokens: readonly RowToken[]): Promise<Float32Array[]>;
  /** Whether there is no place for another token of a text. @default never */
  isFull?(row: number): boolean;
}

/** A token of one of several texts that are written together. */
export interface RowToken {
  /** Place of the text in the list that was handed in, from 0. */
  row: number;
  /** Id of the token in the vocabulary. */
  id: number;
}

/**
 * The loop of all generation, but of beams: picks a token of each text from its logits, runs these tokens, and goes on
 * until every text has ended. Gives tokens as they are picked, and at the end why each text ended.
 */
export async function* writeTexts(
  rows: TextRows,
  pickers: readonly TokenPicker[],
  signal?: AbortSignal,
): AsyncGenerator<RowToken, FinishReason[], void> {
  const reasons = pickers.map((): FinishReason => "length");
  let writing = pickers.flatMap((picker, row) => (picker.isFull ? [] : [row])); // of the others nothing is asked
  const logits: Float32Array[] = [];
  for (const row of writing) logits.push(await rows.begin(row));
  while (writing.length > 0) {
    signal?.throwIfAborted();
    const tokens: RowToken[] = [];
    for (const [i, row] of writing.entries()) {
      const id = pickers[row].next(logits[i]);
      if (id === undefined) reasons[row] = "stop";
      else yield { row, id };
      if (id !== undefined && !pickers[row].isFull && !rows.isFull?.(row)) tokens.push({ row, id });
    }
    logits.splice(0, logits.length, ...(tokens.length > 0 ? await rows.advance(tokens) : []));
    writing = tokens.map(({ row }) => row);
  }
  return reasons;
}

/** A call for one text: its ids, and why it ended. */
export async function* onlyText(
  texts: AsyncGenerator<RowToken, FinishReason[], void>,
): AsyncGenerator<number, FinishReason, void> {
  try {
    for (;;) {
      const next = await texts.next();
      if (next.done) return next.value[0];
      yield next.value.id;
    }
  } finally {
    await texts.return([]);
  }
}
