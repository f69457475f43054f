/** An id, and the characters of the word that it covers. */
export interface Token {
  id: number;
  start: number;
  end: number;
  /** What it is shown as, where that is not its text in the vocabulary. */
  text?: string;
}

export interface Model {
  readonly vocabulary: ReadonlyMap<string, number>;
  /** characters: those of one word. */
  tokens(characters: readonly string[]): Token[];
}

/** Ids of the UTF-8 bytes of a text, tokens as <0x0A>; undefined where the vocabulary lacks one. */
export function byteTokens(vocabulary: ReadonlyMap<string, number>, text: string): number[] | undefined {
  const ids = Array.from(new TextEncoder().encode(text), (byte) =>
    vocabulary.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
  );
  return ids.includes(undefined) ? undefined : (ids as number[]);
}
