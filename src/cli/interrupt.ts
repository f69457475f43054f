/** Exit code of a command that was interrupted, whichever signal it was. */
export const INTERRUPTED = 130;

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** What has not ended so long after it was cancelled, such as the writing of a large checkpoint, the system ends. */
const GRACE_MS = 1000;

/** What interruptions ask for. */
export interface Interruptions {
  /** The first: to end as soon as the work under way can be saved. */
  signal: AbortSignal;
  /** The second: to end now. */
  cancelSignal: AbortSignal;
  dispose: () => void;
}

interface InterruptOptions {
  /** Called for SIGHUP, as servers have it: to read files again. @default it interrupts, as a closed terminal does */
  onHangUp?: (() => void) | undefined;
}

/**
 * Turns Ctrl-C, a request to end and a closed terminal into abort signals. After the second the program has a second to
 * end by itself; then, and at a third, the system ends it.
 */
export function abortOnInterrupt(onFirst: () => void, { onHangUp }: InterruptOptions = {}): Interruptions {
  const [first, second] = [new AbortController(), new AbortController()];
  let timer: NodeJS.Timeout | undefined;
  const dispose = () => {
    clearTimeout(timer);
    for (const name of signals) process.off(name, handler);
  };
  const handler = (name: NodeJS.Signals, number?: number) => {
    // without a number it is no signal: nobody reads the output any more (onOutputError)
    if (name === "SIGHUP" && onHangUp && number !== undefined) {
      onHangUp();
      return;
    }
    // the system ends the program; process.exit would wait for a graph that is being compiled
    const kill = () => {
      dispose();
      process.kill(process.pid, name);
    };
    if (!first.signal.aborted) {
      first.abort();
      onFirst();
    } else if (name === "SIGHUP") {
      // a closed terminal is told to each process of it, and comes after Ctrl-C too
    } else if (!second.signal.aborted) {
      second.abort();
      timer = setTimeout(kill, GRACE_MS);
      timer.unref();
    } else kill();
  };
  for (const name of signals) process.on(name, handler);
  return { signal: first.signal, cancelSignal: second.signal, dispose };
}

/**
 * What to do when nobody reads the output any more, as with `| head` or a closed terminal: a command that saves when it
 * is interrupted does so, others end.
 */
export function onOutputError(error: NodeJS.ErrnoException): void {
  if (process.listenerCount("SIGHUP") > 0) process.emit("SIGHUP", "SIGHUP");
  else process.exit(process.exitCode ?? (error.code === "EPIPE" ? 0 : 1));
}
