/** Requests to a model behind OpenAI's API, again where that may help. */
import { DataError, isObject, OptionError, RuntimeError } from "../../base/index.ts";
import { type HttpAnswer, type HttpTransport, httpTransport } from "../../http/index.ts";

/** Where a model is, and how it is asked. */
export interface ModelEndpoint {
  /** Such as "http://127.0.0.1:8080/v1". */
  url: string;
  model: string;
  /** Sent as a bearer token. @default none */
  apiKey?: string;
  /** Most tokens of an answer. @default 2048 */
  maxTokens?: number;
  /** @default 0.7 */
  temperature?: number;
  /** How often a request is sent again that failed for a moment. @default 5 */
  retries?: number;
  /** What an answer may take. @default 180,000 */
  timeoutMs?: number;
}

/** What an answer took. */
export interface Usage {
  promptTokens: number;
  completionTokens: number;
}

/** A model's words. */
export interface Answer {
  text: string;
  usage: Usage;
  /** How often it was asked. */
  attempts: number;
}

const RETRY_STATUS = new Set([408, 409, 425, 429, 500, 502, 503, 504, 529]);
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 60_000;
/** An answer of more bytes is none. */
const MOST_BYTES = 1 << 24;

/** Asks a model, over connections that are kept. */
export class ModelClient {
  private readonly endpoint: Required<Omit<ModelEndpoint, "apiKey">>;
  private readonly headers: Readonly<Record<string, string>>;
  private readonly http: HttpTransport;

  /** @throws OptionError for what is no address */
  constructor({ apiKey, ...endpoint }: ModelEndpoint) {
    this.endpoint = { maxTokens: 2048, temperature: 0.7, retries: 5, timeoutMs: 180_000, ...endpoint };
    const { url } = endpoint;
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
      throw new OptionError({
        where: "url",
        expected: "the address of an API, such as http://127.0.0.1:8080/v1",
        received: JSON.stringify(url) ?? "nothing",
        fix: "write it whole",
      });
    this.headers = { "content-type": "application/json", ...(apiKey && { authorization: `Bearer ${apiKey}` }) };
    this.http = httpTransport(new URL(url));
  }

  /**
   * The model's answer to messages.
   * @throws DataError for what the server refuses; RuntimeError where it does not answer; the signal's reason
   */
  async ask(messages: readonly object[], signal: AbortSignal): Promise<Answer> {
    const { model, maxTokens, temperature, retries, url } = this.endpoint;
    const body = JSON.stringify({ model, messages, max_tokens: maxTokens, temperature });
    for (let attempt = 1; ; attempt++) {
      let [received, wait] = ["", Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1))];
      try {
        const { status, text, retryAfterMs } = await this.send(body, signal);
        if (status === 200) return { ...this.answerIn(text), attempts: attempt };
        received = `${status} ${messageIn(text)}`.trim();
        if (!RETRY_STATUS.has(status)) throw this.refused(received);
        wait = Math.max(wait, retryAfterMs);
      } catch (cause) {
        signal.throwIfAborted();
        if (cause instanceof DataError) throw cause;
        received = (cause as Error).message || String(cause);
      }
      if (attempt > retries)
        throw new RuntimeError({
          where: url,
          expected: "an answer",
          received: `${received}, ${attempt} times`,
          fix: "try again later: what is done is kept",
        });
      await pause(wait, signal);
    }
  }

  close(): void {
    this.http.close();
  }

  private async send(body: string, signal: AbortSignal) {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(this.endpoint.timeoutMs)]);
    const answer = await this.http.transport({
      method: "POST",
      path: "/chat/completions",
      headers: this.headers,
      body,
      signal: limit,
    });
    const seconds = Number(answer.headers["retry-after"]);
    const retryAfterMs = seconds > 0 ? Math.min(LONGEST_WAIT_MS, seconds * 1000) : 0;
    return { status: answer.status, text: await bodyOf(answer), retryAfterMs };
  }

  private answerIn(text: string): Pick<Answer, "text" | "usage"> {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw this.refused("an answer that is no JSON");
    }
    const { choices, usage } = isObject(value) ? value : {};
    const [choice] = Array.isArray(choices) ? choices : [];
    const content = isObject(choice) && isObject(choice.message) ? choice.message.content : undefined;
    if (typeof content !== "string") throw this.refused("an answer without a message");
    const count = (name: string) => (isObject(usage) && Number.isFinite(usage[name]) ? Number(usage[name]) : 0);
    return {
      text: content,
      usage: { promptTokens: count("prompt_tokens"), completionTokens: count("completion_tokens") },
    };
  }

  private refused(received: string): DataError {
    return new DataError({
      where: this.endpoint.url,
      expected: `an answer of ${this.endpoint.model}`,
      received,
      fix: "check the address, the model's name and the key",
    });
  }
}

async function bodyOf({ body, release }: HttpAnswer): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    if (bytes > MOST_BYTES) {
      release();
      throw new Error("an answer without end");
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

/** What an error's body says. */
function messageIn(text: string): string {
  try {
    const { error, message } = JSON.parse(text) as Record<string, unknown>;
    const told = isObject(error) ? error.message : (error ?? message);
    return typeof told === "string" ? told.slice(0, 200) : "";
  } catch {
    return "";
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal.addEventListener("abort", stop, { once: true });
  });
}
