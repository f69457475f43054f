/**
 * GPT-2's byte-level alphabet: each of the 256 bytes is written as one visible character, so that any text can be split
 * into known symbols. Printable Latin-1 stands for itself, the rest for characters from U+0100 on.
 */
const isPrintable = (byte: number) =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);

/** The character of each byte. */
export const byteCharacters: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
})();

/** The byte of each character. */
export const characterBytes: ReadonlyMap<string, number> = new Map(
  byteCharacters.map((character, byte) => [character, byte]),
);

/**
 * How GPT-2 cuts text before merging: contractions, words and numbers with the space before them, other symbols,
 * spaces. White_Space instead of \s, since JavaScript's \s differs from that of the reference (U+0085, U+FEFF).
 */
export const pretokens = () =>
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

const utf8 = new TextEncoder();

/** The bytes of a text as characters of the alphabet. */
export function toByteCharacters(text: string): string {
  let out = "";
  for (const byte of utf8.encode(text)) out += byteCharacters[byte];
  return out;
}
