import { KindlingError, OptionError } from "../../base/index.ts";
import { EventParser, type HttpAnswer, httpTransport } from "../../http/index.ts";
import { type AnswerRequest, apiMessage, type ChatEvent, type ChatModel } from "./conversation.ts";

/** A request that a server refuses, or does not answer. */
export class ServerRefusal extends KindlingError {}

/** The kind of models that talk; a server of Kindling may have others beside them. */
const WRITES = "text-generation";

interface ServerModel {
  id: string;
  kind?: string;
  max_model_len?: number;
  capabilities?: readonly string[];
}

/** What there is of an answer in an event of a stream. */
interface AnswerEvent {
  choices?: {
    delta?: { content?: string | null; reasoning_content?: string | null; reasoning?: string | null };
    finish_reason?: string | null;
  }[];
  usage?: { prompt_tokens?: number; completion_tokens?: number } | null;
  error?: { message?: string } | string;
}

export interface RemoteOptions {
  /** Sent as a bearer token. */
  apiKey?: string;
  /** @default the first that the server lists */
  model?: string;
}

/** A server that speaks OpenAI's API answers. */
export class RemoteModel implements ChatModel {
  private readonly url: URL;
  private readonly headers: Readonly<Record<string, string>>;
  private readonly http: ReturnType<typeof httpTransport>;
  private models: readonly ServerModel[] = [];
  private current: ServerModel = { id: "" };

  private constructor(url: URL, { apiKey }: RemoteOptions) {
    this.url = url;
    this.headers = {
      "content-type": "application/json",
      ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
    };
    this.http = httpTransport(url);
  }

  /** @throws OptionError for what is no address, ServerRefusal where the server does not list the model */
  static async open(address: string, options: RemoteOptions = {}): Promise<RemoteModel> {
    const text = address.replace(/\/(v1\/?)?$/, "");
    if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
      const expected = "the address of a server, as http://127.0.0.1:8080";
      throw new OptionError({ where: "--url", expected, received: JSON.stringify(address), fix: "correct it" });
    }
    const remote = new RemoteModel(new URL(text), options);
    await remote.list();
    if (options.model !== undefined) await remote.use(options.model);
    else if (remote.models.length > 0) remote.current = remote.models[0];
    return remote;
  }

  get name(): string {
    return this.current.id;
  }

  get contextLength(): number | undefined {
    return this.current.max_model_len;
  }

  /** Whether a server that says nothing of it takes images shows when one is sent. */
  get takesImages(): boolean {
    return this.current.capabilities?.includes("vision") ?? true;
  }

  async list(): Promise<readonly string[]> {
    const answer = await this.ask("GET", "/v1/models", undefined, new AbortController().signal);
    const json = (await this.json(answer)) as { data?: ServerModel[] };
    this.models = (json.data ?? []).filter(({ kind = WRITES }) => kind === WRITES);
    return this.models.map(({ id }) => id);
  }

  async use(name: string): Promise<void> {
    const names = await this.list();
    const model = this.models.find(({ id }) => id === name);
    if (!model) throw this.refusal(`a model of the server: ${names.join(", ")}`, `"${name}"`, "choose one of them");
    this.current = model;
  }

  dispose(): void {
    this.http.close();
  }

  /** By vLLM's endpoint, which not every server has. */
  async countTokens({ system, messages }: Omit<AnswerRequest, "signal">): Promise<number | undefined> {
    const body = { model: this.name, messages: apiMessages(system, messages) };
    try {
      const answer = await this.ask("POST", "/tokenize", body, new AbortController().signal);
      const { count } = (await this.json(answer)) as { count?: number };
      return count;
    } catch (error) {
      if (error instanceof ServerRefusal) return undefined;
      throw error;
    }
  }

  async *answer({ system, messages, settings, signal }: AnswerRequest): AsyncGenerator<ChatEvent, void, void> {
    const { stats: _, ...sampling } = settings;
    const started = performance.now();
    const body = {
      ...(this.name !== "" && { model: this.name }),
      messages: apiMessages(system, messages),
      ...sampling,
      stream: true,
      stream_options: { include_usage: true },
    };
    const connection = new AbortController();
    const stop = () => connection.abort(signal.reason);
    signal.addEventListener("abort", stop);
    const stats = { promptTokens: undefined as number | undefined, tokens: 0, firstMs: 0, totalMs: 0 };
    try {
      signal.throwIfAborted();
      const answer = await this.ask("POST", "/v1/chat/completions", body, connection.signal);
      for await (const event of this.events(answer)) {
        const { choices: [choice] = [], usage } = event;
        const { content, reasoning_content: thought = choice?.delta?.reasoning } = choice?.delta ?? {};
        if (content || thought) {
          stats.tokens++; // pieces, for servers that do not count
          stats.firstMs ||= performance.now() - started;
        }
        if (thought) yield { type: "thought", text: thought };
        if (content) yield { type: "text", text: content };
        if (usage) stats.promptTokens = usage.prompt_tokens;
        if (usage?.completion_tokens) stats.tokens = usage.completion_tokens;
        if (choice?.finish_reason === "length")
          yield { type: "note", text: "cut off; --tokens <n> or /set max_tokens allows more" };
      }
      yield { type: "stats", stats: { ...stats, totalMs: performance.now() - started } };
    } catch (error) {
      signal.throwIfAborted(); // what the connection says of an abort
      if (error instanceof KindlingError) throw error;
      // a connection that was lost, or an event that is no JSON
      throw this.refusal("an answer to its end", (error as Error).message, "look at the server, and ask again");
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** The events of a stream; the connection then serves again. @throws ServerRefusal for one that is cut off */
  private async *events({ body, release }: HttpAnswer): AsyncGenerator<AnswerEvent, void, void> {
    const parser = new EventParser();
    let isFinished = false;
    for await (const bytes of body)
      for (const data of parser.push(bytes)) {
        if (data === "[DONE]") {
          release();
          return;
        }
        const event = JSON.parse(data) as AnswerEvent;
        if (event.error) {
          release();
          const message = typeof event.error === "string" ? event.error : event.error.message;
          throw this.refusal("an answer", `an error: ${message}`, "ask again");
        }
        isFinished ||= Boolean(event.choices?.[0]?.finish_reason);
        yield event;
      }
    if (isFinished) return; // some servers say no more
    throw this.refusal("an answer to its end", "a stream that was cut off", "look at the server, and ask again");
  }

  /** @throws ServerRefusal for anything but a success */
  private async ask(
    method: "GET" | "POST",
    path: string,
    body: object | undefined,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const request = { method, path, headers: this.headers, body: body && JSON.stringify(body), signal };
    const answer = await this.http.transport(request).catch((cause: NodeJS.ErrnoException) => {
      signal.throwIfAborted();
      const received = `no answer (${cause.code ?? cause.message})`;
      throw this.refusal("a server", received, "check that it runs, and its address");
    });
    if (answer.status === 200) return answer;
    const { refusalOf } = await import("../../load-test/index.ts");
    const { status, message } = await refusalOf(answer);
    const fix = status === 401 ? "set KINDLING_API_KEY to the server's key" : "change what is asked";
    throw this.refusal(`${path} to be answered`, `${status}: ${message}`, fix);
  }

  private async json(answer: HttpAnswer): Promise<object> {
    const text = await textOf(answer);
    try {
      const json: unknown = JSON.parse(text);
      if (typeof json === "object" && json !== null) return json;
    } catch {
      // told below
    }
    const fix = "check that the address is that of a model server";
    throw this.refusal("an object of JSON", JSON.stringify(text.slice(0, 60)), fix);
  }

  private refusal(expected: string, received: string, fix: string): ServerRefusal {
    return new ServerRefusal({ where: this.url.origin, expected, received, fix });
  }
}

const apiMessages = (system: string | undefined, messages: AnswerRequest["messages"]): object[] => [
  ...(system === undefined ? [] : [{ role: "system", content: system }]),
  ...messages.map(apiMessage),
];

async function textOf({ body }: HttpAnswer): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of body) text += decoder.decode(bytes, { stream: true });
  return text;
}
