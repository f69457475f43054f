/** What a thread makes is what would be made beside it: vocabularies, grammars, and refusals. */
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { randomNumbers } from "../../testing/fuzz/random.ts";
import { Tokenizer } from "../../tokenizers/index.ts";
import { chatConstraint } from "../chat/constraints/chat-constraint.ts";
import { type ToolFormatName, toolFormatNames } from "../chat/formats/tool-format.ts";
import { planChat, readToolRequest } from "../chat/plan.ts";
import { compileGrammar, type GrammarSource } from "../grammar/compile-grammar.ts";
import { markedVocabulary, tokenMarks, vocabularySource } from "../grammar/marked-vocabulary.ts";
import { idsOf } from "../grammar/token-mask.ts";
import { TokenVocabulary, type VocabularyTables } from "../grammar/vocabulary.ts";
import { type AnswerFault, type JobAnswer, type JobMessage, jobResult, runJob } from "./jobs.ts";
import { AnswerGrammars, type AskedAnswer, grammarTask, type PackedTask, taskKey, taskMarks } from "./tasks.ts";

const tokenizerOf = (kind: string) =>
  Tokenizer.open(fileURLToPath(new URL(`../../../golden/tokenizers/kinds/${kind}.tokenizer.json`, import.meta.url)));
const [gpt2, llama2] = await Promise.all([tokenizerOf("gpt2"), tokenizerOf("llama2")]);

/** What a message comes to, as if it went from thread to thread. */
function run<T>(message: JobMessage): T {
  const { answer, transfer } = runJob(structuredClone(message));
  return jobResult(structuredClone(answer, { transfer }) as JobAnswer<T>);
}

async function grammarsOf(tokenizer: Tokenizer, asked: AskedAnswer): Promise<AnswerGrammars> {
  const task = grammarTask(asked)!;
  const source = vocabularySource(tokenizer, taskMarks(task));
  const vocabulary = new TokenVocabulary(run<VocabularyTables>({ source }));
  const { characters, tries } = vocabulary;
  const job = { task, marks: tokenMarks(source), characters, alikeBytes: tries[0].maxBytes };
  return AnswerGrammars.of(task, run<PackedTask>(job), vocabulary);
}

test.each(["gpt2", "llama2", "qwen2", "t5"])("the vocabulary of %s", async (kind) => {
  const tokenizer = await tokenizerOf(kind);
  const marks = ["<tool_call>", "<|endoftext|>", "</s>"];
  const tables = run<VocabularyTables>({ source: vocabularySource(tokenizer, marks) });
  expect(new TokenVocabulary(tables)).toEqual(markedVocabulary(tokenizer, marks).vocabulary);
});

test("a tokenizer whose tokens are no bytes of a text is refused", async () => {
  const source = vocabularySource(await tokenizerOf("bert-uncased"), []);
  expect(() => run({ source })).toThrow("a decoder that puts tokens one behind the other");
});

const search = {
  type: "object",
  properties: { query: { type: "string", maxLength: 30 }, limit: { type: "integer", minimum: 1, maximum: 50 } },
  required: ["query"],
  additionalProperties: false,
};
const tools = [{ type: "function", function: { name: "search", parameters: search, strict: true } }];
const reasoning = { begin: "<think>", end: "</think>" };
const content: GrammarSource = { jsonSchema: search };

function planOf(format: ToolFormatName | undefined, toolChoice?: string) {
  const request = format && readToolRequest({ tools, toolChoice });
  const { specialTexts } = gpt2;
  return planChat({ template: undefined, specialTexts, prompt: "", format, reasoning, request });
}

describe("answers are held as they are by chatConstraint", () => {
  test.each<[string, AskedAnswer]>([
    ...toolFormatNames.map((name): [string, AskedAnswer] => [`${name}, strict`, { plan: planOf(name) }]),
    ...toolFormatNames.map((name): [string, AskedAnswer] => [`${name}, required`, { plan: planOf(name, "required") }]),
    ["content after thoughts", { plan: planOf(undefined), content }],
    ["content, or calls", { plan: planOf("hermes"), content, thinkingBudget: 2 }],
    ["thoughts with a budget", { plan: planOf(undefined), thinkingBudget: 1 }],
  ])("%s", async (_, asked) => {
    const options = { ...asked, plan: asked.plan!, content: asked.content && compileGrammar(asked.content) };
    for (const tokenizer of [gpt2, llama2]) {
      const ends = [0];
      const plain = chatConstraint({ ...options, tokenizer })!(ends);
      const other = (await grammarsOf(tokenizer, asked)).constraint(asked.thinkingBudget)(ends);
      for (let i = 0; i < 25 && !plain.isComplete; i++) {
        const mask = plain.mask(300 - i);
        expect(other.mask(300 - i)).toEqual(mask);
        const ids = mask ? idsOf(mask.bits) : [7];
        const id = ids[(31 * i) % ids.length];
        plain.accept(id);
        other.accept(id);
      }
    }
  });
});

test("what needs no grammar has no task", () => {
  expect(grammarTask({})).toBeUndefined();
  expect(grammarTask({ plan: planOf(undefined) })).toBeUndefined();
  expect(grammarTask({ thinkingBudget: 3 })).toBeUndefined();
});

test("tasks have one key where they say the same", () => {
  const asked: AskedAnswer[] = [
    { content },
    { content: { regex: "a" } },
    { content: { gbnf: "a" } },
    { plan: planOf("hermes") },
    { plan: planOf("hermes", "required") },
    { plan: planOf("llama3") },
    { plan: planOf("hermes"), content },
    { plan: planOf(undefined), thinkingBudget: 1 },
  ];
  const keys = asked.map((each) => taskKey(grammarTask(each)!));
  expect(new Set(keys).size).toBe(asked.length);
  expect(taskKey(grammarTask({ plan: planOf("hermes") })!)).toBe(keys[3]);
});

describe("refusals are the same", () => {
  const refusalOf = (make: () => unknown): unknown => {
    try {
      make();
    } catch (error) {
      return error;
    }
    return undefined;
  };
  const marks = { bytes: new Map<string, readonly number[]>(), addsBlanks: false };
  const inThread = (source: GrammarSource) => {
    const task = grammarTask({ content: source })!;
    return run({ task, marks, characters: undefined, alikeBytes: 16 });
  };
  const expectSame = (source: GrammarSource) => {
    const error = refusalOf(() => compileGrammar(JSON.parse(JSON.stringify(source))));
    const other = refusalOf(() => inThread(source)) as AnswerFault | undefined;
    expect([other?.message, other?.part]).toEqual([(error as Error | undefined)?.message, error && "content"]);
    expect(other?.cause).toEqual(error);
    expect(other?.cause?.constructor).toBe(error?.constructor);
    return error !== undefined;
  };

  test.each<[GrammarSource]>([
    [{ regex: "(a" }],
    [{ regex: "(a|b)*a(a|b){20}" }],
    [{ choice: [] }],
    [{ gbnf: "root ::= root" }],
    [{ lark: "start: x" }],
    [{ jsonSchema: { type: "nonsense" } }],
    [{ jsonSchema: { $ref: "#/$defs/none" } }],
    [{ jsonSchema: { type: "string", enum: [1] } }],
    [{} as never],
  ])("%j", (source) => {
    expect(expectSame(source)).toBe(true);
  });

  test("of schemas with random faults", () => {
    const next = randomNumbers(7);
    const random = (below: number) => Math.floor(next() * below);
    const values = [null, -1, 1e9, "", "[", {}, [], true, { $ref: "#" }, ["string"], "object", 0.5];
    const keywords = [
      "type",
      "properties",
      "items",
      "maxLength",
      "pattern",
      "enum",
      "anyOf",
      "not",
      "required",
      "$ref",
    ];
    let numRefused = 0;
    for (let i = 0; i < 150; i++) {
      const jsonSchema: Record<string, unknown> = {};
      for (let k = random(3); k >= 0; k--)
        jsonSchema[keywords[random(keywords.length)]] = values[random(values.length)];
      if (expectSame({ jsonSchema })) numRefused++;
    }
    expect(numRefused).toBeGreaterThan(50);
  });
});
