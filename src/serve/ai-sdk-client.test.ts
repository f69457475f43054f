/** The AI SDK (`ai`, with its provider for servers like OpenAI's), unmodified. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  APICallError,
  embed,
  embedMany,
  generateObject,
  generateText,
  Output,
  stepCountIs,
  streamObject,
  streamText,
  tool,
} from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type ClientServer, clientServer } from "../testing/client-server.ts";

let clients: ClientServer;
let provider: ReturnType<typeof createOpenAICompatible>;
beforeAll(async () => {
  clients = await clientServer();
  provider = createOpenAICompatible({
    name: "kindling",
    baseURL: clients.baseURL,
    apiKey: "none",
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
});
afterAll(() => clients.server.close());

const scripted = () => provider("scripted");
const call = '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>';
const add = tool({
  description: "the sum of two numbers",
  inputSchema: z.object({ a: z.number(), b: z.number() }),
  execute: async ({ a, b }) => a + b,
});
const verdict = z.object({ kind: z.enum(["whale", "ship"]), isSure: z.boolean(), count: z.int().min(0).max(99) });

describe("texts", () => {
  test("are written whole, with every setting of the SDK", async () => {
    clients.generator.text = "Call me Ishmael. And more";
    const { text, finishReason, usage, response } = await generateText({
      model: scripted(),
      system: "You write novels.",
      prompt: "Begin.",
      maxOutputTokens: 50,
      temperature: 0.5,
      topP: 0.9,
      presencePenalty: 0.1,
      frequencyPenalty: 0.1,
      stopSequences: [" And"],
      seed: 3,
    });
    expect([text, finishReason]).toEqual(["Call me Ishmael.", "stop"]);
    expect(usage.outputTokens).toBeGreaterThanOrEqual("Call me Ishmael.".length);
    expect(usage.totalTokens).toBe((usage.inputTokens ?? 0) + (usage.outputTokens ?? 0));
    expect(response.modelId).toBe("scripted");
  });

  test("are streamed, with the usage at the end", async () => {
    clients.generator.text = "Call me Ishmael.";
    const result = streamText({ model: scripted(), messages: [{ role: "user", content: "Begin." }] });
    const pieces: string[] = [];
    for await (const piece of result.textStream) pieces.push(piece);
    expect(pieces.join("")).toBe("Call me Ishmael.");
    expect(pieces.length).toBeGreaterThan(1);
    expect([await result.finishReason, (await result.usage).outputTokens]).toEqual(["stop", 16]);
  });

  test("are continued by the older endpoint", async () => {
    const model = provider.completionModel("random");
    const { text, finishReason, usage } = await generateText({ model, prompt: "Call me", maxOutputTokens: 5, seed: 1 });
    expect([text.length, finishReason, usage.outputTokens]).toEqual([5, "length", 5]);
    const stream = streamText({ model, prompt: "Call me", maxOutputTokens: 5, seed: 1 });
    expect(await stream.text).toBe(text);
  });

  test("of a model that thinks have the thoughts apart", async () => {
    clients.generator.text = "<think>\nShort.\n</think>\n\nYes.";
    const whole = await generateText({ model: scripted(), prompt: "Well?" });
    const stream = streamText({ model: scripted(), prompt: "Well?" });
    for (const { text, reasoningText } of [
      whole,
      { text: await stream.text, reasoningText: await stream.reasoningText },
    ])
      expect([text, reasoningText?.trim()]).toEqual(["Yes.", "Short."]);
  });
});

describe("tools", () => {
  test("are called, and their results go back in the next step", async () => {
    clients.generator.text = call;
    const { steps } = await generateText({
      model: scripted(),
      prompt: "2 + 3?",
      tools: { add },
      stopWhen: stepCountIs(2),
      onStepFinish: () => {
        clients.generator.text = "It is 5.";
      },
    });
    expect(steps[0].toolResults).toMatchObject([{ toolName: "add", input: { a: 2, b: 3 }, output: 5 }]);
    expect([steps[0].finishReason, steps[1].text, steps[1].finishReason]).toEqual(["tool-calls", "It is 5.", "stop"]);
  });

  test("are called in a stream", async () => {
    clients.generator.text = call;
    const result = streamText({ model: scripted(), prompt: "2 + 3?", tools: { add } });
    expect(await result.toolResults).toMatchObject([{ toolName: "add", input: { a: 2, b: 3 }, output: 5 }]);
    expect(await result.finishReason).toBe("tool-calls");
  });

  test("that must be called are, by any model", async () => {
    const toolChoice = { type: "tool", toolName: "judge" } as const;
    const tools = { judge: tool({ inputSchema: verdict, strict: true }) };
    const { toolCalls } = await generateText({ model: provider("random"), prompt: "?", tools, toolChoice, seed: 1 });
    expect(toolCalls).toHaveLength(1);
    expect(verdict.parse(toolCalls[0].input)).toEqual(toolCalls[0].input);
  });
});

describe("objects", () => {
  test("follow a schema of zod, by any model, whole and streamed", async () => {
    const asked = { model: provider("random"), schema: verdict, prompt: "What is it?", seed: 2 };
    const { object } = await generateObject(asked);
    expect(verdict.parse(object)).toEqual(object);
    const stream = streamObject(asked);
    for await (const partial of stream.partialObjectStream) expect(partial).toBeTypeOf("object");
    expect(await stream.object).toEqual(object);
    const { output } = await generateText({ ...asked, output: Output.object({ schema: verdict }) });
    expect(output).toEqual(object);
  });

  test("of lists, choices and any form", async () => {
    const asked = { model: provider("random"), prompt: "What is it?", seed: 3 };
    const element = z.object({ kind: z.enum(["whale", "ship"]) });
    const list = await generateObject({ ...asked, output: "array", schema: element, maxOutputTokens: 1500 });
    for (const one of list.object) expect(element.parse(one)).toEqual(one);
    const choice = await generateObject({ ...asked, output: "enum", enum: ["whale", "ship"] });
    expect(["whale", "ship"]).toContain(choice.object);
    clients.generator.text = '{"any": [1]}';
    expect((await generateObject({ model: scripted(), prompt: "?", output: "no-schema" })).object).toEqual({
      any: [1],
    });
  });
});

test("vectors are those of the model", async () => {
  const values = ["It was a dark and stormy night.", "The landlord of the inn"];
  const expected = await clients.vectorsOf(values);
  const closeTo = (vector: readonly number[]) => vector.map((value) => expect.closeTo(value, 5));
  const model = provider.embeddingModel("bert");
  const { embeddings, usage } = await embedMany({ model, values });
  expect(embeddings).toEqual(expected.map(closeTo));
  expect(usage.tokens).toBeGreaterThan(values.length);
  expect((await embed({ model, value: values[1] })).embedding).toEqual(closeTo(expected[1]));
});

test("errors are the server's, in its words", async () => {
  const failure = await generateText({ model: provider("absent"), prompt: "?", maxRetries: 0 }).catch((error) => error);
  expect(APICallError.isInstance(failure)).toBe(true);
  expect(failure).toMatchObject({ statusCode: 404, isRetryable: false, message: expect.stringMatching(/absent/) });
});

test("a stream is given up", async () => {
  clients.generator.text = "word ".repeat(500);
  const controller = new AbortController();
  const result = streamText({ model: scripted(), prompt: "Go on.", abortSignal: controller.signal });
  const signal = new Promise<AbortSignal>((resolve) => {
    void (async () => {
      for await (const _ of result.textStream) {
        const { signal } = clients.generator.options.at(-1) ?? {};
        if (signal) resolve(signal);
        controller.abort();
      }
    })();
  });
  const aborted = await signal;
  if (!aborted.aborted) await new Promise((resolve) => aborted.addEventListener("abort", resolve));
  expect(aborted.aborted).toBe(true);
});
