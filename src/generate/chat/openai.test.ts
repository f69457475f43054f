import { expect, test } from "vitest";
import { ChatAnswer, type ChatEvent } from "./events.ts";
import { chatDelta, chatFinishReason, chatMessage } from "./openai.ts";
import { planChat, readToolRequest } from "./plan.ts";

const tools = [{ type: "function", function: { name: "add", parameters: { type: "object", properties: {} } } }];
const template = "{{ tools }}<tool_call></think>";

/** What a client makes of deltas. */
function joined(deltas: readonly (object | undefined)[]) {
  const message = { content: "", reasoning: "", calls: [] as { id?: string; name?: string; arguments: string }[] };
  for (const delta of deltas as readonly Record<string, unknown>[]) {
    if (delta === undefined) continue;
    message.content += (delta.content as string | undefined) ?? "";
    message.reasoning += (delta.reasoning_content as string | undefined) ?? "";
    const calls = (delta.tool_calls ?? []) as {
      index: number;
      id?: string;
      function: { name?: string; arguments: string };
    }[];
    for (const { index, id, function: called } of calls) {
      message.calls[index] ??= { ...(id && { id }), ...(called.name && { name: called.name }), arguments: "" };
      message.calls[index].arguments += called.arguments;
    }
  }
  return message;
}

test("a stream and a whole answer say the same", () => {
  const request = readToolRequest({ tools });
  const parser = planChat({ template, prompt: "", request }).parser({ newId: () => "id" });
  const text = '<think>Hm.</think>Sure.<tool_call>{"name": "add", "arguments": {"a": [1, 2]}}</tool_call>';
  const events: ChatEvent[] = [...text].flatMap((piece) => parser.push(piece)).concat(parser.finish());
  const answer = new ChatAnswer();
  for (const event of events) answer.add(event);
  expect(chatMessage(answer)).toEqual({
    role: "assistant",
    content: "Sure.",
    refusal: null,
    reasoning_content: "Hm.",
    tool_calls: [{ id: "id", type: "function", function: { name: "add", arguments: '{"a": [1, 2]}' } }],
  });
  expect(joined(events.map(chatDelta))).toEqual({
    content: "Sure.",
    reasoning: "Hm.",
    calls: [{ id: "id", name: "add", arguments: '{"a": [1, 2]}' }],
  });
});

test("content is null beside calls alone, and a text otherwise", () => {
  const answer = new ChatAnswer();
  expect(chatMessage(answer)).toEqual({ role: "assistant", content: "", refusal: null });
  answer.add({ type: "call-begin", index: 0, id: "id", name: "add" });
  expect(chatMessage(answer)).toMatchObject({ content: null });
});

test("an answer with calls ends for them, unless it was cut or its function was named", () => {
  const answer = new ChatAnswer();
  expect(chatFinishReason(answer, "stop")).toBe("stop");
  answer.add({ type: "call-begin", index: 0, id: "id", name: "add" });
  expect(chatFinishReason(answer, "stop", readToolRequest({ tools, toolChoice: "required" }))).toBe("tool_calls");
  expect(chatFinishReason(answer, "length")).toBe("length");
  expect(chatFinishReason(answer, "stop", readToolRequest({ tools, toolChoice: tools[0] }))).toBe("stop");
});
