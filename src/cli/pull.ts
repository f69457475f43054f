import { type HubOptions, pull } from "../hub/index.ts";
import { abortOnInterrupt, INTERRUPTED } from "./interrupt.ts";
import { formatBytes } from "./terminal.ts";

/** Shows on a terminal how far each file is. */
export function progressOf(): Pick<HubOptions, "onProgress"> {
  if (!process.stderr.isTTY) return {};
  return {
    onProgress: ({ file, doneBytes, totalBytes }) => {
      const isDone = doneBytes === totalBytes;
      process.stderr.write(
        `\r\x1b[K${file}  ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}${isDone ? "\n" : ""}`,
      );
    },
  };
}

/** `kindling pull`: the model's folder on standard output. Ctrl-C keeps what has arrived. */
export async function pullCommand(repository: string, options: HubOptions): Promise<void> {
  const { signal, dispose } = abortOnInterrupt(() =>
    process.stderr.write("\nstopped; the same command goes on from here\n"),
  );
  try {
    process.stdout.write(`${await pull(repository, { ...options, ...progressOf(), signal })}\n`);
  } catch (error) {
    if (!signal.aborted) throw error;
    process.exitCode = INTERRUPTED;
  } finally {
    dispose();
  }
}
