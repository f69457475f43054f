import { splitWords, stripSpace } from "./python-text.ts";

/** How a text becomes words before BLEU counts them. */
export type BleuTokenizer = "13a" | "zh" | "char" | "none";

/** Punctuation apart from words, but for points and commas within numbers. */
function separated(text: string): string {
  const spaced = text
    .replace(/([{-~[-` -&(-+:-@/])/gu, " $1 ")
    .replace(/([^0-9])([.,])/gu, "$1 $2 ")
    .replace(/([.,])([^0-9])/gu, " $1 $2")
    .replace(/([0-9])(-)/gu, "$1 $2 ");
  return splitWords(spaced).join(" ");
}

/** The international form of NIST's mteval-v13a, which WMT uses. */
function mteval13a(text: string): string {
  const plain = text
    .replaceAll("<skipped>", "")
    .replaceAll("-\n", "")
    .replaceAll("\n", " ")
    .replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">");
  return separated(` ${plain} `);
}

/**
 * Characters that stand alone in Chinese texts: sacrebleu's ranges as they work. Two of its table are meant for planes
 * beyond the first, but written with four digits, so that they reach from U+2001 to U+2A6D and from U+2F81 to U+2FA1.
 */
const chinese =
  /[\u2001-\u2a6d\u2e80-\u2fdf\u2ff0-\u303f\u3100-\u312f\u31a0-\u31bf\u31c0-\u31ef\u3200-\u33ff\u3400-\u4db5\u4e00-\u9fbb\uf900-\ufa2d\ufa30-\ufa6a\ufa70-\ufad9\ufe10-\ufe1f\ufe30-\ufe4f\uff00-\uffef]/g;

/** sacrebleu's tokenizers by their names. */
export const bleuTokenizers: Readonly<Record<BleuTokenizer, (text: string) => string>> = {
  "13a": mteval13a,
  zh: (text) => separated(stripSpace(text).replace(chinese, " $& ")),
  char: (text) => [...text].join(" "),
  none: (text) => text,
};
