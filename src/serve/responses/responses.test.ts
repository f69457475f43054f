/** The Responses API, by OpenAI's official client. */
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { jsonPost } from "../../testing/json-post.ts";
import { addCall, callTemplate, lastPromptOf, scriptedModel, tinyServedModel } from "../../testing/served-model.ts";
import { createApp, type RunningServer, serve } from "../index.ts";

const model = scriptedModel(callTemplate);
const { generator } = model;
let server: RunningServer;
let client: OpenAI;
beforeAll(async () => {
  server = await serve(model, { port: 0 });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(() => server.close());

const tools: OpenAI.Responses.Tool[] = [
  { type: "function", name: "add", description: "Adds.", parameters: { type: "object" }, strict: false },
];
const request = { model: "scripted", input: "2 + 3?" };
const lastPrompt = () => lastPromptOf(model);

type Body = Omit<Partial<OpenAI.Responses.ResponseCreateParamsNonStreaming>, "stream" | "stream_options">;
/** The same answer, whole and streamed. */
async function both(text: string, more: Body = {}): Promise<OpenAI.Responses.Response[]> {
  generator.text = text;
  const whole = await client.responses.create({ ...request, ...more });
  const { output_parsed: _, ...streamed } = await client.responses.stream({ ...request, ...more }).finalResponse();
  return [whole, streamed as OpenAI.Responses.Response];
}

describe("answers", () => {
  test("are texts, with usage and the status of their end", async () => {
    for (const answer of await both("Five.", { metadata: { a: "b" }, temperature: 0.5 }))
      expect(answer).toMatchObject({
        object: "response",
        id: expect.stringMatching(/^resp_[0-9a-f]{32}$/),
        status: "completed",
        error: null,
        incomplete_details: null,
        model: "scripted",
        metadata: { a: "b" },
        temperature: 0.5,
        output_text: "Five.",
        output: [
          {
            type: "message",
            role: "assistant",
            status: "completed",
            content: [{ type: "output_text", text: "Five.", annotations: [] }],
          },
        ],
        usage: { input_tokens: 13, output_tokens: 5, total_tokens: 18, output_tokens_details: { reasoning_tokens: 0 } },
      });
    for (const answer of await both("Five.", { max_output_tokens: 2 }))
      expect(answer).toMatchObject({
        output_text: "Fi",
        status: "incomplete",
        incomplete_details: { reason: "max_output_tokens" },
        output: [{ status: "incomplete" }],
      });
    for (const answer of await both(""))
      expect(answer.output).toMatchObject([{ type: "message", content: [{ text: "" }] }]);
  });

  test("call tools", async () => {
    const called = {
      type: "function_call",
      name: "add",
      status: "completed",
      call_id: expect.stringMatching(/^call_/),
    };
    for (const answer of await both(`I add.\n${addCall}`, { tools }))
      expect(answer).toMatchObject({
        status: "completed",
        output: [{ content: [{ text: "I add." }] }, { ...called, arguments: expect.stringMatching(/{"a": ?5}/) }],
      });
    for (const answer of await both(addCall + addCall, { tools })) expect(answer.output).toHaveLength(2);
    for (const answer of await both(addCall + addCall, { tools, parallel_tool_calls: false }))
      expect(answer.output).toHaveLength(1);
    for (const answer of await both(addCall, { tools, tool_choice: { type: "function", name: "add" } }))
      expect(answer.output).toMatchObject([called]);
    const allowed = {
      type: "allowed_tools" as const,
      mode: "auto" as const,
      tools: [{ type: "function", name: "add" }],
    };
    for (const answer of await both(addCall, { tools, tool_choice: allowed }))
      expect(answer.output).toMatchObject([called]);
    for (const answer of await both(addCall, { tools, tool_choice: "none" })) expect(answer.output_text).toBe(addCall);
    for (const answer of await both(addCall.slice(0, -20), { tools, max_output_tokens: 50 }))
      expect(answer.output.at(-1)).toMatchObject({ type: "function_call", status: "incomplete" });
  });

  test("have thoughts apart, whose tokens are counted", async () => {
    const thinking = scriptedModel(callTemplate.replace("enable_thinking", "reasoning_effort"));
    const app = createApp(thinking);
    thinking.generator.text = "easy\n</think>\n\nfive";
    const answer = await post(app, { ...request, reasoning: { effort: "low" } });
    expect(answer.body).toMatchObject({
      output: [
        { type: "reasoning", summary: [], content: [{ type: "reasoning_text", text: "easy" }] },
        { type: "message", content: [{ text: "five" }] },
      ],
      reasoning: { effort: "low", summary: null },
      usage: { output_tokens: 19, output_tokens_details: { reasoning_tokens: expect.any(Number) } },
    });
    const { reasoning_tokens: thoughts } = answer.body.usage?.output_tokens_details ?? {};
    expect(thoughts).toBeGreaterThanOrEqual(4);
    expect(thoughts).toBeLessThanOrEqual(16);
  });

  test("say how probable their tokens are", async () => {
    const tiny = new OpenAI({ baseURL: `${tinyServer.url}/v1`, apiKey: "none", maxRetries: 0 });
    const body = {
      model: "tiny",
      input: "Hi",
      max_output_tokens: 3,
      temperature: 0,
      include: ["message.output_text.logprobs" as const],
      top_logprobs: 2,
    };
    const whole = await tiny.responses.create(body);
    const streamed = await tiny.responses.stream(body).finalResponse();
    for (const { output } of [whole, streamed]) {
      const [message] = output as OpenAI.Responses.ResponseOutputMessage[];
      const [{ logprobs = [], text }] = message.content as OpenAI.Responses.ResponseOutputText[];
      expect(logprobs.map(({ token }) => token).join("")).toBe(text);
      expect(logprobs[0].top_logprobs).toHaveLength(2);
    }
  });

  let tinyServer: RunningServer;
  beforeAll(async () => {
    tinyServer = await serve(tinyServedModel({ contextLength: 512 }), { port: 0 });
  });
  afterAll(() => tinyServer.close());

  test("follow a schema", async () => {
    const tiny = new OpenAI({ baseURL: `${tinyServer.url}/v1`, apiKey: "none", maxRetries: 0 });
    const Age = z.object({ age: z.number().int().min(0).max(99) });
    const { output_parsed: parsed } = await tiny.responses.parse({
      model: "tiny",
      input: "Hi",
      text: { format: zodTextFormat(Age, "age") },
    });
    expect(parsed).toEqual({ age: expect.any(Number) });
    const any = await tiny.responses.create({
      model: "tiny",
      input: "Hi",
      max_output_tokens: 4,
      text: { format: { type: "json_object" } },
    });
    expect(any.output_text).toMatch(/^\{/);
  });
});

test("a stream has all events, in OpenAI's order and numbered", async () => {
  generator.text = `Hm.\n${addCall}`;
  const names: string[] = [];
  let [numbers, json] = [[] as number[], ""];
  for await (const event of await client.responses.create({ ...request, tools, stream: true })) {
    if (event.type !== names.at(-1)) names.push(event.type);
    numbers.push(event.sequence_number);
    if (event.type === "response.function_call_arguments.delta") json += event.delta;
    if (event.type === "response.function_call_arguments.done") expect(event.arguments).toBe(json);
    if (event.type === "response.created") expect(event.response).toMatchObject({ status: "in_progress", output: [] });
  }
  expect(names.map((name) => name.replace("response.", ""))).toEqual([
    "created",
    "in_progress",
    "output_item.added",
    "content_part.added",
    "output_text.delta",
    "output_text.done",
    "content_part.done",
    "output_item.done",
    "output_item.added",
    "function_call_arguments.delta",
    "function_call_arguments.done",
    "output_item.done",
    "completed",
  ]);
  expect(numbers).toEqual(numbers.map((_, i) => i));
});

describe("a conversation", () => {
  test("goes on with what was said before, by its id", async () => {
    generator.text = "Five.";
    const first = await client.responses.create({ ...request, instructions: "Be brief." });
    generator.text = "Ten.";
    const second = await client.responses
      .stream({ ...request, input: "Twice?", previous_response_id: first.id })
      .finalResponse();
    expect(second.previous_response_id).toBe(first.id);
    expect(await lastPrompt()).toBe("user: 2 + 3?\nassistant: Five.\nuser: Twice?\n");
    await client.responses.create({
      ...request,
      input: "Thrice?",
      instructions: "Be!",
      previous_response_id: second.id,
    });
    expect(await lastPrompt()).toBe(
      "system: Be!\nuser: 2 + 3?\nassistant: Five.\nuser: Twice?\nassistant: Ten.\nuser: Thrice?\n",
    );
    const items = await client.responses.inputItems.list(second.id);
    expect(items.data).toMatchObject([
      { type: "message", role: "user", content: [{ type: "input_text", text: "Twice?" }] },
    ]);
    expect((await client.responses.retrieve(second.id)).output_text).toBe("Ten.");
    await client.responses.delete(first.id);
    await expect(client.responses.retrieve(first.id)).rejects.toThrow(OpenAI.NotFoundError);
    await client.responses.create({ ...request, previous_response_id: second.id }); // has all it needs
    await expect(client.responses.create({ ...request, previous_response_id: first.id })).rejects.toMatchObject({
      status: 400,
      code: "previous_response_not_found",
      param: "previous_response_id",
    });
  });

  test("calls a tool and gets its result", async () => {
    generator.text = `I add.\n${addCall}`;
    const first = await client.responses.create({ ...request, tools });
    const called = first.output[1] as OpenAI.Responses.ResponseFunctionToolCall;
    const result = { type: "function_call_output" as const, call_id: called.call_id, output: "8" };
    generator.text = "Eight.";
    await client.responses.create({ ...request, input: [result], previous_response_id: first.id });
    const byId = await lastPrompt();
    expect(byId).toMatch(/^user: 2 \+ 3\?\nassistant: I add\.<tool_call>\{"name": "add".*\}\ntool: 8\n$/);
    const user = { role: "user" as const, content: "2 + 3?" };
    await client.responses.create({
      ...request,
      input: [user, ...(first.output as OpenAI.Responses.ResponseInputItem[]), result],
      store: false,
    });
    expect(await lastPrompt()).toBe(byId);
    const references = first.output.map(({ id }) => ({ type: "item_reference" as const, id: id ?? "" }));
    await client.responses.create({ ...request, input: [user, ...references, result] });
    expect(await lastPrompt()).toBe(byId);
    await expect(client.responses.create({ ...request, previous_response_id: first.id })).rejects.toThrow(
      /a function_call_output for each function_call; call_\w+ has none/,
    );
    await expect(client.responses.create({ ...request, input: [result] })).rejects.toThrow(
      /a function_call further up/,
    );
  });

  test("has thoughts, instructions and parts", async () => {
    await client.responses.create({
      ...request,
      instructions: "Be brief.",
      input: [
        { role: "developer", content: "And kind." },
        { role: "user", content: [{ type: "input_text", text: "2" }] },
        { type: "reasoning", id: "rs_1", summary: [], content: [{ type: "reasoning_text", text: "(two) " }] },
        {
          type: "message",
          id: "msg_1",
          role: "assistant",
          status: "completed",
          content: [{ type: "output_text", text: "Two.", annotations: [] }],
        },
        { role: "assistant", content: "Or three." },
        {
          role: "user",
          content: [
            { type: "input_text", text: "+" },
            { type: "input_text", text: "3" },
          ],
        },
      ],
    });
    expect(await lastPrompt()).toBe(
      "system: Be brief.\n\nAnd kind.\nuser: 2\nassistant: (two) Two.\nassistant: Or three.\nuser: +\n3\n",
    );
  });

  test("loses its begin where truncation is auto, but no instructions", async () => {
    generator.text = "x";
    const turn = (i: number) => ({ role: "user" as const, content: `${i}`.padEnd(1000, "a") });
    const input = [{ role: "system" as const, content: "Sys." }, ...[1, 2, 3, 4, 5, 6].map(turn)];
    const cut = await client.responses.create({ ...request, input, truncation: "auto" });
    expect(cut.usage?.input_tokens).toBeLessThan(4096);
    expect((await lastPrompt()).match(/^\w+: \w+/gm)?.map((line) => line.slice(0, 7))).toEqual([
      "system:",
      "user: 3",
      "user: 4",
      "user: 5",
      "user: 6",
    ]);
    await expect(client.responses.create({ ...request, input })).rejects.toMatchObject({
      code: "context_length_exceeded",
      param: "input",
    });
    const tooLong = { ...request, input: "a".repeat(5000), truncation: "auto" as const };
    await expect(client.responses.create(tooLong)).rejects.toMatchObject({ code: "context_length_exceeded" });
  });

  test("is counted as it is read", async () => {
    generator.text = "x";
    const { usage, id } = await client.responses.create({ ...request, tools, instructions: "Be!" });
    expect(await client.responses.inputTokens.count({ ...request, tools, instructions: "Be!" })).toEqual({
      object: "response.input_tokens",
      input_tokens: usage?.input_tokens,
    });
    const more = await client.responses.inputTokens.count({ model: "scripted", previous_response_id: id });
    expect(more.input_tokens).toBe("user: 2 + 3?\nassistant: x\n".length);
  });
});

const patience = { timeout: 30_000 };
describe("in the background", () => {
  test("a response is written while others are, and asked for", async () => {
    generator.text = "Later.";
    const begun = await client.responses.create({ ...request, background: true });
    expect(begun).toMatchObject({ status: "queued", background: true, output: [] });
    const { status } = await vi.waitUntil(async () => {
      const now = await client.responses.retrieve(begun.id);
      return now.status === "completed" && now;
    }, patience);
    expect(status).toBe("completed");
    expect(await client.responses.cancel(begun.id)).toMatchObject({ output: [{ content: [{ text: "Later." }] }] });
  });

  test("it can be cancelled, and fails where the model does", async () => {
    const held = scriptedModel(callTemplate);
    held.generator.text = "x".repeat(2000);
    const app = createApp(held);
    const { body: begun } = await post(app, { ...request, background: true });
    const cancelled = await app.request(`/v1/responses/${begun.id}/cancel`, { method: "POST" });
    expect(await cancelled.json()).toMatchObject({ status: "cancelled" });
    const signal = await vi.waitUntil(() => held.generator.options.at(-1)?.signal ?? begun.id, patience);
    if (typeof signal === "object") expect(signal.aborted).toBe(true);
    expect(await (await app.request(`/v1/responses/${begun.id}`)).json()).toMatchObject({ status: "cancelled" });

    held.generator.text = "x";
    held.generator.failure = new Error("the card is gone");
    const { body: failing } = await post(app, { ...request, background: true });
    const failed = await vi.waitUntil(async () => {
      const now = (await (await app.request(`/v1/responses/${failing.id}`)).json()) as AnswerBody;
      return now.status === "failed" && now;
    }, patience);
    expect(failed.error).toEqual({ code: "server_error", message: expect.stringContaining("Its log says why") });
  });

  test("it is neither streamed nor forgotten", async () => {
    await expect(client.responses.create({ ...request, background: true, stream: true })).rejects.toThrow(/400 stream/);
    await expect(client.responses.create({ ...request, background: true, store: false })).rejects.toThrow(/400 store/);
    generator.text = "x";
    const { id } = await client.responses.create(request);
    await expect(client.responses.cancel(id)).rejects.toMatchObject({
      message: expect.stringContaining("Cannot cancel a synchronous response"),
      code: "response_not_cancellable",
    });
  });
});

type AnswerBody = OpenAI.Responses.Response & { error: { type: string; message: string } };
async function post(app: ReturnType<typeof createApp>, body: object) {
  const answer = await app.request("/v1/responses", jsonPost(body));
  return { status: answer.status, body: (await answer.json()) as AnswerBody };
}

describe("errors", () => {
  test("in a stream are the response's", async () => {
    generator.text = "Five";
    generator.failure = new Error("the card is gone");
    const failed = await client.responses.stream(request).finalResponse();
    generator.failure = undefined;
    expect(failed).toMatchObject({
      status: "failed",
      error: { code: "server_error", message: expect.stringContaining("Its log says why") },
    });
    expect((await client.responses.retrieve(failed.id)).output_text).toBe("Five");
  });

  test("a response that is not stored is not there", async () => {
    generator.text = "x";
    const { id } = await client.responses.create({ ...request, store: false });
    await expect(client.responses.retrieve(id)).rejects.toThrow(OpenAI.NotFoundError);
    await expect(client.responses.retrieve("resp_x", { stream: true })).rejects.toThrow(/400 stream/);
  });
});
