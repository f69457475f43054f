import { type Command, InvalidArgumentError } from "commander";
import { type ServeOptions, serve } from "../serve/index.ts";
import { abortOnInterrupt } from "./interrupt.ts";
import { collect, integer, number } from "./parse-values.ts";
import type { CommandModel } from "./serve-models.ts";

/** Timers count milliseconds in 31 bits: 24 days. */
const LONGEST_SECONDS = 2_147_483;

function milliseconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0)) throw new InvalidArgumentError("it is not a number of seconds above 0.");
  if (seconds > LONGEST_SECONDS)
    throw new InvalidArgumentError(`it is not a number of seconds of at most ${LONGEST_SECONDS}.`);
  return Math.ceil(seconds * 1000);
}

/** How long an idle model stays, as for Ollama: negative for ever. */
function keepAlive(text: string): number | undefined {
  const seconds = number(text);
  if (seconds > LONGEST_SECONDS)
    throw new InvalidArgumentError(`it is not a number of seconds of at most ${LONGEST_SECONDS}.`);
  return seconds < 0 ? undefined : Math.ceil(seconds * 1000);
}

function gibibytes(text: string): number {
  const size = number(text);
  if (!(size > 0)) throw new InvalidArgumentError("it is not a number of GiB above 0.");
  return Math.ceil(size * 2 ** 30);
}

/** Options of a server that many may reach. */
export function withServing(command: Command): Command {
  return command
    .option("--port <n>", "port; 0 takes a free one", integer, 8080)
    .option("--host <address>", "address to listen on; 0.0.0.0 opens it to the network", "127.0.0.1")
    .option(
      "--allowed-hosts <name>",
      "a name to answer to, besides localhost and addresses; .example.org for all below it, * for any (repeatable)",
      collect,
    )
    .option("--cors-origin <origin>", "pages of this origin may use the server, * for all (repeatable)", collect)
    .option("--max-sequences <n>", "texts that are written at the same time (default: 16)", integer)
    .option("--cache-tokens <n>", "most tokens of all texts together that are kept (default: no limit)", integer)
    .option(
      "--prefix-tokens <n>",
      "tokens of prompts that are kept for others that begin alike (default: 8192)",
      integer,
    )
    .option("--max-queue <n>", "most requests that wait; more get 429 (default: 64)", integer)
    .option("--queue-timeout <seconds>", "how long a request may wait (default: 300)", milliseconds)
    .option("--timeout <seconds>", "how long a request may take, its wait included (default: 600)", milliseconds)
    .option(
      "--memory <GiB>",
      "most memory of the weights of all loaded models; idle ones go to make room (default: no limit)",
      gibibytes,
    )
    .option(
      "--keep-alive <seconds>",
      "how long a model stays that nobody uses; 0 ends it at once, a negative number never (default: never)",
      keepAlive,
    )
    .option("--log", "write a line for each request to standard error");
}

/** Prompts of chats begin with all that was said before. */
const PREFIX_TOKENS = 8192;

/** Of the generator that answers. */
export const batchingOf = ({ maxSequences, cacheTokens, prefixTokens = PREFIX_TOKENS }: ServingFlags) => ({
  maxSequences,
  cacheTokens,
  prefixTokens,
});

/** What `withServing` has read. */
export interface ServingFlags {
  maxSequences?: number;
  cacheTokens?: number;
  prefixTokens?: number;
  port: number;
  host: string;
  allowedHosts?: string[];
  corsOrigin?: string[];
  maxQueue?: number;
  queueTimeout?: number;
  timeout?: number;
  memory?: number;
  keepAlive?: number;
  log?: boolean;
}

export function servingOf({
  port,
  host,
  allowedHosts,
  corsOrigin,
  maxQueue,
  queueTimeout,
  timeout,
  memory,
  keepAlive,
  log,
}: ServingFlags): ServeOptions {
  return {
    port,
    host,
    allowedHosts,
    corsOrigins: corsOrigin,
    maxQueue,
    queueTimeoutMs: queueTimeout,
    requestTimeoutMs: timeout,
    memoryBytes: memory,
    keepAliveMs: keepAlive,
    ...(log && { log: (line: string) => process.stderr.write(`${line}\n`) }),
  };
}

/** `kindling serve`: serves until Ctrl-C. */
export async function serveCommand(models: readonly CommandModel[], options: ServeOptions): Promise<void> {
  const server = await serve(
    models.map(({ entry }) => entry),
    options,
  );
  const interrupted = new Promise<void>((resolve) => abortOnInterrupt(resolve)); // before it is said that Ctrl-C ends
  process.stdout.write(`\nserving ${models.map(({ entry }) => entry.id).join(", ")} at ${server.url}\n`);
  const page = models.some(({ entry }) => entry.kind === "text-generation")
    ? "open the page in a browser, or:"
    : "try:";
  process.stdout.write(`  ${page}\n  ${exampleRequest(server.url, models)}\n  Ctrl-C ends.\n`);
  await interrupted;
  await server.close();
}

/** A command to try. A model that is not the only one is named. */
function exampleRequest(url: string, [{ entry, example }, ...others]: readonly CommandModel[]): string {
  const request = example();
  const model = others.length > 0 ? { model: entry.id } : {};
  if ("form" in request) {
    const fields = [...request.form, ...Object.entries(model).map(([name, value]) => `${name}=${value}`)];
    return `curl ${url}${request.path} ${fields.map((field) => `-F ${field}`).join(" ")}`;
  }
  const body = JSON.stringify({ ...model, ...request.body });
  return `curl ${url}${request.path} -H 'content-type: application/json' -d '${body}'`;
}
