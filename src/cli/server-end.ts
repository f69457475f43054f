import { once } from "node:events";
import { INTERRUPTED, type Interruptions } from "./interrupt.ts";
import type { ServerOutput } from "./json-output.ts";

/** So soon a server that has nothing under way has ended. */
const SILENT_MS = 300;

interface Closable {
  /** @param options.now does not wait for requests under way */
  close(options?: { now?: boolean }): Promise<void>;
}

/** Waits for a signal to end, then for requests under way; a second signal ends them, and the exit code tells it. */
export async function closeWhenInterrupted(
  server: Closable,
  { signal, cancelSignal }: Pick<Interruptions, "signal" | "cancelSignal">,
  output: ServerOutput,
): Promise<void> {
  const hurry = () => {
    process.exitCode = INTERRUPTED;
    void server.close({ now: true });
  };
  cancelSignal.addEventListener("abort", hurry);
  if (!signal.aborted) await once(signal, "abort");
  const timer = setTimeout(
    () => output.say("warn", "waiting for requests under way; a second Ctrl-C ends them"),
    SILENT_MS,
  );
  if (cancelSignal.aborted) hurry();
  await server.close();
  clearTimeout(timer);
}
