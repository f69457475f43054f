/** Exit code of a command that was interrupted and has saved what it had, whichever signal it was. */
export const INTERRUPTED = 130;

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Turns Ctrl-C, a request to end and a closed terminal into an abort signal, so that the work under way can be saved. A second Ctrl-C ends the
 * program at once.
 */
export function abortOnInterrupt(onFirst: () => void): { signal: AbortSignal; dispose: () => void } {
  const controller = new AbortController();
  const dispose = () => {
    for (const name of signals) process.off(name, handler);
  };
  const handler = (name: NodeJS.Signals) => {
    if (!controller.signal.aborted) {
      controller.abort();
      onFirst();
    } else if (name !== "SIGHUP") {
      dispose();
      process.kill(process.pid, name); // the system ends the program; process.exit would wait for the run under way, and fail in it
    }
  };
  for (const name of signals) process.on(name, handler);
  return { signal: controller.signal, dispose };
}

/**
 * What to do when nobody reads the output any more, as with `| head` or a closed terminal: a command that saves when it is interrupted does so,
 * others end.
 */
export function onOutputError(error: NodeJS.ErrnoException): void {
  if (process.listenerCount("SIGHUP") > 0) process.emit("SIGHUP", "SIGHUP");
  else process.exit(process.exitCode ?? (error.code === "EPIPE" ? 0 : 1));
}
