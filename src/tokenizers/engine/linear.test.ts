/** What keeps the engine in JavaScript linear gives the same as the plain way. */
import { expect, test } from "vitest";
import { graphemesOf } from "./graphemes.ts";
import { Piece } from "./piece.ts";
import { unicode } from "./unicode.ts";

const marks = [
  "\u0301",
  "\u0323",
  "\u0334",
  "\u0345",
  "\u05b0",
  "\u093c",
  "\u0327",
  "\u3099",
  "\u0f71",
  "\u0f72",
  "\u1dfa",
  "\u0903",
  "\u200d",
];
const bases = [
  "a",
  "é",
  "漢",
  "\u1100",
  "\u1161",
  "\u11a8",
  "가",
  "👩",
  "🇩",
  "\r",
  "\n",
  " ",
  "ﬁ",
  "Ω",
  "\u0930",
  "\u094d",
];

function* randomTexts(count: number, longest: number): Generator<string> {
  let seed = 7;
  const random = (n: number) => {
    seed = (seed * 48271) % 0x7fffffff;
    return seed % n;
  };
  for (let i = 0; i < count; i++) {
    const markShare = random(4);
    yield Array.from({ length: random(longest) }, () =>
      random(4) < markShare ? marks[random(marks.length)] : bases[random(bases.length)],
    ).join("");
  }
}

test("graphemes are those of a segmenter, over the borders of windows", () => {
  const segmenter = new Intl.Segmenter("und", { granularity: "grapheme" });
  const long = `${"x".repeat(510)}${"👩\u200d👩\u200d👧".repeat(3)}${"\u0301".repeat(2000)}${"🇩🇪".repeat(300)}\r\n`;
  for (const text of [long, "", ...randomTexts(60, 2500)])
    expect([...graphemesOf(text)]).toEqual(Array.from(segmenter.segment(text), ({ segment }) => segment));
});

test("long runs of marks come out as JavaScript normalizes them", () => {
  for (const text of [`a${"\u0301\u0323\u0334".repeat(500)}`, ...randomTexts(80, 400)]) {
    for (const form of ["NFC", "NFD", "NFKC", "NFKD"] as const)
      expect(unicode(form)(Piece.of(text)).text).toBe(text.normalize(form));
  }
});
