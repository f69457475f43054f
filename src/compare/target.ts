import { type Clock, httpTransport } from "../http/index.ts";
import { ask } from "../load-test/index.ts";

/** A model of an upstream that is compared with others. */
export interface Target {
  /** In the report. */
  name: string;
  /** What is before "/chat/completions", such as "http://127.0.0.1:8080/v1". */
  url: string;
  model: string;
  /** Sent as a bearer token; in no report. @default none */
  apiKey?: string;
}

/** What became of a question; times in milliseconds. */
export type Reply =
  | { text: string; ttftMs: number; totalMs: number; inputTokens: number | undefined; outputTokens: number }
  | { error: string };

/** A model that questions are put to. */
export class Asker {
  readonly target: Target;
  private readonly connection: ReturnType<typeof httpTransport>;
  private readonly clock: Clock;

  constructor(target: Target, clock: Clock) {
    this.target = target;
    this.clock = clock;
    this.connection = httpTransport(new URL(target.url));
  }

  /** Never throws; undefined where the signal ended it. */
  async ask(
    messages: readonly object[],
    options: { maxTokens?: number | undefined; temperature?: number | undefined },
    signal: AbortSignal,
  ): Promise<Reply | undefined> {
    const { model, apiKey } = this.target;
    const { maxTokens, temperature } = options;
    const parts: string[] = [];
    const body = JSON.stringify({
      model,
      messages,
      stream: true,
      stream_options: { include_usage: true },
      ...(maxTokens !== undefined && { max_tokens: maxTokens }),
      ...(temperature !== undefined && { temperature }),
    });
    const headers = {
      "content-type": "application/json",
      ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
    };
    const start = this.clock.now();
    const answer = await ask({ path: "/chat/completions", headers, body }, signal, {
      transport: this.connection.transport,
      clock: this.clock,
      onText: (text) => parts.push(text),
    });
    if (answer.outcome === "failed") {
      const { status, code, message } = answer.failure;
      const text = [status, code, message].filter(Boolean).join(" ");
      return { error: apiKey ? text.replaceAll(apiKey, "[secret]") : text };
    }
    if (answer.outcome !== "successful") return undefined;
    const { firstTokenAt, endAt, inputTokens, outputTokens } = answer;
    return { text: parts.join(""), ttftMs: firstTokenAt - start, totalMs: endAt - start, inputTokens, outputTokens };
  }

  close(): void {
    this.connection.close();
  }
}
