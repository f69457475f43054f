import { randomUUID } from "node:crypto";
import type { Shapes } from "./answer.ts";

interface ShapeOptions {
  model: string;
  /** Whether a stream ends with the usage; its other events then say that they have none. */
  includeUsage: boolean;
}

const head = (prefix: string, model: string) => ({
  id: `${prefix}-${randomUUID()}`,
  created: Math.floor(Date.now() / 1000),
  model,
});

/** The objects of POST /v1/completions. */
export function completionShapes({ model, includeUsage }: ShapeOptions): Shapes {
  const common = { ...head("cmpl", model), object: "text_completion" };
  const choice = (index: number, text: string, reason: string | null) => ({
    index,
    text,
    logprobs: null,
    finish_reason: reason,
  });
  const event = (index: number, text: string, reason: string | null) => ({
    ...common,
    choices: [choice(index, text, reason)],
    ...(includeUsage && { usage: null }),
  });
  return {
    whole: (choices, usage) => ({
      ...common,
      choices: choices.map(({ index, text, finishReason }) => choice(index, text, finishReason)),
      usage,
    }),
    piece: (index, text) => event(index, text, null),
    last: (index, reason) => event(index, "", reason),
    usage: (usage) => ({ ...common, choices: [], usage }),
  };
}

/** The objects of POST /v1/chat/completions. */
export function chatShapes({ model, includeUsage }: ShapeOptions): Shapes {
  const common = head("chatcmpl", model);
  const event = (index: number, delta: object, reason: string | null) => ({
    ...common,
    object: "chat.completion.chunk",
    choices: [{ index, delta, logprobs: null, finish_reason: reason }],
    ...(includeUsage && { usage: null }),
  });
  return {
    whole: (choices, usage) => ({
      ...common,
      object: "chat.completion",
      choices: choices.map(({ index, text, finishReason }) => ({
        index,
        message: { role: "assistant", content: text, refusal: null },
        logprobs: null,
        finish_reason: finishReason,
      })),
      usage,
    }),
    first: (index) => event(index, { role: "assistant", content: "" }, null),
    piece: (index, text) => event(index, { content: text }, null),
    last: (index, reason) => event(index, {}, reason),
    usage: (usage) => ({ ...common, object: "chat.completion.chunk", choices: [], usage }),
  };
}
