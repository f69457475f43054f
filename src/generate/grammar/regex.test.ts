/** Regular expressions against JavaScript's own, what is refused, and what takes too much. */
import { expect, test } from "vitest";
import { OptionError } from "../../base/index.ts";
import { choiceGrammar, matchesGrammar, regexGrammar } from "../index.ts";
import { accepts, Languages } from "./languages.ts";
import { searchLanguage } from "./regex.ts";

const sources = [
  "a*b+c?",
  "(?:ab|a)(?:bc|c)",
  "[^a-c]{2,3}",
  "x{0}y{2}z{1,}",
  "\\d+\\.\\d*|\\.\\d+",
  "[\\w.-]+@\\w+",
  "(a|b)*abb",
  "\\p{Lu}\\p{Ll}*",
  "[\\s\\S]",
  ".",
  "a|",
  "\\u{1F600}|\\u00e9|\\x41",
  "[é-ÿ]+",
  "(?<year>\\d{4})",
  "a+?b*?",
  "(?=.*a)(?!.*b).*",
];
const texts = [
  ..."aAbcxyzé.-@ \n😀0",
  ...[
    "",
    "ab",
    "abc",
    "abbc",
    "aabb",
    "yyz",
    "yyzz",
    "1.5",
    ".5",
    "1.",
    "a.b-c@d",
    "Éa",
    "Aa",
    "日本",
    "日本語",
    "😀😀",
  ],
  ...["1851", "aab", "abb", "babb", "éÿ", "\u2028", "\r"],
];

test.each(sources)("%s matches as a whole and is found as in JavaScript", (source) => {
  const grammar = regexGrammar(source.startsWith("(?=") ? `^${source}` : source);
  const whole = new RegExp(`^(?:${source})$`, "u");
  for (const text of texts) expect(matchesGrammar(grammar, text), JSON.stringify(text)).toBe(whole.test(text));
});

test.each([...sources.slice(0, -1), "^a", "a$", "^a$|b", "(^a|b)c", "^", "$", "a^b", "^(?!a)"])(
  "%s is found",
  (source) => {
    const dfa = searchLanguage(source, "test", new Languages());
    const search = new RegExp(source, "u");
    for (const text of texts) expect(accepts(dfa, text), JSON.stringify(text)).toBe(search.test(text));
  },
);

test("Python's forms", () => {
  const fits = (source: string, text: string) => matchesGrammar(regexGrammar(source), text);
  expect(fits("(?P<name>a)\\Z", "a")).toBe(true);
  expect(fits("(?i)straße|k", "STRAßE")).toBe(true);
  expect(fits("(?i:ab)c", "ABc")).toBe(true);
  expect(fits("(?i:ab)c", "ABC")).toBe(false);
  expect(fits("(?s).", "\n")).toBe(true);
});

test.each([
  ["(a)\\1", "\\1"],
  ["\\bword\\b", "\\b"],
  ["(?<=a)b", "looks ahead only"],
  ["a(?=b)", "looks ahead only"],
  ["a++", "possessive"],
  ["(a", "parenthesis"],
  ["a)", "parenthesis"],
  ["[a", "bracket"],
  ["[b-a]", "smaller to a larger"],
  ["a{3,1}", "smaller to a larger"],
  ["*a", "something to repeat"],
  ["a**", "one repetition"],
  ["\\p{Nonsense}", "property"],
  ["\\q", "\\q"],
  ["\\ud800", "code"],
])("%s is refused", (source, reason) => {
  expect(() => regexGrammar(source)).toThrow(reason);
  expect(() => regexGrammar(source)).toThrow(OptionError);
});

test.each([
  "(a|b)*a(a|b){20}",
  "((a{0,100}){0,100}){0,100}",
  "(?:\\p{L}{1,1000}x){1,1000}",
  ".{0,99999}.{0,99999}",
  "(".repeat(1000) + ")".repeat(1000),
])("%s takes too much", (source) => {
  expect(() => regexGrammar(source)).toThrow(/limit |at most 200/);
});

test("choices", () => {
  const grammar = choiceGrammar(["", "yes", "日本"]);
  expect(["", "yes", "日本", "ye", "日"].map((text) => matchesGrammar(grammar, text))).toEqual([
    true,
    true,
    true,
    false,
    false,
  ]);
  expect(() => choiceGrammar([])).toThrow("some text fits");
});
