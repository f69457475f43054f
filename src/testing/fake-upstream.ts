/** Servers that speak OpenAI's API, well or badly, for tests of what asks them. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A request as it came. */
export interface ReceivedRequest {
  url: string;
  headers: IncomingMessage["headers"];
  body: Record<string, unknown>;
  /** Resolves when the connection of the request is closed before its answer was whole. */
  cut: Promise<void>;
}

export interface FakeUpstream {
  /** With "/v1". */
  url: string;
  received: ReceivedRequest[];
  close(): void;
}

export type Answering = (request: ReceivedRequest, response: ServerResponse) => unknown;

/** A server on a free port of this machine. */
export async function fakeUpstream(answer: Answering): Promise<FakeUpstream> {
  const received: ReceivedRequest[] = [];
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const cut = new Promise<void>((resolve) => {
      response.once("close", () => !response.writableFinished && resolve());
    });
    const text = Buffer.concat(parts).toString();
    const entry = { url: request.url ?? "", headers: request.headers, body: text ? JSON.parse(text) : {}, cut };
    received.push(entry);
    await answer(entry, response);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, received, close };
}

/** Answers with JSON. */
export function sendJson(
  response: ServerResponse,
  value: unknown,
  status = 200,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(value));
}

const chatUsage = {
  prompt_tokens: 10,
  completion_tokens: 4,
  total_tokens: 14,
  prompt_tokens_details: { cached_tokens: 6 },
};

/** A chat's answer. */
export const chatAnswer = (content: string, model = "m", usage: object = chatUsage) => ({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1,
  model,
  choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
  usage,
});

/** An error in OpenAI's form. */
export const errorBody = (message: string, code: string | null = null) => ({
  error: { message, type: "invalid_request_error", param: null, code },
});

export const eventText = (value: object | string): string =>
  `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`;

/** A piece of a chat's stream. */
export const chatPiece = (content: string, finishReason: string | null = null) => ({
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1,
  model: "m",
  choices: [{ index: 0, delta: { content }, finish_reason: finishReason }],
});

/** Streams words as a chat; with the usage at the end if it was asked for. */
export function sendChatStream(
  response: ServerResponse,
  words: readonly string[],
  body: Record<string, unknown>,
): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const word of words) response.write(eventText(chatPiece(word)));
  response.write(eventText(chatPiece("", "stop")));
  const { include_usage: counts } = (body.stream_options ?? {}) as { include_usage?: boolean };
  if (counts) response.write(eventText({ ...chatPiece(""), choices: [], usage: chatUsage }));
  response.end(eventText("[DONE]"));
}

/** A server that answers chats, streamed or not, with the same words. */
export const chatUpstream = (words: readonly string[]): Promise<FakeUpstream> =>
  fakeUpstream(({ body }, response) =>
    body.stream ? sendChatStream(response, words, body) : sendJson(response, chatAnswer(words.join(""))),
  );
