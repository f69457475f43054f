// @ts-check
/**
 * What it costs to hold answers of a chat to their form: the time until a constraint is there, and for each token that
 * of its mask, the use of it and what follows a token. A text of the form is written twice, then random tokens are
 * drawn. usage: node bench/chat-constraint.mjs TOKENIZER..., each a tokenizer.json or a .gguf file. Times are in
 * milliseconds.
 */
import { chatConstraint, constrain, jsonSchemaGrammar, planChat, readToolRequest } from "../dist/generate/index.js";
import { Tokenizer } from "../dist/tokenizers/index.js";

const tool = (/** @type {number} */ i) => ({
  type: "function",
  function: {
    name: `tool_${i}`,
    strict: true,
    parameters: {
      type: "object",
      properties: {
        query: { type: "string", description: "What to look for." },
        limit: { type: "integer", minimum: 1, maximum: 100 },
        order: { enum: ["up", "down"] },
        place: { type: "object", properties: { x: { type: "number" }, y: { type: "number" } }, required: ["x"] },
        [`extra_${i}`]: { type: "array", items: { type: "string" } },
      },
      required: ["query"],
      additionalProperties: false,
    },
  },
});
const call =
  '<tool_call>\n{"name": "tool_3", "arguments": {"query": "whales near Nantucket, before 1851", "limit": 20, "order": "up", "place": {"x": 41.28, "y": -70.1}}}\n</tool_call>';
const thoughts = "<think>\nThe user asks of whales. I look for them near Nantucket, and then I answer.\n</think>\n\n";
const reasoning = { begin: "<think>", end: "</think>" };

/** @type {[string, number, { choice?: string, content?: boolean, thinks?: boolean }, string][]} */
const cases = [
  ["1 tool, required", 1, { choice: "required" }, call.replace("tool_3", "tool_0")],
  ["8 tools, required", 8, { choice: "required" }, call],
  ["128 tools, required", 128, { choice: "required" }, call],
  ["8 strict tools", 8, {}, `I look for whales, as you asked me to, and tell you of them.\n${call}`],
  ["8 tools, after thoughts", 8, { choice: "required", thinks: true }, thoughts + call],
  ["JSON, after thoughts", 0, { content: true, thinks: true }, `${thoughts}{"whales": ["Moby Dick"], "count": 1}`],
];
const content = jsonSchemaGrammar(
  {
    type: "object",
    properties: { whales: { type: "array", items: { type: "string" } }, count: { type: "integer" } },
    required: ["whales", "count"],
    additionalProperties: false,
  },
  { layout: "spaced" },
);

const spread = (/** @type {number[]} */ times) => {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  const mean = times.reduce((a, b) => a + b, 0) / times.length;
  return `mean ${mean.toFixed(3)}, median ${at(0.5).toFixed(3)}, P99 ${at(0.99).toFixed(3)} of ${times.length}`;
};

let seed = 1;
const random = () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
};

for (const path of process.argv.slice(2)) {
  const tokenizer = await Tokenizer.open(path);
  const end = tokenizer.endOfTextId ?? 0;
  console.log(`${path}: ${tokenizer.vocabSize} tokens`);
  for (const [name, count, { choice = "auto", content: isHeld, thinks }, text] of cases) {
    const tools = Array.from({ length: count }, (_, i) => tool(i));
    const request = count > 0 ? readToolRequest({ tools, toolChoice: choice }) : undefined;
    const { specialTexts } = tokenizer;
    const plan = planChat({
      ...{ template: undefined, specialTexts, prompt: "", format: "hermes", request },
      ...(thinks && { reasoning }),
    });
    const make = () => chatConstraint({ plan, tokenizer, ...(isHeld && { content }) })?.([end]);
    const began = performance.now();
    make();
    const madeAt = performance.now();
    make();
    const again = performance.now() - madeAt;
    console.log(`  ${name}: made in ${(madeAt - began).toFixed(1)}, again in ${again.toFixed(2)}`);
    const ids = await tokenizer.encode(text, { addSpecialTokens: false });
    const logits = new Float32Array(tokenizer.vocabSize);
    for (const what of ["a text", "the same again"]) {
      const constraint = make();
      /** @type {number[]} */
      const times = [];
      for (const id of ids) {
        const before = performance.now();
        const mask = constraint?.mask();
        if (mask) constrain(logits, mask);
        constraint?.accept(id);
        times.push(performance.now() - before);
      }
      console.log(`    ${what}: ${spread(times)}`);
    }
    /** @type {number[]} */
    const wild = [];
    for (let round = 0; round < 5; round++) {
      const constraint = make();
      for (let i = 0; i < 200 && constraint && !constraint.isComplete; i++) {
        const before = performance.now();
        const mask = constraint.mask();
        if (mask) constrain(logits, mask);
        const spent = performance.now() - before;
        const allowed = [...logits.keys()].filter((id) => !mask || (mask.bits[id >>> 5] >>> (id & 31)) & 1);
        const moment = performance.now();
        constraint.accept(allowed[Math.floor(random() * allowed.length)]);
        wild.push(spent + performance.now() - moment);
      }
    }
    console.log(`    random tokens: ${spread(wild)}`);
  }
}
