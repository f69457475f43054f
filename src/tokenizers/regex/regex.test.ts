/**
 * Regular expressions of tokenizers: what is linear, what is not, and that JavaScript's form cuts texts where Oniguruma
 * does.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { DataError } from "../../base/index.ts";
import { patternOf } from "../engine/pattern.ts";
import { Piece } from "../engine/piece.ts";
import { openEngine } from "../engine-node.ts";
import { splitBy, tokenizerJson } from "../json-parts.ts";
import { packJson } from "../packed-json.ts";
import { requireLinear } from "./index.ts";

const folder = fileURLToPath(new URL("../../../golden/tokenizers/kinds/", import.meta.url));

/** Every expression in a tokenizer's file. */
function expressions(value: unknown): string[] {
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([key, child]) =>
    key === "Regex" ? [child as string] : key === "model" ? [] : expressions(child),
  );
}
/**
 * Of published tokenizers that are not among the golden ones: BLOOM's and Kimi's cut, digits in threes from the right,
 * parts of others.
 */
const published = [
  String.raw` ?[^(\s|[.,!?…。，、।۔،])]+`,
  String.raw`[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  String.raw`\d{1,3}(?=(?:\d{3})*\b)`,
  String.raw`(?=(\d{3})+(?!\d))`,
  String.raw`(?:\r?\n)+(?!\r?\n)`,
  String.raw`[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+(?:'[sS]|'[tT]|'[rR][eE])?|\p{N}`,
  String.raw`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s`,
  String.raw`[[:alpha:]_]+|[^[:space:][:alpha:]]{2,}|(?>\s+)`,
];
const golden = readdirSync(folder)
  .filter((name) => name.endsWith(".json"))
  .flatMap((name) => expressions(JSON.parse(readFileSync(folder + name, "utf8"))));
const linear = [
  ...new Set([
    ...golden,
    ...published,
    "(?:\\p{N}{1,3})+",
    "(.*)*",
    "(?:\\d+\\.)+x",
    "\\d+,\\d+x",
    " {2,}",
    "^ +",
    "a{3}(?:bc){2}",
  ]),
];

test("expressions of real tokenizers are linear", () => {
  expect(golden.length).toBeGreaterThan(12);
  for (const source of linear) expect(() => requireLinear(source, "x"), source).not.toThrow();
});

describe("expressions that may take longer", () => {
  test.each([
    [
      "nested loops",
      ["(a+)+$", "(a*)*b", "(x+x+)+y", "(?:a+)++b", "(?>(a+)+)b", "(\\w+\\s?)*$", "^(([a-z])+.)+[A-Z]([a-z])+$"],
      /several ways/,
    ],
    [
      "choices that overlap in a loop",
      ["(a|a)*b", "(a|b|ab)*c", "(?:\\p{L}+|\\p{L}+ )*!", "(?:\\p{Lu}|[A-Z])*1", "(?i:(?:k|\u212a)*1)"],
      /several ways/,
    ],
    ["loops one after the other", ["\\s*\\s*x", ".*.*=", "a+a+a+a+b", "\\w*\\d*!", "x*(?=y*z)x*y"], /two loops/],
    [
      "counted loops",
      ["(?:a{1,50}){1,50}b", "(?:a|a){16}b", "(?:(?:a|a){4}){4}b", "(?:a?){20}"],
      /several ways|regexWays/,
    ],
    [
      "looks with a loop in a loop, and loops in looks",
      ["((?!\\s+x).)*y", "(?=(a+)+b)a", "(?:(?<=a+)b)*c"],
      /two loops|several ways/,
    ],
    ["many choices in a row", ["(a|a)".repeat(20), "(a?){30}a{30}"], /limit regexWays/],
  ])("%s", (_, sources, message) => {
    for (const source of sources) expect(() => requireLinear(source, "x"), source).toThrow(message);
  });
  test("and those that are no expressions, or more than one", () => {
    for (const source of [
      "[",
      "(",
      "a)",
      "*a",
      "\\",
      "(?<x>a)\\k<x>",
      "(a)\\1",
      "[b-a]",
      "a{3,1}",
      "\\p",
      "(?#",
      "(?s:.)",
      "\\xZ",
      "(".repeat(1000),
    ])
      expect(() => requireLinear(source, "x"), source).toThrow(DataError);
    expect(() => requireLinear(`(?:${"ab".repeat(400)})*`, "x")).toThrow(/limit regexPlaces/);
    expect(() => requireLinear("a".repeat(1_000_001), "x")).toThrow(/limit regexLength/);
  });
  test("large expressions are looked through in a second", () => {
    const started = performance.now();
    for (const source of [
      `(?:${Array.from({ length: 490 }, (_, i) => `\\x{${(0x4e00 + i).toString(16)}}`).join("|")})*x`,
      `${"a+b?".repeat(200)}c`,
      `(?:${"a".repeat(490)})*b`,
      "(?:(?:(?:a{9}){9}){9}){9}",
    ])
      try {
        requireLinear(source, "x");
      } catch (error) {
        expect(error).toBeInstanceOf(DataError);
      }
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

const texts = [
  "Call me Ishmael. Some years ago--never mind   how long\n\n precisely, I'LL say 1234567.25 (x) [y] İıſK",
  "\t\r\n\r\n  a'S we'Re ١٢٣ 漢字かなカナ é e\u0301 🙂👍🏽 __init__ x|y && ~\u00a0\u0085\u2028end ",
  "",
  "   ",
  "AbCd aBc 12 .. … 。，",
];
test.each(linear.filter((source) => !/\\b/.test(source)))("%s cuts as in Oniguruma", async (source) => {
  const vocab = Object.fromEntries(["[UNK]"].map((token, id) => [token, id]));
  const model = { type: "WordLevel", vocab, unk_token: "[UNK]" };
  const engine = await openEngine("x", packJson(tokenizerJson({ pre_tokenizer: splitBy(source), model })));
  for (const text of texts) {
    const [{ offsets }] = await engine.encode(text, undefined, false, undefined);
    const parts = patternOf("x", { Regex: source })(Piece.of(text)).flatMap(([, start, end]) =>
      start < end ? [[start, end]] : [],
    );
    expect([text, parts]).toEqual([text, offsets]);
  }
});
