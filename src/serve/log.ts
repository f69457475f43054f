import type { Usage } from "./usage.ts";

/** What the log says of one request: time, request, status, duration, tokens of prompt and answer, how it ended. */
export class RequestRecord {
  /** Of an answer. */
  usage: Usage | undefined;
  /** How it ended: "stop", "length", or the code of an error. */
  outcome: string | undefined;
  /** Whether the answer goes on after its status is sent. */
  isStreamed = false;
  private readonly request: string;
  private readonly write: ((line: string) => void) | undefined;
  private readonly start = performance.now();

  /** @param request method and path */
  constructor(request: string, write: ((line: string) => void) | undefined) {
    this.request = request;
    this.write = write;
  }

  end(status: number): void {
    const { usage, outcome } = this;
    const tokens = usage ? ` ${usage.prompt_tokens}+${usage.completion_tokens} tokens` : "";
    const milliseconds = Math.round(performance.now() - this.start);
    this.write?.(
      `${new Date().toISOString()} ${this.request} ${status} ${milliseconds} ms${tokens}${outcome ? ` ${outcome}` : ""}`,
    );
  }
}
