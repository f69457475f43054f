/** What a text that is no UTF-8 may be instead, for the advice how to convert it. */

/** The shortest and usual words of Chinese, in both scripts. */
const COMMON_SIMPLIFIED = /[的一是不了在人有我他这中大来上个国和也子时道说们为]/g;
const COMMON_TRADITIONAL = /[的一是不了在人有我他這中大來上個國和也子時道說們為]/g;

/**
 * Encodings by iconv's names, how TextDecoder calls them, which characters tell that it is one, and their least share
 * of all beyond ASCII.
 */
const encodings: readonly [name: string, label: string, telling: RegExp, leastShare: number][] = [
  ["shift_jis", "shift_jis", /[\u3040-\u30ff]/g, 0.3],
  ["euc-jp", "euc-jp", /[\u3040-\u30ff]/g, 0.3],
  ["gb18030", "gb18030", COMMON_SIMPLIFIED, 0.05],
  ["big5", "big5", COMMON_TRADITIONAL, 0.05],
  ["euc-kr", "euc-kr", /[\uac00-\ud7a3]/g, 0.7],
];
const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;

/**
 * The encoding of the beginning of a file that is no UTF-8, by iconv's name; undefined where nothing speaks for one.
 */
export function guessEncoding(bytes: Uint8Array): string | undefined {
  const [a, b] = bytes;
  if ((a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff))
    return bytes[2] === 0 && bytes[3] === 0 ? "utf-32" : "utf-16";
  if (bytes.includes(0)) return withoutMark(bytes);
  for (const [name, label, telling, leastShare] of encodings) {
    const text = new TextDecoder(label).decode(bytes, { stream: true });
    const beyondAscii = count(text, /\P{ASCII}/gu);
    if (count(text, /\ufffd/g) === 0 && beyondAscii > 0 && count(text, telling) >= leastShare * beyondAscii)
      return name;
  }
  const latin = new TextDecoder("windows-1252").decode(bytes);
  // a few accents among many letters
  if (count(latin, /[\u00c0-\u024f]/g) * 3 < count(latin, /[a-z]/gi)) return "latin1";
  const cyrillic = new TextDecoder("windows-1251").decode(bytes);
  return count(cyrillic, /[а-я]/g) > 0.7 * count(cyrillic, /\P{ASCII}/gu) ? "cp1251" : undefined;
}

/** UTF-16 that does not say so: every other byte of an English text is zero. */
function withoutMark(bytes: Uint8Array): string | undefined {
  const zeros = [0, 0];
  for (const [i, byte] of bytes.entries()) if (byte === 0) zeros[i & 1]++;
  const half = bytes.length / 2;
  if (zeros[1] > 0.7 * half && zeros[0] < 0.05 * half) return "utf-16le";
  if (zeros[0] > 0.7 * half && zeros[1] < 0.05 * half) return "utf-16be";
  return undefined;
}

/** The least and greatest second byte after some first bytes of UTF-8. Unicode 16, table 3-7. */
const secondBytes: Readonly<Record<number, [number, number]>> = {
  224: [0xa0, 0xbf],
  237: [0x80, 0x9f],
  240: [0x90, 0xbf],
  244: [0x80, 0x8f],
};
const lengthOf = (first: number) =>
  first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;

/** Index of the first byte that is no UTF-8, or the length. A character that the end cuts off is none. */
export function invalidUtf8At(bytes: Uint8Array): number {
  let at = 0;
  while (at < bytes.length) {
    const length = lengthOf(bytes[at]);
    const [least, greatest] = secondBytes[bytes[at]] ?? [0x80, 0xbf];
    if (length === 0) return at;
    for (let i = 1; i < length; i++) {
      const byte = bytes[at + i];
      const isFine = i === 1 ? byte >= least && byte <= greatest : byte >= 0x80 && byte <= 0xbf;
      if (!isFine) return at;
    }
    at += length;
  }
  return at;
}
