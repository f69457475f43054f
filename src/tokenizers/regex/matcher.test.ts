/** Matches in linear time are those of JavaScript's engine, which goes back. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { patternOf } from "../engine/pattern.ts";
import { Piece } from "../engine/piece.ts";
import { tiktokenPatterns } from "../index.ts";
import { matcherOf, parseRegex, printRegex } from "./index.ts";

const text = fc.string({
  unit: fc.constantFrom("a", "b", "B", "1", " ", "\n", "'", "s", ".", "é", "漢", "🙂", "\u0301"),
  maxLength: 24,
});

/** Ends of the matches at each place of a text, as characters. */
function endsOf(source: string, characters: readonly string[]): number[] {
  const sticky = new RegExp(printRegex(parseRegex(source, "x")), "vy");
  return Array.from({ length: characters.length + 1 }, (_, place) => {
    sticky.lastIndex = characters.slice(0, place).join("").length;
    const match = sticky.exec(characters.join(""));
    return match ? place + Array.from(match[0]).length : -1;
  });
}

describe.each([
  [
    "loops",
    [
      "a*",
      "a+b",
      "(?:ab)+",
      "(?:a|ab)(?:b|c)*",
      "[^ ]+ ",
      "\\s+$",
      "\\s+(?!\\S)|\\s+",
      "(?:a?b?)*1",
      "(a*)*",
      "(?:a|b*)+1",
    ],
  ],
  ["lazy loops", ["a+?", "a*?b", "[ab]+?1", "(?:a|b)*?(?=1)", "a??b", "a{1,3}?b"]],
  ["counted ones", ["a{2}", "a{2,}", "a{1,3}", "(?:ab?){2,3}", "(?:a?){3}", "(?:a|b){0,2}1", "(?:b{0,2}a?){2}"]],
  [
    "what gives nothing back",
    ["(?>a+)b", "a++b?", "(?>a|ab)b", "a*+a", "\\s++$|\\s", "(?>a*)(?>b*)", "(?>)a+", "(?:(?>a?)b?)+1", "[ab]{2}+"],
  ],
  [
    "looks",
    ["a(?=b+)", "(?<=a+)b", "(?<!a|^)b", "a(?!b*1)", "(?<=(?=ab)a)b", "(?=(?<=a )b)b+", "\\d{1,3}(?=(?:\\d{3})*\\b)"],
  ],
  ["places", ["^a+", "a+$", "\\ba+", "\\Ba+", "\\A\\s*", "\\s*\\z", "\\n+\\Z"]],
  ["published cuts", Object.values(tiktokenPatterns)],
])("%s", (_, sources) => {
  test.each(sources)("%s", (source) => {
    const matcher = matcherOf(parseRegex(source, "x"), "x");
    fc.assert(
      fc.property(text, (sample) => {
        const characters = Array.from(sample);
        expect([...matcher(characters)]).toEqual(endsOf(source, characters));
      }),
      { numRuns: 150 },
    );
  });
});

test("a run that never matches is gone through once", () => {
  const run = (unit: string, end: string) => Piece.of(unit.repeat(200_000 / unit.length) + end);
  const started = performance.now();
  for (const regex of ["\\s+$", "\\s++$", "\\s+(?!\\S)x", "(?<=x\\s*)\\S\\S", "(?:\\s\\s)+y"]) {
    const matches = patternOf("x", { Regex: regex })(run(" ", "x"));
    expect([regex, matches.filter(([isMatch]) => isMatch)]).toEqual([regex, []]);
  }
  patternOf("x", { Regex: "\\d{1,3}(?=(?:\\d{3})*\\b)" })(run("1", ""));
  patternOf("x", { Regex: "(?i)(?:ab)+c" })(run("aB", ""));
  // one second on a machine that does nothing else; minutes where each start is tried
  expect(performance.now() - started).toBeLessThan(20_000);
});

test("counted repetitions are written out up to a limit", () => {
  expect(() => matcherOf(parseRegex("(?:ab){3000}", "x"), "x")).toThrow(/limit regexSteps/);
});
