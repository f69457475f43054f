/** What a server writes beside its requests, with `--log json`: each line is an object of JSON. */
import { formatWithOptions } from "node:util";
import type { LogLevel } from "../serve/index.ts";

export interface ServerOutput {
  /** Writes a line of the log of requests. */
  log(line: string): void;
  /**
   * Tells how the server is.
   * @param text for people, where it says more @default the message
   */
  say(level: LogLevel, message: string, text?: string): void;
}

/** Words: for people on standard output, all else on standard error. */
const inWords: ServerOutput = {
  log: (line) => process.stderr.write(`${line}\n`),
  say: (level, message, text = message) => (level === "info" ? process.stdout : process.stderr).write(`${text}\n`),
};

/** What writes to the console, and at which level. */
const consoleLevels = { log: "info", info: "info", debug: "info", warn: "warn", error: "error" } as const;

/**
 * The output of a server. With JSON nothing else is written from now on: what libraries, threads and Node itself write
 * to the console becomes an object too, and all of it goes to standard error.
 */
export async function serverOutput(logFormat: "text" | "json" | undefined): Promise<ServerOutput> {
  if (logFormat !== "json") return inWords;
  const { logLine } = await import("../serve/index.ts");
  const { stdout, stderr } = process;
  const write = stderr.write.bind(stderr);
  const log = (line: string) => void write(`${line}\n`);
  const say = (level: LogLevel, message: string) => log(logLine(level, message));
  const texts = { colors: false };
  for (const [name, level] of Object.entries(consoleLevels))
    console[name as keyof typeof consoleLevels] = (...values) => say(level, formatWithOptions(texts, ...values));
  // what is written at once is a line, whatever stands in it
  const writer = (level: LogLevel): typeof stderr.write => {
    return (bytes: Uint8Array | string, encoding?: unknown, done?: unknown) => {
      const text = typeof bytes === "string" ? bytes : Buffer.from(bytes).toString("utf8");
      if (text.trim() !== "") say(level, text.trim());
      const called = typeof encoding === "function" ? encoding : done;
      if (typeof called === "function") process.nextTick(called as () => void);
      return true;
    };
  };
  stdout.write = writer("info");
  stderr.write = writer("error");
  stderr.isTTY = false; // where there is no progress of downloads
  process.removeAllListeners("warning");
  process.on("warning", (warning) => say("warn", warning.stack ?? String(warning)));
  process.on("uncaughtException", (error) => {
    say("error", error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exit(1);
  });
  return { log, say };
}
