/** Time, which tests turn by hand. */
export interface Clock {
  /** Milliseconds, of which only differences count. */
  now(): number;
  /** Calls back when so many milliseconds have passed, unless what it returns is called before. */
  after(ms: number, call: () => void): () => void;
}

/** The time of this process, which it keeps alive for nobody. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
