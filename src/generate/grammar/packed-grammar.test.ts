/** A grammar that another thread made is the same grammar. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { randomNumbers } from "../../testing/fuzz/random.ts";
import { Tokenizer } from "../../tokenizers/index.ts";
import { compileGrammar, type Grammar, type GrammarSource, TokenGrammar, TokenVocabulary } from "../index.ts";
import { buffersOf, packedBytes, packGrammar, unpackGrammar } from "./packed-grammar.ts";
import { writableGrammar } from "./token-grammar.ts";
import { idsOf } from "./token-mask.ts";

const golden = (name: string) => fileURLToPath(new URL(`../../../golden/${name}`, import.meta.url));

async function handedOver(grammar: Grammar, alikeBytes = 16): Promise<Grammar> {
  const packed = packGrammar(grammar, alikeBytes);
  const bytes = packedBytes(packed);
  const copy = structuredClone(packed, { transfer: buffersOf(packed) });
  expect(packedBytes(copy)).toBe(bytes);
  return unpackGrammar(copy);
}

const sources: GrammarSource[] = [
  { choice: ["", "yes", "日本"] },
  { regex: "(?:[a-z]{2,90}|\\d+(\\.\\d+)?) x*" },
  { gbnf: 'root ::= root "+" term | term\nterm ::= [0-9]+ | "(" root ")"' },
  { lark: 'start: NAME ("," NAME)*\n%import common.WORD -> NAME\n%ignore " "' },
  { jsonSchema: true },
  {
    jsonSchema: {
      type: "object",
      properties: {
        name: { type: "string", minLength: 2, maxLength: 2000 },
        note: { type: "string" },
        code: { type: "string", pattern: "^[A-Z]{2}\\d*$", maxLength: 90 },
        tags: { type: "array", items: { type: "string", minLength: 1 } },
      },
      required: ["name"],
    },
  },
];

test.each(sources)("%j", async (source) => {
  const grammar = compileGrammar(source);
  expect(await handedOver(grammar)).toEqual(grammar);
});

test("schemas of the suite", async () => {
  const { drafts } = JSON.parse(gunzipSync(readFileSync(golden("json-schema.json.gz"))).toString()) as {
    drafts: Record<string, Record<string, { schema: unknown }[]>>;
  };
  const schemas = Object.values(drafts["draft2020-12"])
    .flatMap((groups) => groups.map(({ schema }) => schema))
    .filter((_, i) => i % 4 === 0);
  let count = 0;
  for (const jsonSchema of schemas) {
    let grammar: Grammar;
    try {
      grammar = compileGrammar({ jsonSchema });
    } catch {
      continue; // what is refused has no grammar
    }
    expect(await handedOver(grammar)).toEqual(grammar);
    count++;
  }
  expect(count).toBeGreaterThan(50);
});

test.each(["bpe-700.tokenizer.json", "kinds/llama2.tokenizer.json"])("the same tokens follow, %s", async (file) => {
  const vocabulary = TokenVocabulary.of(await Tokenizer.open(golden(`tokenizers/${file}`)));
  const random = randomNumbers(1);
  for (const source of sources.slice(1)) {
    const grammar = writableGrammar(compileGrammar(source), vocabulary.characters);
    const ends = [vocabulary.size];
    const [plain, other] = [grammar, await handedOver(grammar, vocabulary.tries[0].maxBytes)].map((each) =>
      new TokenGrammar(each, vocabulary, ends, { isWritable: true }).start(),
    );
    for (let i = 0; i < 40 && !plain.isComplete; i++) {
      const mask = plain.mask(200 - i);
      expect(other.mask(200 - i)).toEqual(mask);
      const ids = idsOf(mask.bits);
      const id = ids[Math.floor(random() * ids.length)];
      plain.accept(id);
      other.accept(id);
    }
  }
});
