/** Constraints of tokens: masks, what is forced, copies, ends, and the bytes of tokens. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { tokenBytes } from "../../tokenizers/index.ts";
import {
  choiceGrammar,
  compileGrammar,
  constrain,
  type Grammar,
  type GrammarSource,
  jsonSchemaGrammar,
  matchesGrammar,
  regexGrammar,
  structuredOutput,
  type TokenConstraint,
  TokenGrammar,
  TokenVocabulary,
} from "../index.ts";
import { idsOf } from "./token-mask.ts";

const utf8 = new TextEncoder();
const words = ["", "a", "b", "ab", "abc", "c", "yes", "y", "es", "no", "é", "{", '"', '{"', "}", ":", "1", "12", "2"];
const vocabulary = new TokenVocabulary([
  ...words.map((word) => (word === "" ? undefined : utf8.encode(word))),
  Uint8Array.of(0xc3),
  Uint8Array.of(0xa9),
  utf8.encode("a"), // the same bytes as token 1
]);
const END = 0;
const allowed = (constraint: { mask(): { bits: Uint32Array } }) =>
  idsOf(constraint.mask().bits).map((id) => words[id] ?? id);

test("tokens that may follow", () => {
  const constraint = new TokenGrammar(regexGrammar("a(b|bc)?"), vocabulary, [END]).start();
  expect(allowed(constraint)).toEqual(["a", "ab", "abc", 21]);
  expect(constraint.mayEnd).toBe(false);
  constraint.accept(21);
  expect(allowed(constraint)).toEqual(["", "b"]);
  const copy = constraint.clone();
  constraint.accept(2);
  expect(allowed(constraint)).toEqual(["", "c"]);
  expect(constraint.isComplete).toBe(false);
  constraint.accept(5);
  expect([constraint.isComplete, constraint.minBytes, allowed(constraint)]).toEqual([true, 0, [""]]);
  expect(() => constraint.accept(5)).toThrow("a token that the grammar allows here");
  constraint.accept(END);
  expect(() => constraint.accept(END)).toThrow("no token behind the end");
  expect(allowed(copy)).toEqual(["", "b"]);
});

test("characters may be cut into tokens", () => {
  const constraint = new TokenGrammar(choiceGrammar(["é"]), vocabulary, [END]).start();
  expect(allowed(constraint)).toEqual(["é", 19]);
  constraint.accept(19);
  expect(allowed(constraint)).toEqual([20]);
  constraint.accept(20);
  expect(constraint.isComplete).toBe(true);
});

test("what must follow", () => {
  const schema = {
    type: "object",
    properties: { ab: { enum: [1, 12] } },
    required: ["ab"],
    additionalProperties: false,
  };
  const constraint = new TokenGrammar(jsonSchemaGrammar(schema), vocabulary, [END]).start();
  expect(constraint.forcedText()).toBe('{"ab":1');
  for (const word of ['{"', "ab", '"', ":", "12"]) constraint.accept(words.indexOf(word));
  expect([constraint.forcedText(), constraint.minBytes]).toEqual(["}", 1]);
});

test("logits of other tokens become -Infinity", () => {
  for (const source of ["a(b|bc)?", "[^x]*"]) {
    const constraint = new TokenGrammar(regexGrammar(source), vocabulary, [END]).start();
    const logits = Float32Array.from({ length: 40 }, (_, id) => id);
    const ids = idsOf(constraint.mask().bits);
    constrain(logits, constraint.mask());
    expect([...logits]).toEqual(
      Array.from({ length: 40 }, (_, id) => (ids.includes(id) ? id : Number.NEGATIVE_INFINITY)),
    );
  }
});

test("an end token that is text elsewhere is none under a grammar", () => {
  const constraint = new TokenGrammar(regexGrammar("y?(no)?"), vocabulary, [words.indexOf("no")]).start();
  expect(allowed(constraint)).toEqual(["y", "no"]);
  constraint.accept(words.indexOf("no"));
  expect(constraint.isComplete).toBe(true);
});

describe("a vocabulary without some characters", () => {
  const letters = new TokenVocabulary([undefined, ...Array.from('yesab"日本:1{}').map((sign) => utf8.encode(sign))]);
  const written = (grammar: Grammar) => {
    const texts: string[] = [];
    const go = (constraint: TokenConstraint, text: string) => {
      for (const id of idsOf(constraint.mask().bits)) {
        if (id === END) texts.push(text);
        else if (text.length < 12) {
          const next = constraint.clone();
          next.accept(id);
          go(next, text + new TextDecoder().decode(letters.bytesOf(id)));
        }
      }
    };
    go(new TokenGrammar(grammar, letters, [END]).start(), "");
    return texts.sort();
  };

  test.each<[GrammarSource, string[]]>([
    [{ choice: ["yes", "no", "日本", "日曜"] }, ["yes", "日本"]],
    [{ jsonSchema: { enum: ["a", "c", 1, 2, null] } }, ['"a"', "1"]],
    [
      { jsonSchema: { type: "string", minLength: 1, maxLength: 1 } },
      Array.from("1:abesy{}日本", (sign) => `"${sign}"`).sort(),
    ],
    [
      {
        jsonSchema: {
          type: ["array", "object"],
          properties: { a: { const: 1 }, c: true },
          additionalProperties: false,
        },
      },
      ['{"a":1}', "{}"],
    ],
    [{ gbnf: 'root ::= "{" root "}" | [a-z日]? | "[" root "]"' }, []],
  ])("%j", (source, expected) => {
    const texts = written(compileGrammar(source));
    if (expected.length > 0) expect(texts).toEqual(expected);
    else expect(texts.slice(0, 4)).toEqual(["", "a", "b", "e"]);
  });

  test("that can write nothing", () => {
    expect(() => new TokenGrammar(choiceGrammar(["no"]), letters, [END])).toThrow("characters of the tokenizer");
  });
});

test("what is no vocabulary, and no end", () => {
  expect(() => new TokenVocabulary([undefined])).toThrow("tokens that are text");
  expect(() => new TokenGrammar(regexGrammar("a"), vocabulary, [])).toThrow("ends a text");
  expect(() => new TokenGrammar(regexGrammar("a"), vocabulary, [-1])).toThrow("ids");
});

test("the forms of grammars", () => {
  expect(matchesGrammar(compileGrammar({ regex: "a+" }), "aa")).toBe(true);
  expect(matchesGrammar(compileGrammar({ gbnf: 'x ::= "a"', root: "x" }), "a")).toBe(true);
  expect(matchesGrammar(compileGrammar({ lark: 'x: "a"', start: "x" }), "a")).toBe(true);
  expect(matchesGrammar(compileGrammar({ jsonSchema: { type: "array" }, layout: "spaced" }), "[1, 2]")).toBe(true);
  expect(matchesGrammar(compileGrammar({ jsonSchema: { type: "array" }, layout: "free" }), "[ 1\n,2]")).toBe(true);
  expect(() => compileGrammar({} as never)).toThrow("one of jsonSchema, regex");
  expect(() => compileGrammar({ regex: "a", choice: ["a"] } as never)).toThrow("regex and choice");
  expect(() => compileGrammar({ regex: "a", rooot: "b" } as never)).toThrow("rooot");
  expect(() => compileGrammar({ regex: 1 } as never)).toThrow("to be a text");
  expect(() => jsonSchemaGrammar({}, { layout: "wide" as never })).toThrow("layout");
});

test("Zod's schemas give typed values", async () => {
  const person = structuredOutput(
    z.object({
      name: z.string().transform((name) => name.length),
      born: z.iso.date(),
      email: z.email().optional(),
      tags: z.array(z.enum(["a", "b"])).default([]),
      kind: z.discriminatedUnion("k", [
        z.object({ k: z.literal("x") }),
        z.object({ k: z.literal("y"), v: z.int().min(3) }),
      ]),
    }),
  );
  const text = '{"name":"Ahab","born":"1805-02-28","kind":{"k":"y","v":3}}';
  expect(matchesGrammar(person.grammar, text)).toBe(true);
  expect(matchesGrammar(person.grammar, text.replace('"v":3', '"v":2'))).toBe(false);
  expect(matchesGrammar(person.grammar, text.replace('"v":3', '"v":3,"w":1'))).toBe(false);
  const { name, tags }: { name: number; tags: ("a" | "b")[] } = await person.parse(text);
  expect([name, tags]).toEqual([4, []]);
  await expect(person.parse("{}")).rejects.toThrow("a value that meets the schema; received name");
  await expect(person.parse('{"na')).rejects.toThrow("a whole JSON text");
  expect(() => structuredOutput({} as never)).toThrow("Standard Schema");
});

test.each([
  ["gpt2", "Ġthe", " the"],
  ["llama2", "▁the", " the"],
  ["llama2", "<0x0A>", "\n"],
  ["gemma", "▁the", " the"],
  ["unigram-scripts", "▁", " "],
])("bytes of tokens of %s: %s", (kind, token, text) => {
  const file = fileURLToPath(new URL(`../../../golden/tokenizers/kinds/${kind}.tokenizer.json`, import.meta.url));
  const json = JSON.parse(readFileSync(file, "utf8"));
  const { vocab } = json.model;
  const id = Array.isArray(vocab) ? vocab.findIndex(([piece]: [string]) => piece === token) : vocab[token];
  expect(new TextDecoder().decode(tokenBytes(json)[id])).toBe(text);
  for (const { id: added, special } of json.added_tokens) expect(tokenBytes(json)[added] === undefined).toBe(special);
});

test("tokens that are not put one behind the other", () => {
  expect(() => tokenBytes({ decoder: { type: "WordPiece" }, model: { vocab: {} } })).toThrow("the decoder WordPiece");
});
