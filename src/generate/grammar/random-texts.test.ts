/** A model that knows nothing, under each grammar: what it writes always fits. */
import { fileURLToPath } from "node:url";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { beforeAll, describe, expect, test } from "vitest";
import { randomNumbers } from "../../testing/fuzz/random.ts";
import { Tokenizer } from "../../tokenizers/index.ts";
import {
  compileGrammar,
  constrain,
  type GrammarSource,
  type TokenConstraint,
  TokenGrammar,
  TokenVocabulary,
} from "../index.ts";

const golden = fileURLToPath(new URL("../../../golden/tokenizers/", import.meta.url));
const files = ["bpe-700", "kinds/llama2", "kinds/gpt2"];

/** A text of random tokens, of no more than some. At each the mask has exactly what leaves room to come to the end. */
function randomText(tokens: TokenGrammar, random: () => number): string {
  const constraint = tokens.start();
  const bytes: number[] = [];
  const { vocabulary } = tokens;
  const [end] = tokens.endTokens;
  const logits = new Float32Array(vocabulary.size + 3);
  const most = constraint.minBytes + 2 + Math.floor(30 * random());
  for (let left = most; left > 0; left--) {
    const mask = constraint.mask(left);
    for (let id = 0; id < logits.length; id++) logits[id] = random();
    constrain(logits, mask);
    const allowed = [...logits.keys()].filter((id) => logits[id] !== Number.NEGATIVE_INFINITY);
    expect(allowed.length).toBe(mask.count);
    const fitting = [...logits.keys()].filter((id) => constraint.allows(id));
    const inRoom = fitting.filter((id) => id === end || bytesBehind(constraint, id) <= left - 2);
    expect(allowed).toEqual(inRoom);
    expect(allowed.includes(end)).toBe(constraint.mayEnd);
    const id = allowed[Math.floor(random() * allowed.length)];
    constraint.accept(id);
    if (id === end) return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes));
    bytes.push(...vocabulary.bytesOf(id)!);
  }
  throw new Error("no end in time");
}

function bytesBehind(constraint: TokenConstraint, id: number): number {
  const copy = constraint.clone();
  copy.accept(id);
  return copy.minBytes;
}

const person = {
  type: "object",
  properties: {
    name: { type: "string", minLength: 2, maxLength: 20 },
    age: { type: "integer", minimum: 0, maximum: 150 },
    height: { type: "number", exclusiveMinimum: 0.5, maximum: 2.5, multipleOf: 0.01 },
    email: { type: "string", format: "email" },
    tags: { type: "array", items: { enum: ["a", "b", "c"] }, uniqueItems: true, minItems: 1 },
    kind: { oneOf: [{ type: "string", pattern: "^[A-Z]{2}\\d+$" }, { type: "null" }, { const: { x: [1, "y"] } }] },
  },
  required: ["name", "tags"],
};
const tree = {
  $defs: {
    node: {
      type: "object",
      properties: { v: { type: "number" }, next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] } },
      required: ["v", "next"],
      additionalProperties: false,
    },
  },
  $ref: "#/$defs/node",
};
const schemas: [string, object | boolean][] = [
  ["anything", true],
  ["person", person],
  ["tree", tree],
  [
    "if",
    {
      if: { properties: { a: { const: 1 } }, required: ["a"] },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: { required: ["b"] },
      properties: { a: { type: "integer" }, b: { type: "boolean" } },
      type: "object",
    },
  ],
  ["not", { type: ["string", "integer"], not: { enum: ["", "a", 0, 1] } }],
  [
    "allOf",
    {
      allOf: [
        { properties: { a: { type: "string" } }, required: ["a"] },
        { properties: { a: { maxLength: 3 }, b: { format: "date" } } },
      ],
      type: "object",
      unevaluatedProperties: false,
    },
  ],
  [
    "oneOf",
    {
      oneOf: [
        { type: "number", multipleOf: 3 },
        { type: "number", multipleOf: 5 },
      ],
    },
  ],
  [
    "contains",
    { type: "array", items: { type: ["integer", "null"] }, contains: { type: "null" }, minContains: 2, maxContains: 3 },
  ],
  [
    "patterns",
    {
      type: "object",
      patternProperties: { "^x": { type: "integer" }, y$: { minimum: 5 } },
      additionalProperties: false,
      maxProperties: 3,
    },
  ],
  ...[
    "date",
    "time",
    "date-time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uuid",
    "uri",
    "uri-reference",
    "json-pointer",
    "relative-json-pointer",
  ].map((format): [string, object] => [format, { type: "string", format }]),
];

describe.each(files)("%s", (file) => {
  let vocabulary: TokenVocabulary;
  let end: number;
  beforeAll(async () => {
    const tokenizer = await Tokenizer.open(`${golden}${file}.tokenizer.json`);
    vocabulary = TokenVocabulary.of(tokenizer);
    end = tokenizer.endOfTextId ?? tokenizer.tokenToId("</s>")!;
  });
  const tokensOf = (source: GrammarSource) => new TokenGrammar(compileGrammar(source), vocabulary, [end]);

  test.each(schemas)("JSON Schema: %s", (_, schema) => {
    const ajv = new Ajv2020({ strict: false, multipleOfPrecision: 6 });
    addFormats.default(ajv);
    const validate = ajv.compile(schema);
    for (const layout of ["compact", "spaced", "free"] as const) {
      const tokens = tokensOf({ jsonSchema: schema, layout });
      const random = randomNumbers(1);
      for (let i = 0; i < 5; i++) {
        const text = randomText(tokens, random);
        expect(validate(JSON.parse(text)), text).toBe(true);
      }
    }
  });

  test.each(["[a-f]+\\d{2,4}(?:x|y)?", "\\p{Lu}[^\\s]{0,5}", "^(?!no)(?=.*z).{3,9}$"])("regex: %s", (regex) => {
    const tokens = tokensOf({ regex });
    const random = randomNumbers(2);
    for (let i = 0; i < 10; i++) expect(randomText(tokens, random)).toMatch(new RegExp(`^(?:${regex})$`, "u"));
  });

  test("choice", () => {
    const choice = ["yes", "yes, indeed", "no", "日本"];
    const tokens = tokensOf({ choice });
    const random = randomNumbers(3);
    const texts = new Set(Array.from({ length: 40 }, () => randomText(tokens, random)));
    expect(choice).toEqual(expect.arrayContaining([...texts]));
    expect(texts.size).toBeGreaterThan(1);
  });

  test("GBNF and Lark", () => {
    const isBalanced = (text: string) => {
      let depth = 0;
      for (const sign of text) depth += sign === "(" ? 1 : sign === ")" ? -1 : 0;
      return depth === 0 && /^[()a]*$/.test(text);
    };
    const random = randomNumbers(4);
    const sources: GrammarSource[] = [
      { gbnf: 'root ::= root root | "(" root ")" | "a" | ""' },
      { lark: 'start: part*\npart: "(" start ")" | "a"' },
    ];
    for (const source of sources) {
      const tokens = tokensOf(source);
      for (let i = 0; i < 10; i++) expect(randomText(tokens, random)).toSatisfy(isBalanced);
    }
  });
});
