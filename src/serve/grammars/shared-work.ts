import { unlessAborted } from "../../base/index.ts";

/** Work that several wait for. It is given up when none of them does any more. */
export class SharedWork<T> {
  private readonly result: Promise<T>;
  private readonly controller = new AbortController();
  private waiting = 0;

  /** @param work gets the signal by which it is given up */
  constructor(work: (signal: AbortSignal) => Promise<T>) {
    this.result = work(this.controller.signal);
    this.result.catch(() => {}); // whoever waits is told
  }

  /** Whether nobody can wait for it any more. */
  get isGivenUp(): boolean {
    return this.controller.signal.aborted;
  }

  /** Waits for it. @throws the signal's reason, or what the work throws */
  async join(signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    this.waiting++;
    try {
      return await unlessAborted(this.result, signal);
    } finally {
      this.waiting--;
      if (this.waiting === 0) this.controller.abort(signal.reason);
    }
  }
}
