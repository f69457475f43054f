/** Who waits with a signal, and how its listener is removed. */
interface Waiting {
  readonly listeners: Set<() => void>;
  stop(): void;
}

const waitingWith = new WeakMap<AbortSignal, Waiting>();

/**
 * Calls `listener` when the signal is aborted, unless the function that it returns was called before. All who wait with
 * one signal share one listener of it: Node takes more than ten for a leak and warns.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  const waiting = waitingWith.get(signal) ?? listen(signal);
  const entry = () => listener(); // the same function may wait twice
  waiting.listeners.add(entry);
  return () => {
    if (waiting.listeners.delete(entry) && waiting.listeners.size === 0) waiting.stop();
  };
}

function listen(signal: AbortSignal): Waiting {
  const listeners = new Set<() => void>();
  const abort = () => {
    for (const call of listeners) call();
  };
  const stop = () => {
    signal.removeEventListener("abort", abort);
    waitingWith.delete(signal);
  };
  signal.addEventListener("abort", abort);
  const waiting = { listeners, stop };
  waitingWith.set(signal, waiting);
  return waiting;
}

/** What a promise comes to, unless a signal is aborted before it. @throws the signal's reason */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) work.catch(() => {}); // nobody waits for it
  signal.throwIfAborted();
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = onAbort(signal, () => reject(signal.reason));
  });
  return Promise.race([work, aborted]).finally(stop);
}
