import type { Clock } from "../http/index.ts";
import { UpstreamFailure } from "./failure.ts";
import type { Upstream } from "./upstream.ts";

/** Requests that wait for an upstream to have room for them. */
export class Waiting {
  private count = 0;
  private readonly options: { maxQueue: number; queueTimeoutMs: number };
  private readonly clock: Clock;

  constructor(options: Waiting["options"], clock: Clock) {
    this.options = options;
    this.clock = clock;
  }

  /**
   * Takes room of an upstream with a limit, when there is some.
   * @throws UpstreamFailure when too many wait, or it takes too long; the signal's reason where the client went
   */
  async take({ name, slots }: Upstream, client: AbortSignal): Promise<void> {
    const { maxQueue, queueTimeoutMs } = this.options;
    if (slots === undefined) return;
    if (this.count >= maxQueue) throw busy(name, `${maxQueue} requests wait already`);
    this.count++;
    const gone = new AbortController();
    const isLate = new AbortController();
    const late = this.clock
      .sleepUntil(this.clock.now() + queueTimeoutMs, AbortSignal.any([client, gone.signal]))
      .then(() => isLate.abort());
    try {
      if (await slots.take(AbortSignal.any([client, isLate.signal]))) return;
      client.throwIfAborted();
      throw busy(name, `there was no room for ${queueTimeoutMs} ms`);
    } finally {
      this.count--;
      gone.abort();
      await late;
    }
  }
}

const busy = (name: string, why: string) =>
  new UpstreamFailure({
    status: 429,
    code: "upstream_busy",
    message: `${name} has no room: ${why}.`,
    type: "rate_limit_error",
    remedy: "retry",
    retryAfterMs: 1000,
    unwell: "nothing",
  });
