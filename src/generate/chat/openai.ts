/** Answers in the form of OpenAI's chat completions. */
import type { ChatAnswer, ChatEvent } from "./events.ts";
import type { ToolRequest } from "./plan.ts";

/** The `delta` of a streamed answer for an event; undefined for one that OpenAI has no delta for. */
export function chatDelta(event: ChatEvent): object | undefined {
  switch (event.type) {
    case "content":
      return { content: event.text };
    case "reasoning":
      return { reasoning_content: event.text };
    case "call-begin": {
      const { index, id, name } = event;
      return { tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] };
    }
    case "arguments":
      return { tool_calls: [{ index: event.index, function: { arguments: event.text } }] };
    case "call-end":
      return undefined;
  }
}

/** The `message` of a whole answer. Content is null where there are calls alone. */
export function chatMessage({ content, reasoning, calls }: ChatAnswer): object {
  return {
    role: "assistant",
    content: content === "" && calls.length > 0 ? null : content,
    refusal: null,
    ...(reasoning !== "" && { reasoning_content: reasoning }),
    ...(calls.length > 0 && {
      tool_calls: calls.map(({ id, name, arguments: json }) => ({
        id,
        type: "function",
        function: { name, arguments: json },
      })),
    }),
  };
}

/**
 * Why an answer has ended: "tool_calls" where it is for the client to go on with calls. An answer that was cut stays
 * so, and so does, as at OpenAI, one that had to call a function of its request's choice.
 */
export function chatFinishReason(
  { calls }: ChatAnswer,
  reason: "stop" | "length",
  request?: ToolRequest,
): "stop" | "length" | "tool_calls" {
  const isNamed = typeof request?.choice === "object" && request.choice.isSingle;
  return reason === "stop" && calls.length > 0 && !isNamed ? "tool_calls" : reason;
}
