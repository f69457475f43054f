/** Options of `kindling serve` for a server that many may reach: keys, logs, TLS, connections, its end. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { ServeOptions } from "../serve/index.ts";
import type { ServerOutput } from "./json-output.ts";
import { choice } from "./option-names.ts";
import { integer } from "./parse-values.ts";

/** Timers count milliseconds in 31 bits: 24 days. */
export const LONGEST_SECONDS = 2_147_483;

const secondsAbove = (least: "above 0" | "of at least 0") => (text: string) => {
  const seconds = Number(text);
  if (text.trim() === "" || !(least === "above 0" ? seconds > 0 : seconds >= 0))
    throw new InvalidArgumentError(`it is not a number of seconds ${least}.`);
  if (seconds > LONGEST_SECONDS)
    throw new InvalidArgumentError(`it is not a number of seconds of at most ${LONGEST_SECONDS}.`);
  return Math.ceil(seconds * 1000);
};
/** A time that some work takes. */
export const milliseconds = secondsAbove("above 0");

/** Whether requests are logged, and how. */
export const logOption = () =>
  choice(
    "--log [format]",
    "write a line for each request to standard error; with json all lines are objects (default: text)",
    ["text", "json"],
  ).preset("text");

export function withOperations(command: Command): Command {
  return command
    .option("--keys <file>", "API keys that may use the server, made by kindling keys; read again when it changes")
    .addOption(new Option("--api-key <key>", "one key that may use the server").env("KINDLING_API_KEY"))
    .option("--metrics-open", "let anybody read /metrics, though there are keys")
    .addOption(logOption())
    .option("--log-prompts", "add prompts and answers, which are private, to lines of --log json")
    .option("--audit <file>", "append a line of JSON for keys, refusals, reloads, models, start and stop")
    .option("--tls-cert <file>", "serve HTTPS with this certificate (PEM); SIGHUP reads it again")
    .option("--tls-key <file>", "its private key (PEM)")
    .option(
      "--drain-timeout <seconds>",
      "how long requests under way may take when the server ends (default: 25)",
      secondsAbove("of at least 0"),
    )
    .option("--max-connections <n>", "connections at the same time; idle ones give way (default: 4096)", integer)
    .option("--headers-timeout <seconds>", "how long a client may take to send headers (default: 10)", milliseconds)
    .option("--body-timeout <seconds>", "how long it may take to send a request (default: 60)", milliseconds)
    .option(
      "--keep-alive-timeout <seconds>",
      "how long a connection is kept for a further request (default: 75)",
      milliseconds,
    )
    .option("--config <file>", "these options, and models, from a YAML file; the command line goes before it");
}

/** What `withOperations` has read. */
export interface OperationFlags {
  keys?: string;
  apiKey?: string;
  metricsOpen?: boolean;
  log?: "text" | "json";
  logPrompts?: boolean;
  audit?: string;
  tlsCert?: string;
  tlsKey?: string;
  drainTimeout?: number;
  maxConnections?: number;
  headersTimeout?: number;
  bodyTimeout?: number;
  keepAliveTimeout?: number;
}

export const operationsOf = ({ log, ...flags }: OperationFlags, output: ServerOutput): ServeOptions => ({
  keysFile: flags.keys,
  apiKey: flags.apiKey,
  isMetricsOpen: flags.metricsOpen,
  ...(log && { log: output.log, logFormat: log }),
  onReload: (message: string, isRead: boolean) => output.say(isRead ? "info" : "warn", message),
  logPrompts: flags.logPrompts,
  auditFile: flags.audit,
  tlsCert: flags.tlsCert,
  tlsKey: flags.tlsKey,
  drainTimeoutMs: flags.drainTimeout,
  maxConnections: flags.maxConnections,
  headersTimeoutMs: flags.headersTimeout,
  bodyTimeoutMs: flags.bodyTimeout,
  keepAliveTimeoutMs: flags.keepAliveTimeout,
});
