/** A server of the page whose answers the test writes, piece by piece. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ServedModel } from "../serve/index.ts";
import { chatPage, type PageFile } from "../serve/page/index.ts";
import { tinyServedModel } from "./served-model.ts";

export interface ScriptedAnswer {
  /** With another status than 200 the body is `json`. @default 200 */
  status?: number;
  json?: object;
  /** Events of a stream; a function is waited for, and "drop" closes the connection. */
  events?: readonly (object | "drop" | (() => Promise<unknown>))[];
}

/** What a client has asked. */
export interface ScriptedRequest {
  path: string;
  headers: IncomingMessage["headers"];
  body: Record<string, unknown>;
  /** Resolves when the client is gone, or has its answer. */
  closed: Promise<void>;
}

export const contentEvent = (content: string, more: object = {}) => ({
  choices: [{ index: 0, delta: { content }, finish_reason: null, ...more }],
});
export const endEvent = (finishReason = "stop", tokens = 3) => ({
  choices: [{ index: 0, delta: {}, finish_reason: finishReason }],
  usage: { prompt_tokens: 7, completion_tokens: tokens },
});

export class ScriptedApi {
  readonly requests: ScriptedRequest[] = [];
  /** Taken in their order by POST requests; the last is given again and again. */
  readonly answers: ScriptedAnswer[] = [];
  models: object[] = [{ id: "tiny", object: "model", max_model_len: 4096 }];
  /** What requests have to bear. @default none */
  key: string | undefined;
  private readonly model: ServedModel;
  private readonly files: Readonly<Record<string, PageFile>>;
  private readonly server = createServer((request, response) => void this.take(request, response));

  /** @param chatTemplate @default none: texts are continued */
  constructor(chatTemplate?: string) {
    this.model = tinyServedModel({ contextLength: 4096, chatTemplate });
    const { contextLength } = this.model.generator;
    const page = chatPage();
    this.files = { ...page.assets, "/": page.document({ model: this.model, contextLength }) };
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
    this.model.generator.dispose();
  }

  private async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "/";
    const file = this.files[path];
    if (file) {
      response.writeHead(200, file.headers).end(file.body);
      return;
    }
    if (this.key !== undefined && request.headers.authorization !== `Bearer ${this.key}`) {
      const error = { message: "a key is needed", code: "invalid_api_key" };
      response.writeHead(401, { "content-type": "application/json" }).end(JSON.stringify({ error }));
      return;
    }
    if (path === "/v1/models") {
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ data: this.models }));
      return;
    }
    let body = "";
    for await (const piece of request) body += piece;
    const closed = new Promise<void>((resolve) => response.on("close", resolve));
    this.requests.push({ path, headers: request.headers, body: JSON.parse(body || "{}"), closed });
    const next = this.answers.length > 1 ? this.answers.shift() : this.answers[0];
    await write(response, next ?? { status: 500, json: { error: { message: "no answer is scripted" } } });
  }
}

async function write(response: ServerResponse, { status = 200, json, events = [] }: ScriptedAnswer): Promise<void> {
  if (json) {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(json));
    return;
  }
  response.writeHead(status, { "content-type": "text/event-stream" });
  response.flushHeaders();
  for (const event of events) {
    if (event === "drop") response.destroy();
    else if (typeof event === "function") await event();
    else response.write(`data: ${JSON.stringify(event)}\n\n`);
  }
  response.end("data: [DONE]\n\n");
}
