/** Whatever a model writes, answers have their form: models here are random. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { randomNumbers } from "../../../testing/fuzz/random.ts";
import { Tokenizer } from "../../../tokenizers/index.ts";
import { jsonSchemaGrammar } from "../../grammar/json-schema/json-schema.ts";
import type { ConstraintMaker } from "../../grammar/pick-constraint.ts";
import { matchesGrammar } from "../../grammar/pushdown.ts";
import type { TokenConstraint } from "../../grammar/token-constraint.ts";
import { TokenPicker } from "../../token-picker.ts";
import { ChatAnswer } from "../events.ts";
import { toolFormat } from "../formats/detect.ts";
import { type ToolFormatName, toolFormatNames } from "../formats/tool-format.ts";
import { keptStream } from "../kept-stream.ts";
import { type ChatPlan, planChat, readToolRequest } from "../plan.ts";
import type { ReasoningFormat } from "../reasoning.ts";
import { AnswerConstraint } from "./answer-constraint.ts";
import { answerGrammar } from "./answer-grammar.ts";
import { type ChatConstraintOptions, chatConstraint } from "./chat-constraint.ts";

const search = {
  type: "object",
  properties: {
    query: { type: "string" },
    code: { type: "string", pattern: "^[A-Z]{2}[0-9]*$", maxLength: 6 },
    limit: { type: "integer", minimum: 1, maximum: 50 },
    exact: { type: "boolean" },
    order: { type: "string", enum: ["up", "down"] },
    place: { $ref: "#/$defs/place" },
    tags: { type: "array", items: { type: "string" }, maxItems: 2 },
  },
  required: ["query", "code", "limit"],
  additionalProperties: false,
  $defs: {
    place: { type: "object", properties: { x: { type: "number" } }, required: ["x"], additionalProperties: false },
  },
};
const now = { type: "object", properties: {}, additionalProperties: false };
const schemas: Record<string, object> = { search, now };
const toolList = (strict = false) =>
  Object.entries(schemas).map(([name, parameters]) => ({ type: "function", function: { name, parameters, strict } }));
const ajv = new Ajv2020({ strict: false });

/** A tokenizer of a kind with further special tokens. */
function tokenizerOf(kind: string, special: readonly string[]): Promise<Tokenizer> {
  const file = fileURLToPath(new URL(`../../../../golden/tokenizers/kinds/${kind}.tokenizer.json`, import.meta.url));
  const json = JSON.parse(readFileSync(file, "utf8"));
  const present = json.added_tokens.map(({ content }: { content: string }) => content);
  let id = Math.max(
    ...json.added_tokens.map((token: { id: number }) => token.id),
    ...Object.values(json.model.vocab as Record<string, number>),
  );
  for (const content of special.filter((text) => !present.includes(text)))
    json.added_tokens.push({
      ...{ id: ++id, content, special: true },
      ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
    });
  return Tokenizer.fromJson(json);
}

interface Writing extends Omit<ChatConstraintOptions, "tokenizer"> {
  tokenizer: Tokenizer;
  seed: number;
  end: string;
  mostTokens?: number;
  /** What the model wants to begin with. @default nothing */
  wanted?: string;
}

/** What a random model writes, as long as it likes; behind that it comes to an end as it may. */
async function written({ seed, end, mostTokens = 3000, wanted = "", ...options }: Writing) {
  const { tokenizer, plan } = options;
  const ends = [end, ...plan.endTokens].map((text) => tokenizer.tokenToId(text)!);
  const maker = chatConstraint(options);
  const ids: number[] = [];
  const constraint: ConstraintMaker = (endTokens) => {
    const inner = maker!(endTokens);
    return {
      mask: (numTokens) =>
        ids.length > LIKED_TOKENS && inner instanceof AnswerConstraint ? closingMask(inner) : inner.mask(numTokens),
      accept: (id) => inner.accept(id),
      get isComplete() {
        return inner.isComplete;
      },
    };
  };
  const model = { config: { eosTokenId: ends }, generationConfig: {} };
  const picker = new TokenPicker(model, [0], [0], { seed, constraint, doSample: true });
  picker.maxLength = mostTokens + 1;
  const size =
    2 + Math.max(...ends, tokenizer.vocabSize, ...tokenizer.specialTexts.map((t) => tokenizer.tokenToId(t)!));
  const closing = Array.from({ length: size }, (_, id) =>
    /["}\])<>]/.test(tokenizer.idToToken(id) ?? "") || ends.includes(id) ? 1 : 0,
  );
  const first = await tokenizer.encode(wanted, { addSpecialTokens: false });
  const stream = keptStream(tokenizer, plan.keptTokens);
  let text = "";
  const random = randomNumbers(seed + 1);
  let isEnded = false;
  while (!isEnded && ids.length < mostTokens) {
    const logits = Float32Array.from(closing, (wish) => random() * 4 + wish);
    if (ids.length > LIKED_TOKENS) for (const id of ends) logits[id] += 20;
    if (ids.length < first.length) logits[first[ids.length]] = 1000;
    const id = picker.next(logits);
    if (id !== undefined) {
      ids.push(id);
      text += await stream.push(id);
    }
    isEnded = id === undefined || picker.isComplete;
  }
  text += await stream.flush();
  const answer = new ChatAnswer();
  const parser = plan.parser();
  for (const event of [...parser.push(text), ...parser.finish()]) answer.add(event);
  return { text, ids, isEnded, answer };
}

const LIKED_TOKENS = 150;
const closingMask = (constraint: AnswerConstraint) => {
  const { text } = constraint as unknown as { text: TokenConstraint };
  return text.mayEnd ? text.mask() : text.closingMask();
};

function planOf(
  tokenizer: Tokenizer,
  {
    format,
    reasoning,
    prompt = "",
    ...request
  }: {
    format?: ToolFormatName;
    reasoning?: ReasoningFormat;
    prompt?: string;
    tools?: unknown;
    toolChoice?: unknown;
    parallelToolCalls?: boolean;
  },
): ChatPlan {
  const { specialTexts } = tokenizer;
  return planChat({ template: undefined, specialTexts, prompt, format, reasoning, request: readToolRequest(request) });
}

type Written = Pick<Awaited<ReturnType<typeof written>>, "text" | "isEnded" | "answer">;

function expectCalls({ text, isEnded, answer }: Written, most = Number.POSITIVE_INFINITY) {
  expect([text, isEnded, answer.content, answer.calls.length > 0]).toEqual([text, true, "", true]);
  expect(answer.calls.length).toBeLessThanOrEqual(most);
  expectValid({ text, isEnded, answer });
}

function expectValid({ text, isEnded, answer }: Written) {
  expect([text, isEnded, text.includes("\ufffd")]).toEqual([text, true, false]);
  for (const call of answer.calls) {
    expect([text, call.isComplete]).toEqual([text, true]);
    const values = JSON.parse(call.arguments);
    expect([text, values, ajv.validate(schemas[call.name], values)]).toEqual([text, values, true]);
  }
}

const think = { begin: "<think>", end: "</think>" };
const ends: Record<string, string> = {
  qwen2: "<|im_end|>",
  llama3: "<|eot_id|>",
  gpt2: "<|endoftext|>",
  llama2: "</s>",
};
const kinds = Object.keys(ends);

describe.each(toolFormatNames.map((name, i) => [name, i] as const))("%s", (format, i) => {
  const { keptTokens, endTokens = [] } = toolFormat(format);

  test.each([
    ["marks are tokens", [...keptTokens, ...endTokens]],
    ["marks are text", []],
  ])("calls that are required, %s", async (_, special) => {
    const kind = kinds[i % kinds.length];
    const tokenizer = await tokenizerOf(kind, special);
    const plan = planOf(tokenizer, { format, tools: toolList(), toolChoice: "required" });
    for (let seed = 0; seed < 4; seed++) {
      const answer = await written({ plan, tokenizer, seed, end: ends[kind] });
      expectCalls(answer);
      const marks = special.filter((text) => !endTokens.includes(text) && answer.text.includes(text));
      for (const mark of marks) expect(answer.ids).toContain(tokenizer.tokenToId(mark));
    }
    const choice = { type: "function", function: { name: "now" } };
    const named = planOf(tokenizer, { format, tools: toolList(), toolChoice: choice });
    const { answer } = await written({ plan: named, tokenizer, seed: 1, end: ends[kind] });
    expect(answer.calls).toMatchObject([{ name: "now", arguments: "{}", isComplete: true }]);
    const single = planOf(tokenizer, { format, tools: toolList(), toolChoice: "required", parallelToolCalls: false });
    for (let seed = 0; seed < 3; seed++)
      expectCalls(await written({ plan: single, tokenizer, seed, end: ends[kind] }), 1);
  });
});

/** Calls may begin after some text only where a marker says so. */
function wantedOf(name: ToolFormatName, trigger: string): string {
  if (toolFormat(name).begins.includes(trigger)) return `Hé there. ${trigger}`;
  if (name === "harmony") return `${trigger}functions.n`;
  return `${trigger}now${trigger === "" ? "\n" : trigger === "[" ? "(" : '"'}`;
}

describe.each(toolFormatNames.map((name, i) => [name, i] as const))("%s, strict tools", (format, i) => {
  test.each([[true], [false]])("text is free up to calls; marks are tokens: %s", async (hasTokens) => {
    // SentencePiece has no text with the sign that DeepSeek has in its marks
    const kind = format.startsWith("deepseek") ? "gpt2" : kinds[(i + 1) % kinds.length];
    const { keptTokens, endTokens = [] } = toolFormat(format);
    const tokenizer = await tokenizerOf(kind, hasTokens ? [...keptTokens, ...endTokens] : []);
    const plan = planOf(tokenizer, { format, tools: toolList(true) });
    for (let seed = 0; seed < 4; seed++) {
      const options = { plan, tokenizer, seed, end: ends[kind] };
      const free = await written({ ...options, wanted: "It is 5 o'clock [1], (x) {" });
      expect(free.text).toMatch(/^It is 5/);
      expectValid(free);
      const wanted = wantedOf(format, plan.grammar?.triggers[0] as string);
      const called = await written({ ...options, wanted });
      expect(called.answer.content.trim()).toBe(wanted.startsWith("H") ? "Hé there." : "");
      expect(called.answer.calls).not.toEqual([]);
      expectValid(called);
    }
  });
});

test("calls that no marker begins are held however they are spaced", async () => {
  const tokenizer = await tokenizerOf("gpt2", []);
  const marks = { bytes: new Map(), ends: [] };
  const isAllowed = (format: ToolFormatName, text: string) =>
    matchesGrammar(answerGrammar(planOf(tokenizer, { format, tools: toolList(true) }), marks).grammar, text);
  const good = '"now", "parameters": {}}';
  expect(isAllowed("llama3", `{"name": ${good}`)).toBe(true);
  expect(isAllowed("llama3", `Write {"name":${good}`)).toBe(true);
  expect(isAllowed("llama3", '{"name": "Ishmael"}')).toBe(true);
  for (const text of ['{"name":"now", "parameters": {"a": 1}}', ' [ { "name" : "now"', '```json\n{"name": "now"}\n```'])
    for (const format of ["llama3", "json"] as const) expect([text, isAllowed(format, text)]).toEqual([text, false]);
  expect(isAllowed("pythonic", "[now()]")).toBe(true);
  expect(isAllowed("pythonic", "[now](x), [ 1 ]")).toBe(true);
  expect(isAllowed("pythonic", "[ now (x=1)]")).toBe(false);
  expect(isAllowed("glm4", "now\n{}")).toBe(true);
  expect(isAllowed("glm4", "now or never\n")).toBe(true);
  expect(isAllowed("glm4", 'now\n{"a": 1}')).toBe(false);
});

test("a value in tags has nothing in it that ends it for a parser", async () => {
  const tokenizer = await tokenizerOf("gpt2", []);
  const plan = planOf(tokenizer, { format: "qwen3-coder", tools: toolList(), toolChoice: "required" });
  const { grammar } = answerGrammar(plan, { bytes: new Map(), ends: [] });
  const isAllowed = (query: string) => {
    const values = [`query>\n${query}`, "code>\nAB1", "limit>\n7"].map(
      (value) => `<parameter=${value}\n</parameter>\n`,
    );
    return matchesGrammar(grammar, `<tool_call>\n<function=search>\n${values.join("")}</function>\n</tool_call>`);
  };
  for (const query of ["", "a\n\nb", "</parameter>", "<parameter=", "</function>", "1 < 2"])
    expect([query, isAllowed(query)]).toEqual([query, true]);
  const endings = [
    "</parameter> <parameter=",
    "</parameter>\n\n</function>",
    "\n<parameter=",
    "</function></tool_call>",
  ];
  for (const query of [...endings, "\n</parameter>"]) expect([query, isAllowed(query)]).toEqual([query, false]);
});

test("thoughts, then calls; or content, or calls", async () => {
  const tokenizer = await tokenizerOf("qwen2", ["<think>", "</think>"]);
  const request = { format: "hermes", reasoning: think, tools: toolList() } as const;
  for (const prompt of ["<think>\n", ""])
    for (let seed = 0; seed < 5; seed++) {
      const plan = planOf(tokenizer, { ...request, prompt, toolChoice: "required" });
      const wanted = prompt === "" ? "<think>" : "";
      const answer = await written({ plan, tokenizer, seed, end: ends.qwen2, wanted, thinkingBudget: 20 });
      expectCalls(answer);
      expect(answer.text).toContain("</think>");
    }
  const content = jsonSchemaGrammar({ type: "array", items: { type: "boolean" } });
  const plan = planOf(tokenizer, { ...request, prompt: "" });
  const options = { plan, content, tokenizer, seed: 1, end: ends.qwen2 };
  expectCalls(await written({ ...options, wanted: "<tool_call>" }));
  const { answer } = await written({ ...options, wanted: "[" });
  expect(JSON.parse(answer.content)).toBeInstanceOf(Array);
});

test("thoughts and calls come to their end before the most tokens", async () => {
  const tokenizer = await tokenizerOf("qwen2", ["<think>", "</think>"]);
  const request = { format: "hermes", reasoning: think, prompt: "<think>\n", tools: toolList() } as const;
  const plan = planOf(tokenizer, { ...request, toolChoice: "required" });
  for (let seed = 0; seed < 5; seed++)
    expectCalls(await written({ plan, tokenizer, seed, end: ends.qwen2, mostTokens: 120 }));
});

test("gpt-oss thinks in a message, and answers in another", async () => {
  const { keptTokens, endTokens = [] } = toolFormat("harmony");
  const tokenizer = await tokenizerOf("gpt2", [...keptTokens, ...endTokens]);
  const request = { format: "harmony", tools: toolList(), toolChoice: "required" } as const;
  const wanted = "<|channel|>analysis<|message|>Well";
  const options = { tokenizer, seed: 3, end: ends.gpt2, wanted, thinkingBudget: 9 };
  const called = await written({ ...options, plan: planOf(tokenizer, request) });
  expectCalls(called, 1);
  expect(called.answer.reasoning).toMatch(/^Well/);
  const content = jsonSchemaGrammar(search);
  const plan = planOf(tokenizer, { format: "harmony" });
  const { answer } = await written({ ...options, plan, content });
  expect(ajv.validate(search, JSON.parse(answer.content))).toBe(true);
  expect(answer.reasoning).toMatch(/^Well/);
});

test("what is worked out is kept", async () => {
  const tokenizer = await tokenizerOf("gpt2", []);
  const tokensOf = (tools: object[]) => {
    const plan = planOf(tokenizer, { format: "hermes", tools, toolChoice: "required" });
    const { text } = chatConstraint({ plan, tokenizer })!([0]) as unknown as { text: { tokens: unknown } };
    return text.tokens;
  };
  expect(tokensOf(toolList())).toBe(tokensOf(toolList()));
  expect(tokensOf(toolList())).not.toBe(tokensOf(toolList().slice(1)));
});

const utf8 = (text: string) => !text.includes("\ufffd");

test("content that is held comes after the thoughts", async () => {
  const tokenizer = await tokenizerOf("qwen2", ["<think>", "</think>"]);
  const content = jsonSchemaGrammar(search);
  for (const isOpen of [true, false])
    for (let seed = 0; seed < 6; seed++) {
      const plan = planOf(tokenizer, { reasoning: think, prompt: isOpen ? "<think>\n" : "" });
      const { answer, text, isEnded } = await written({ plan, content, tokenizer, seed, end: ends.qwen2 });
      expect([text, isEnded, ajv.validate(search, JSON.parse(answer.content))]).toEqual([text, true, true]);
      expect(text.includes("</think>")).toBe(isOpen || text.includes("<think>"));
    }
});

test.each([
  ["the end is a token", ["<think>", "</think>"]],
  ["the end is text", []],
])("thoughts end, %s", async (_, special) => {
  const tokenizer = await tokenizerOf("gpt2", special);
  const content = jsonSchemaGrammar({ type: "integer", maximum: 99, minimum: 0 });
  const plan = planOf(tokenizer, { reasoning: think, prompt: "<think>\n" });
  for (const thinkingBudget of [0, 1, 7])
    for (let seed = 0; seed < 10; seed++) {
      const options = { plan, content, tokenizer, seed, end: ends.gpt2, thinkingBudget };
      const { answer, text, ids } = await written(options);
      expect([text, utf8(text)]).toEqual([text, true]);
      expect(answer.content).toMatch(/^\d+$/);
      const { length } = await tokenizer.encode("</think>", { addSpecialTokens: false });
      expect(ids.length).toBeLessThanOrEqual(thinkingBudget + 3 + Math.max(length, 8) + 6);
      if (thinkingBudget === 0) expect(text.startsWith("</think>")).toBe(true);
    }
});

test("a budget alone leaves all else free", async () => {
  const tokenizer = await tokenizerOf("gpt2", ["<think>", "</think>", "<tool_call>"]);
  const [begin, end, call] = ["<think>", "</think>", "<tool_call>"].map((text) => tokenizer.tokenToId(text)!);
  const eos = tokenizer.tokenToId("<|endoftext|>")!;
  const open = planOf(tokenizer, { reasoning: think, prompt: "<think>", format: "hermes", tools: toolList() });
  const constraint = chatConstraint({ plan: open, tokenizer, thinkingBudget: 3 })!([eos]);
  for (const id of [5, call, eos]) {
    expect(constraint.mask()).toBeUndefined();
    constraint.accept(id);
  }
  expect(constraint.mask()).toMatchObject({ count: 1 });
  constraint.accept(end);
  for (const id of [5, begin, 5, 5, 5, 5, call, eos]) {
    expect(constraint.mask()).toBeUndefined();
    constraint.accept(id);
  }
  const closed = planOf(tokenizer, { reasoning: think });
  const later = chatConstraint({ plan: closed, tokenizer, thinkingBudget: 0 })!([eos]);
  expect(later.mask()).toBeUndefined();
  later.accept(begin);
  expect(later.mask()).toMatchObject({ count: 1 });
  expect(chatConstraint({ plan: closed, tokenizer })).toBeUndefined();
  const plain = await tokenizerOf("gpt2", []);
  expect(chatConstraint({ plan: planOf(plain, {}), tokenizer: plain, thinkingBudget: 1 })).toBeUndefined();
  expect(() => chatConstraint({ plan: closed, tokenizer, thinkingBudget: 0.5 })).toThrow("thinkingBudget");
  expect(() => chatConstraint({ plan: closed, tokenizer, budget: 1 } as never)).toThrow("budget");
});
