// @ts-check
/**
 * What grammars cost beside a model: the time to make one, and for each token of an answer the mask and its use. Tokens
 * are drawn by a model that knows nothing, and by one that writes a certain text. usage: node bench/grammar.mjs
 * TOKENIZER..., each a tokenizer.json or a .gguf file. Times are milliseconds of the processor.
 */
import { constrain, jsonSchemaGrammar, regexGrammar, TokenGrammar, TokenVocabulary } from "../dist/generate/index.js";
import { Tokenizer } from "../dist/tokenizers/index.js";

const person = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 200 },
    age: { type: "integer", minimum: 0, maximum: 150 },
    email: { type: "string", format: "email" },
    tags: { type: "array", items: { type: "string" }, maxItems: 5 },
    address: {
      type: "object",
      properties: { street: { type: "string" }, zip: { type: "string", pattern: "^[0-9]{5}$" } },
      required: ["street"],
      additionalProperties: false,
    },
  },
  required: ["name", "age", "email"],
  additionalProperties: false,
};
const tree = {
  $defs: {
    node: {
      type: "object",
      properties: { value: { type: "number" }, children: { type: "array", items: { $ref: "#/$defs/node" } } },
      required: ["value", "children"],
      additionalProperties: false,
    },
  },
  $ref: "#/$defs/node",
};
/** @type {[string, () => import("../dist/generate/index.js").Grammar, string][]} */
const cases = [
  [
    "any JSON",
    () => jsonSchemaGrammar(true),
    '{"title":"Moby-Dick; or, The Whale","year":1851,"chapters":["Loomings.","The Carpet-Bag."]}',
  ],
  [
    "person",
    () => jsonSchemaGrammar(person),
    '{"name":"Ishmael, some years ago - never mind how long precisely","age":32,"email":"ishmael@pequod.example","tags":["sea","whale"],"address":{"street":"The Spouter-Inn, New Bedford"}}',
  ],
  [
    "tree",
    () => jsonSchemaGrammar(tree),
    '{"value":1.5,"children":[{"value":2,"children":[]},{"value":-3e2,"children":[{"value":4,"children":[]}]}]}',
  ],
  ["date by regex", () => regexGrammar("\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])"), "1851-10-18"],
  [
    "prose by regex",
    () => regexGrammar("(?:[^.!?]{1,200}[.!?] ?){1,3}"),
    "Call me Ishmael. Some years ago, having little money, I thought I would sail about a little.",
  ],
];

const now = () => process.cpuUsage().user / 1000;

const spread = (/** @type {number[]} */ times) => {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (/** @type {number} */ share) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))].toFixed(3);
  const mean = (times.reduce((a, b) => a + b, 0) / times.length).toFixed(3);
  return `mean ${mean}, median ${at(0.5)}, P99 ${at(0.99)} of ${times.length}`;
};

/** @param {Int32Array | number[]} ids @param {() => number} random */
function draw(ids, random) {
  return ids[Math.floor(random() * ids.length)];
}

let seed = 1;
const random = () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
};

for (const path of process.argv.slice(2)) {
  const tokenizer = await Tokenizer.open(path);
  const started = now();
  const vocabulary = TokenVocabulary.of(tokenizer);
  const end = tokenizer.endOfTextId ?? 0;
  console.log(`${path}: ${vocabulary.size} tokens, made ready in ${(now() - started).toFixed(0)} ms`);
  for (const [name, make, text] of cases) {
    const began = now();
    const grammar = make();
    const compiled = now() - began;
    const tokens = new TokenGrammar(grammar, vocabulary, [end]);
    /** @type {number[]} */
    const first = [];
    /** @type {number[]} */
    const again = [];
    const ids = await tokenizer.encode(text, { addSpecialTokens: false });
    const logits = new Float32Array(vocabulary.size);
    for (const times of [first, again]) {
      const constraint = tokens.start();
      for (const id of [...ids, end]) {
        const before = now();
        constrain(logits, constraint.mask());
        if (!constraint.allows(id)) throw new Error(`${name}: ${tokenizer.idToToken(id)} is not allowed`);
        constraint.accept(id);
        times.push(now() - before);
      }
    }
    /** @type {number[]} */
    const wild = [];
    for (let text = 0; text < 5; text++) {
      const constraint = tokens.start();
      for (let i = 0; i < 200 && !constraint.isComplete; i++) {
        const before = now();
        const mask = constraint.mask();
        constrain(logits, mask);
        const spent = now() - before;
        const allowed = [...logits.keys()].filter((id) => (mask.bits[id >>> 5] >>> (id & 31)) & 1);
        const id = draw(allowed, random);
        const moment = now();
        constraint.accept(id);
        wild.push(spent + now() - moment);
      }
    }
    console.log(`  ${name}: grammar in ${compiled.toFixed(1)}, ${grammar.automata.length} rules`);
    console.log(`    a text: ${spread(first)}; the same again: ${spread(again)}`);
    console.log(`    random tokens: ${spread(wild)}`);
  }
}
