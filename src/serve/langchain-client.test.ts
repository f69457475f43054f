/** LangChain's classes for OpenAI's API, unmodified. */
import { AIMessageChunk, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI, type ChatOpenAIFields, OpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type ClientServer, clientServer } from "../testing/client-server.ts";

let clients: ClientServer;
beforeAll(async () => {
  clients = await clientServer();
});
afterAll(() => clients.server.close());

const shared = () => ({ apiKey: "none", maxRetries: 0, configuration: { baseURL: clients.baseURL } });
const chat = (model: string, fields: ChatOpenAIFields = {}) => new ChatOpenAI({ ...shared(), model, ...fields });
const call = '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>';
const add = tool(async ({ a, b }: { a: number; b: number }) => String(a + b), {
  name: "add",
  description: "the sum of two numbers",
  schema: z.object({ a: z.number(), b: z.number() }),
});
const verdict = z.object({ kind: z.enum(["whale", "ship"]), isSure: z.boolean() });

describe("a chat", () => {
  test("is answered, with the usage and the reason of its end", async () => {
    clients.generator.text = "Call me Ishmael. And more";
    const model = chat("scripted", {
      temperature: 0.5,
      topP: 0.9,
      maxTokens: 50,
      stop: [" And"],
      frequencyPenalty: 0.1,
    });
    const answer = await model.invoke([new SystemMessage("You write novels."), new HumanMessage("Begin.")]);
    expect([answer.content, answer.response_metadata.finish_reason]).toEqual(["Call me Ishmael.", "stop"]);
    expect(answer.usage_metadata?.output_tokens).toBeGreaterThanOrEqual("Call me Ishmael.".length);
  });

  test("is streamed, with the usage at the end", async () => {
    clients.generator.text = "Call me Ishmael.";
    let whole = new AIMessageChunk("");
    let pieces = 0;
    for await (const piece of await chat("scripted").stream("Begin.")) {
      whole = whole.concat(piece);
      pieces++;
    }
    expect(whole.content).toBe("Call me Ishmael.");
    expect(pieces).toBeGreaterThan(2);
    expect(whole.usage_metadata?.output_tokens).toBe(16);
  });

  test("is a part of a chain, and of a batch", async () => {
    clients.generator.text = "Ahab.";
    const chain = ChatPromptTemplate.fromTemplate("Who is {name}?").pipe(chat("scripted"));
    const answers = await chain.batch([{ name: "the captain" }, { name: "the mate" }]);
    expect(answers.map(({ content }) => content)).toEqual(["Ahab.", "Ahab."]);
  });

  test("tells log probabilities", async () => {
    const answer = await chat("random", { logprobs: true, topLogprobs: 2, maxTokens: 3 }).invoke("Begin.");
    const { content } = answer.response_metadata.logprobs as { content: { top_logprobs: object[] }[] };
    expect(content.map(({ top_logprobs: top }) => top.length)).toEqual([2, 2, 2]);
  });

  test("goes by the Responses API where that is asked for", async () => {
    clients.generator.text = "Call me Ishmael.";
    const model = chat("scripted", { useResponsesApi: true });
    expect((await model.invoke("Begin.")).text).toBe("Call me Ishmael.");
    let text = "";
    for await (const piece of await model.stream("Begin.")) text += piece.text;
    expect(text).toBe("Call me Ishmael.");
  });
});

describe("tools", () => {
  test("are bound, called, and their results go back", async () => {
    clients.generator.text = call;
    const model = chat("scripted").bindTools([add]);
    const question = new HumanMessage("2 + 3?");
    const answer = await model.invoke([question]);
    expect(answer.tool_calls).toMatchObject([{ name: "add", args: { a: 2, b: 3 } }]);
    const result = await add.invoke(answer.tool_calls?.[0] as never);
    expect(result).toBeInstanceOf(ToolMessage);
    clients.generator.text = "It is 5.";
    expect((await model.invoke([question, answer, result as ToolMessage])).content).toBe("It is 5.");
  });

  test("are called in a stream", async () => {
    clients.generator.text = call;
    let whole = new AIMessageChunk("");
    for await (const piece of await chat("scripted").bindTools([add]).stream("2 + 3?")) whole = whole.concat(piece);
    expect(whole.tool_calls).toMatchObject([{ name: "add", args: { a: 2, b: 3 } }]);
  });
});

describe("structured output", () => {
  test.each(["jsonSchema", "functionCalling"] as const)("by %s, by any model", async (method) => {
    const model = chat("random", { temperature: 1 }).withStructuredOutput(verdict, { method, strict: true });
    const object = await model.invoke("What is it?");
    expect(verdict.parse(object)).toEqual(object);
  });

  test("by jsonMode, and with the message that it was read from", async () => {
    clients.generator.text = '{"kind": "whale", "isSure": true}';
    const model = chat("scripted").withStructuredOutput(verdict, { method: "jsonMode", includeRaw: true });
    const { parsed, raw } = await model.invoke("What is it, as JSON?");
    expect([parsed, raw.content]).toEqual([{ kind: "whale", isSure: true }, clients.generator.text]);
  });
});

test("texts are continued by the older endpoint", async () => {
  const model = new OpenAI({ ...shared(), model: "random", maxTokens: 5, temperature: 0 });
  const text = await model.invoke("Call me");
  expect(text).toHaveLength(5);
  let streamed = "";
  for await (const piece of await model.stream("Call me")) streamed += piece;
  expect(streamed).toBe(text);
});

test("vectors are those of the model", async () => {
  const texts = ["It was a dark and stormy night.", "The landlord of the inn"];
  const expected = await clients.vectorsOf(texts);
  const closeTo = (vector: readonly number[]) => vector.map((value) => expect.closeTo(value, 5));
  const embeddings = new OpenAIEmbeddings({ ...shared(), model: "bert" });
  expect(await embeddings.embedDocuments(texts)).toEqual(expected.map(closeTo));
  expect(await embeddings.embedQuery(texts[1])).toEqual(closeTo(expected[1]));
});

test("errors are the server's, in its words", async () => {
  await expect(chat("absent").invoke("?")).rejects.toMatchObject({
    status: 404,
    message: expect.stringMatching(/absent/),
  });
});
