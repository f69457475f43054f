import { randomUUID } from "node:crypto";
import { chatDelta, chatMessage, type TokenLogprobs } from "../generate/index.ts";
import type { Shapes } from "./answer.ts";
import type { LogprobShapes } from "./logprobs.ts";

interface ShapeOptions {
  model: string;
  logprobs: LogprobShapes;
  /** Whether a stream ends with the usage; its other events then say that they have none. */
  includeUsage: boolean;
}

const head = (prefix: string, model: string) => ({
  id: `${prefix}-${randomUUID()}`,
  created: Math.floor(Date.now() / 1000),
  model,
});

interface CompletionShapeOptions extends ShapeOptions {
  /** How probable tokens are is known, but was not asked for. */
  hidesLogprobs: boolean;
}

/** The objects of POST /v1/completions. */
export function completionShapes({ model, includeUsage, logprobs, hidesLogprobs }: CompletionShapeOptions): Shapes {
  const common = { ...head("cmpl", model), object: "text_completion" };
  /** Characters of each choice that were sent. */
  const sent = new Map<number, number>();
  const choice = (index: number, text: string, reason: string | null, tokens?: readonly TokenLogprobs[]) => {
    const offset = sent.get(index) ?? 0;
    sent.set(index, offset + text.length);
    return {
      index,
      text,
      logprobs: tokens && !hidesLogprobs ? logprobs.completion(tokens, text, offset) : null,
      finish_reason: reason,
    };
  };
  const event = (index: number, text: string, reason: string | null, tokens?: readonly TokenLogprobs[]) => ({
    ...common,
    choices: [choice(index, text, reason, tokens)],
    ...(includeUsage && { usage: null }),
  });
  return {
    whole: (choices, usage) => ({
      ...common,
      choices: choices.map((one) => ({
        ...choice(one.index, one.answer.content, one.finishReason, one.logprobs),
        ...(one.promptLogprobs && { prompt_logprobs: logprobs.prompt(one.promptLogprobs) }),
      })),
      usage,
    }),
    piece: (index, { event: part, logprobs: tokens }) =>
      part.type === "content" && (part.text || tokens) ? event(index, part.text, null, tokens) : undefined,
    last: (index, reason) => event(index, "", reason),
    usage: (usage) => ({ ...common, choices: [], usage }),
  };
}

/** The objects of POST /v1/chat/completions. */
export function chatShapes({ model, includeUsage, logprobs }: ShapeOptions): Shapes {
  const common = head("chatcmpl", model);
  const event = (index: number, delta: object, reason: string | null, tokens?: readonly TokenLogprobs[]) => ({
    ...common,
    object: "chat.completion.chunk",
    choices: [{ index, delta, logprobs: tokens ? logprobs.chat(tokens) : null, finish_reason: reason }],
    ...(includeUsage && { usage: null }),
  });
  return {
    whole: (choices, usage) => ({
      ...common,
      object: "chat.completion",
      choices: choices.map(({ index, answer, finishReason, logprobs: tokens }) => ({
        index,
        message: chatMessage(answer),
        logprobs: tokens ? logprobs.chat(tokens) : null,
        finish_reason: finishReason,
      })),
      // one prompt has all answers: vLLM has its field here, and in a completion beside each answer
      ...(choices[0].promptLogprobs && { prompt_logprobs: logprobs.prompt(choices[0].promptLogprobs) }),
      usage,
    }),
    first: (index) => event(index, { role: "assistant", content: "" }, null),
    piece: (index, { event: part, logprobs: tokens }) => {
      const delta = "text" in part && part.text === "" ? undefined : chatDelta(part);
      return delta || tokens ? event(index, delta ?? {}, null, tokens) : undefined;
    },
    last: (index, reason) => event(index, {}, reason),
    usage: (usage) => ({ ...common, object: "chat.completion.chunk", choices: [], usage }),
  };
}
