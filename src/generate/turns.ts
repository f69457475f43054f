import { onAbort } from "../base/index.ts";

/** Lets one caller at a time use something, in the order in which they came. */
export class Turns {
  private last: Promise<void> = Promise.resolve();

  /**
   * Waits for a turn, and resolves with the function that ends it.
   * @throws the signal's reason, when it is aborted before the turn comes; the place in the queue is given up then
   */
  async take(signal?: AbortSignal): Promise<() => void> {
    const before = this.last;
    let release = () => {};
    const turn = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.last = before.then(() => turn);
    try {
      await abortable(before, signal);
    } catch (reason) {
      release();
      throw reason;
    }
    return release;
  }
}

/** A promise that is given up when the signal is aborted. */
function abortable(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    const stop = onAbort(signal, abort);
    promise.then(resolve, reject).finally(stop);
  });
}
