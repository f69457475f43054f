import { randomUUID } from "node:crypto";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { streamSSE } from "hono/streaming";
import type { z } from "zod";
import { type Generator, generateText, type TextOptions, type TextPiece } from "../generate/index.ts";
import { KindlingError, RuntimeError } from "../ir/index.ts";
import { chatFormat, encodePrompt, type Tokenizer } from "../tokenizers/index.ts";
import { page } from "./page.ts";
import { chatRequest, completionRequest, plainMessages, type SamplingFields } from "./schema.ts";

export interface ServedModel {
  /** Name that clients ask for. */
  id: string;
  generator: Generator;
  tokenizer: Tokenizer;
  /** Jinja template of chat messages. @default one line per message: "role: content" */
  chatTemplate?: string;
}

const MAX_BODY_BYTES = 4 << 20;
/** OpenAI's default of the older endpoint. */
const DEFAULT_COMPLETION_TOKENS = 16;
const DEFAULT_CHAT_TOKENS = 256;

/** OpenAI's form of an error. */
function errorBody(message: string, type: string, code: string | null = null, param: string | null = null) {
  return { error: { message, type, code, param } };
}

class RequestError extends Error {
  readonly status: 400 | 404;
  readonly body: ReturnType<typeof errorBody>;
  constructor(status: 400 | 404, body: ReturnType<typeof errorBody>) {
    super(body.error.message);
    this.status = status;
    this.body = body;
  }
}

/** An OpenAI-compatible HTTP app for one model. It listens nowhere by itself: see `serve`, or call `app.request` in tests. */
export function createApp(model: ServedModel): Hono {
  const app = new Hono();
  const created = Math.floor(Date.now() / 1000);
  const modelObject = { id: model.id, object: "model", created, owned_by: "kindling" };
  const format = chatFormat(model.chatTemplate, model.tokenizer);

  app.use("/v1/*", bodyLimit({ maxSize: MAX_BODY_BYTES, onError: (c) => c.json(errorBody("the request is too large", "invalid_request_error"), 413) }));
  app.get("/", (c) => c.html(page(model.id)));
  app.get("/health", (c) => c.json({ status: "ok" }));
  app.get("/v1/models", (c) => c.json({ object: "list", data: [modelObject] }));
  app.get("/v1/models/:id", (c) => {
    requireModel(model, c.req.param("id"));
    return c.json(modelObject);
  });

  app.post("/v1/completions", async (c) => {
    const body = await parseBody(c, completionRequest);
    requireModel(model, body.model);
    const prompt = typeof body.prompt === "string" ? body.prompt : await promptText(model, body.prompt);
    const options = textOptions(body, body.max_tokens ?? DEFAULT_COMPLETION_TOKENS, []);
    const head = { id: `cmpl-${randomUUID()}`, created, model: model.id };
    const choice = (text: string, reason: string | null) => ({ index: 0, text, logprobs: null, finish_reason: reason });
    return respond(
      c,
      model,
      { prompt, options, body, echo: body.echo ? prompt : "" },
      {
        whole: (text, reason, usage) => ({ ...head, object: "text_completion", choices: [choice(text, reason)], usage }),
        piece: (text, reason) => ({ ...head, object: "text_completion", choices: [choice(text, reason)] }),
        usage: (usage) => ({ ...head, object: "text_completion", choices: [], usage }),
      },
    );
  });

  app.post("/v1/chat/completions", async (c) => {
    const body = await parseBody(c, chatRequest);
    requireModel(model, body.model);
    const prompt = format.render(plainMessages(body.messages));
    const options = {
      ...textOptions(body, body.max_completion_tokens ?? body.max_tokens ?? DEFAULT_CHAT_TOKENS, format.stop),
      addSpecialTokens: format.addSpecialTokens,
    };
    const head = { id: `chatcmpl-${randomUUID()}`, created, model: model.id };
    const chunk = (delta: object, reason: string | null) => ({
      ...head,
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }],
    });
    return respond(
      c,
      model,
      { prompt, options, body, echo: "" },
      {
        whole: (text, reason, usage) => ({
          ...head,
          object: "chat.completion",
          choices: [{ index: 0, message: { role: "assistant", content: text, refusal: null }, logprobs: null, finish_reason: reason }],
          usage,
        }),
        first: () => chunk({ role: "assistant", content: "" }, null),
        piece: (text, reason) => chunk(text ? { content: text } : {}, reason),
        usage: (usage) => ({ ...head, object: "chat.completion.chunk", choices: [], usage }),
      },
    );
  });

  app.notFound((c) => c.json(errorBody(`there is no ${c.req.method} ${c.req.path}`, "invalid_request_error", "not_found"), 404));
  app.onError((error, c) => {
    const { status, body } = describeError(error);
    return c.json(body, status);
  });
  return app;
}

function describeError(error: unknown): { status: 400 | 404 | 500; body: ReturnType<typeof errorBody> } {
  if (error instanceof RequestError) return { status: error.status, body: error.body };
  if (error instanceof KindlingError && !(error instanceof RuntimeError)) return { status: 400, body: errorBody(error.message, "invalid_request_error") };
  return { status: 500, body: errorBody(error instanceof Error ? error.message : String(error), "server_error") };
}

async function parseBody<T extends z.ZodType>(c: Context, schema: T): Promise<z.infer<T>> {
  const json = await c.req.json().catch(() => {
    throw new RequestError(400, errorBody("the body is not JSON", "invalid_request_error"));
  });
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const param = issue.path.join(".");
  throw new RequestError(400, errorBody(`${param || "body"}: ${issue.message}`, "invalid_request_error", null, param || null));
}

function requireModel(model: ServedModel, asked: string | undefined): void {
  if (asked === undefined || asked === model.id) return;
  throw new RequestError(404, errorBody(`the model "${asked}" is not served here; this is "${model.id}"`, "invalid_request_error", "model_not_found", "model"));
}

async function promptText(model: ServedModel, prompt: readonly string[] | readonly number[]): Promise<string> {
  return typeof prompt[0] === "number" ? model.tokenizer.decode(prompt as readonly number[]) : ((prompt[0] as string | undefined) ?? "");
}

/** Seeds are drawn when none is given, so that asking again gives another text. */
function textOptions(body: SamplingFields, maxNewTokens: number, stops: readonly string[]): TextOptions {
  const given = body.stop === null || body.stop === undefined ? [] : typeof body.stop === "string" ? [body.stop] : body.stop;
  return {
    maxNewTokens,
    temperature: body.temperature ?? 1,
    topP: body.top_p ?? 1,
    ...(body.top_k && body.top_k > 0 ? { topK: body.top_k } : {}),
    seed: body.seed ?? Math.floor(Math.random() * 2 ** 31),
    stop: [...stops, ...given].filter((text) => text.length > 0),
  };
}

interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

interface Shapes {
  whole: (text: string, reason: string, usage: Usage) => object;
  first?: () => object;
  piece: (text: string, reason: string | null) => object;
  usage: (usage: Usage) => object;
}

interface Job {
  prompt: string;
  options: TextOptions;
  body: SamplingFields;
  /** Text in front of the completion. */
  echo: string;
}

/** Runs a job and answers with one JSON object or with server-sent events. A client that goes away stops the generation. */
async function respond(c: Context, model: ServedModel, { prompt, options, body, echo }: Job, shapes: Shapes): Promise<Response> {
  const { generator, tokenizer } = model;
  const promptTokens = (await encodePrompt(tokenizer, prompt, options)).length;
  const usageOf = (tokens: number): Usage => ({ prompt_tokens: promptTokens, completion_tokens: tokens, total_tokens: promptTokens + tokens });
  const run = (signal: AbortSignal) => generateText(generator, tokenizer, prompt, { ...options, signal });

  if (!body.stream) {
    let text = echo;
    let last: TextPiece = { text: "", tokens: 0, finishReason: "length" };
    for await (const piece of run(c.req.raw.signal)) {
      text += piece.text;
      last = piece;
    }
    return c.json(shapes.whole(text, last.finishReason ?? "length", usageOf(last.tokens)));
  }
  return streamSSE(c, async (stream) => {
    const gone = new AbortController();
    stream.onAbort(() => gone.abort());
    const send = (data: object) => stream.writeSSE({ data: JSON.stringify(data) });
    if (shapes.first) await send(shapes.first());
    if (echo) await send(shapes.piece(echo, null));
    let tokens = 0;
    try {
      for await (const piece of run(gone.signal)) {
        tokens = piece.tokens;
        if (piece.text) await send(shapes.piece(piece.text, null));
        if (piece.finishReason) await send(shapes.piece("", piece.finishReason));
      }
    } catch (error) {
      if (gone.signal.aborted) return;
      await send(describeError(error).body); // the status is sent already: the error goes into the stream
    }
    if (body.stream_options?.include_usage) await send(shapes.usage(usageOf(tokens)));
    await stream.writeSSE({ data: "[DONE]" });
  });
}
