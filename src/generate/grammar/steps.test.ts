/** What a mask takes: it is worked out in steps, and within limits of time and memory. */
import { expect, test } from "vitest";
import { gbnfGrammar, matchesGrammar, TokenGrammar, TokenVocabulary } from "../index.ts";
import { Pushdown } from "./pushdown.ts";
import { WorkMeter } from "./steps.ts";
import { idsOf } from "./token-mask.ts";

const utf8 = new TextEncoder();
const letters = Array.from({ length: 26 }, (_, i) => String.fromCharCode(97 + i));
const pairs = letters.flatMap((a) => letters.map((b) => a + b));
const triples = pairs.flatMap((pair) => letters.slice(0, 8).map((c) => pair + c));
const vocabulary = new TokenVocabulary([...letters, ...pairs, ...triples].map((word) => utf8.encode(word)));
const END = vocabulary.size;
const many = (count: number, of: (i: number) => string) => Array.from({ length: count }, (_, i) => of(i));

/** Rules that call one another, so that a text may be read in many ways. */
const tangle = (count: number) =>
  gbnfGrammar(
    [
      `root ::= ${many(count, (i) => `r${i}`).join(" | ")}`,
      ...many(count, (i) => `r${i} ::= [a-z]+ r${(7 * i + 1) % count}? [a-z]* r${(3 * i + 2) % count}?`),
    ].join("\n"),
  );

test("a mask in steps is the mask", () => {
  const tokens = new TokenGrammar(tangle(150), vocabulary, [END]);
  const [stepped, plain] = [tokens.start(), new TokenGrammar(tangle(150), vocabulary, [END]).start()];
  let numSteps = 0;
  for (const numTokens of [undefined, 30, "closing"] as const) {
    for (const _ of stepped.prepare(numTokens)) numSteps++;
    const [mask, expected] = [stepped, plain].map((each) =>
      numTokens === "closing" ? each.closingMask() : each.mask(numTokens),
    );
    expect(mask).toEqual(expected);
  }
  expect(numSteps).toBeGreaterThan(1);
  stepped.accept(0); // what was prepared was for the text before
  plain.accept(0);
  expect(idsOf(stepped.mask().bits)).toEqual(idsOf(plain.mask().bits));
});

test("two texts of one grammar may be worked on by turns", () => {
  const tokens = new TokenGrammar(tangle(150), vocabulary, [END]);
  const [a, b] = [tokens.start(), tokens.start()];
  const both = [a.prepare(), b.prepare(20)];
  let isDone = [false, false];
  while (isDone.includes(false)) isDone = both.map((steps) => steps.next().done === true);
  const plain = new TokenGrammar(tangle(150), vocabulary, [END]).start();
  expect([a.mask(), b.mask(20)]).toEqual([plain.mask(), plain.mask(20)]);
});

test("a text is at no more places at a time than a limit", () => {
  const grammar = gbnfGrammar(
    [`root ::= ${many(5000, (i) => `r${i}`).join("|")}`, ...many(5000, (i) => `r${i}::="a${i}"root?`)].join("\n"),
  );
  expect(() => new TokenGrammar(grammar, vocabulary, [END], { isWritable: true })).toThrow("(limit textPlaces)");
  expect(() => matchesGrammar(grammar, "a1")).toThrow("(limit textPlaces)");
});

test("the work for a mask is bounded", () => {
  const meter = new WorkMeter();
  meter.addPlaces(1_000_000);
  expect(() => meter.addPlaces(1)).toThrow("(limit maskPlaces)");
});

test("what is remembered of texts is bounded by its size", () => {
  const rules = many(300, (i) => `k${i} ::= "k${i}" root?`);
  const root = `root ::= "(" root ")" | ${many(300, (i) => `k${i}`).join(" | ")}`;
  const pushdown = new Pushdown(gbnfGrammar([root, ...rules].join("\n")));
  let state = pushdown.start;
  let most = 0;
  for (let i = 0; i < 3000 && pushdown.numForgotten === 0; i++) {
    state = pushdown.step(state, 0x28)!;
    most = Math.max(most, pushdown.remembered);
  }
  expect(pushdown.numForgotten).toBe(1);
  expect(most).toBeLessThan(500_000);
  expect(pushdown.step(state, 0x6b)?.items.length).toBeGreaterThan(0);
});
