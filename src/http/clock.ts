import { LONGEST_TIMER_MS, onAbort } from "../base/index.ts";

/** Time, which tests can hold. */
export interface Clock {
  /** In milliseconds, from some beginning on. */
  now(): number;
  /** Resolves at this time, or when the signal is aborted. */
  sleepUntil(time: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  async sleepUntil(time, signal) {
    // a timer may be early by a part of a millisecond
    for (let rest = time - performance.now(); rest > 0 && !signal.aborted; rest = time - performance.now()) {
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          stop();
          resolve();
        };
        const timer = setTimeout(done, Math.min(rest, LONGEST_TIMER_MS));
        const stop = onAbort(signal, done);
      });
    }
  },
};
