import { onAbort } from "../base/index.ts";

/**
 * The signal of a request to an upstream: aborted when the client goes, and when something that is waited for takes too
 * long. `reason` then says which.
 */
export class Watchdog {
  private readonly controller = new AbortController();
  private readonly stopListening: () => void;
  private timer: NodeJS.Timeout | undefined;

  constructor(client: AbortSignal) {
    this.stopListening = onAbort(client, () => this.abort(client.reason));
    if (client.aborted) this.abort(client.reason);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Waits for the next thing, at most so long. */
  expect(milliseconds: number, failure: () => Error): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.abort(failure()), milliseconds);
  }

  /** Nothing is waited for. */
  rest(): void {
    clearTimeout(this.timer);
  }

  abort(reason: unknown): void {
    this.controller.abort(reason);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.stopListening();
  }
}
