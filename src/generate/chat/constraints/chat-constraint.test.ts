/** Whatever a model writes, answers have their form: models here are random. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { Tokenizer } from "../../../tokenizers/index.ts";
import { jsonSchemaGrammar } from "../../grammar/json-schema/json-schema.ts";
import { TokenPicker } from "../../token-picker.ts";
import { ChatAnswer } from "../events.ts";
import { toolFormat } from "../formats/detect.ts";
import { type ToolFormatName, toolFormatNames } from "../formats/tool-format.ts";
import { keptStream } from "../kept-stream.ts";
import { type ChatPlan, planChat, readToolRequest } from "../plan.ts";
import type { ReasoningFormat } from "../reasoning.ts";
import { type ChatConstraintOptions, chatConstraint } from "./chat-constraint.ts";

const search = {
  type: "object",
  properties: {
    query: { type: "string" },
    limit: { type: "integer", minimum: 1, maximum: 50 },
    exact: { type: "boolean" },
    order: { type: "string", enum: ["up", "down"] },
    place: { $ref: "#/$defs/place" },
    tags: { type: "array", items: { type: "string" }, maxItems: 2 },
  },
  required: ["query", "limit"],
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
}

/** What a random model writes. Its wish to come to an end grows, whatever that takes. */
async function written({ seed, end, mostTokens = 2000, ...options }: Writing) {
  const { tokenizer, plan } = options;
  const ends = [end, ...plan.endTokens].map((text) => tokenizer.tokenToId(text)!);
  const constraint = chatConstraint(options);
  const model = { config: { eosTokenId: ends }, generationConfig: {} };
  const picker = new TokenPicker(model, [0], [0], { seed, constraint, doSample: true });
  const size = 2 + Math.max(...ends, tokenizer.vocabSize, ...tokenizer.specialTexts.map((t) => tokenizer.tokenToId(t)!));
  const closing = Array.from({ length: size }, (_, id) => {
    const token = tokenizer.idToToken(id) ?? "";
    return ends.includes(id) || /["}\])<>]/.test(token) ? 1 : token.length > 1 ? -0.5 : 0;
  });
  const stream = keptStream(tokenizer, plan.keptTokens);
  const ids: number[] = [];
  let text = "";
  let state = seed + 1;
  let isEnded = false;
  while (!isEnded && ids.length < mostTokens) {
    const logits = Float32Array.from(closing, (wish) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state / 2 ** 32) * 4 + (wish * ids.length) / 40;
    });
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

function planOf(
  tokenizer: Tokenizer,
  { format, reasoning, prompt = "", ...request }: {
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

function expectCalls({ text, isEnded, answer }: Awaited<ReturnType<typeof written>>, most = Number.POSITIVE_INFINITY) {
  expect([text, isEnded, answer.content, answer.calls.length > 0]).toEqual([text, true, "", true]);
  expect(answer.calls.length).toBeLessThanOrEqual(most);
  for (const call of answer.calls) {
    expect([text, call.isComplete]).toEqual([text, true]);
    const values = JSON.parse(call.arguments);
    expect([text, values, ajv.validate(schemas[call.name], values)]).toEqual([text, values, true]);
  }
}

const ends: Record<string, string> = { qwen2: "<|im_end|>", llama3: "<|eot_id|>", gpt2: "<|endoftext|>", llama2: "</s>" };
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
