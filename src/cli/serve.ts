import { type Command, InvalidArgumentError } from "commander";
import type { RunningServer, ServeOptions } from "../serve/index.ts";
import { abortOnInterrupt } from "./interrupt.ts";
import type { ServerOutput } from "./json-output.ts";
import { collect, integer, number } from "./parse-values.ts";
import { type AdapterFlags, namedAdapter } from "./serve-adapters.ts";
import type { CommandModel } from "./serve-models.ts";
import {
  LONGEST_SECONDS,
  milliseconds,
  type OperationFlags,
  operationsOf,
  withOperations,
} from "./serve-operations.ts";
import { closeWhenInterrupted } from "./server-end.ts";

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
  withOperations(command);
  return command
    .option("--port <n>", "port; 0 takes a free one", integer, 8080)
    .option("--host <address>", "address to listen on; 0.0.0.0 opens it to the network", "127.0.0.1")
    .option(
      "--allowed-hosts <name>",
      "a name to answer to, besides localhost and addresses; .example.org for all below it, * for any (repeatable)",
      collect,
    )
    .option("--cors-origin <origin>", "pages of this origin may use the server, * for all (repeatable)", collect)
    .option(
      "--image-hosts <host>",
      "fetch images of messages from this host, at public addresses; .example.org for all below it, * for any " +
        "(repeatable; default: none)",
      collect,
    )
    .option(
      "--image-private-hosts <host>",
      "fetch them from this host too, which may be in this network, as 10.0.0.5:9000 (repeatable)",
      collect,
    )
    .option("--max-images <n>", "most images of a request (default: 32)", integer)
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
    .option("--data <folder>", "where files and batches are kept (default: none, and their endpoints answer 501)")
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
    .option(
      "--adapter <name=folder>",
      "an adapter of peft (LoRA, prompt or prefix tuning) that requests ask for as a model of that name; of several models " +
        "model:name=folder says whose it is (repeatable)",
      namedAdapter,
    )
    .option(
      "--max-adapters <n>",
      "adapters of a model that are used at the same time (default: those of --adapter, or 4)",
      integer,
    )
    .option("--adapter-folder <folder>", "let clients load adapters below this folder, by vLLM's API (default: none)");
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
export interface ServingFlags extends OperationFlags, AdapterFlags {
  maxSequences?: number;
  cacheTokens?: number;
  prefixTokens?: number;
  port: number;
  host: string;
  allowedHosts?: string[];
  corsOrigin?: string[];
  imageHosts?: string[];
  imagePrivateHosts?: string[];
  maxImages?: number;
  maxQueue?: number;
  queueTimeout?: number;
  timeout?: number;
  data?: string;
  memory?: number;
  keepAlive?: number;
}

export function servingOf(flags: ServingFlags, output: ServerOutput): ServeOptions {
  const {
    port,
    host,
    allowedHosts,
    corsOrigin,
    imageHosts,
    imagePrivateHosts,
    maxImages,
    maxQueue,
    queueTimeout,
    timeout,
    data,
    memory,
    keepAlive,
    adapterFolder,
    ...operations
  } = flags;
  return {
    ...operationsOf(operations, output),
    port,
    host,
    allowedHosts,
    corsOrigins: corsOrigin,
    imageHosts,
    imagePrivateHosts,
    maxImages,
    maxQueue,
    queueTimeoutMs: queueTimeout,
    requestTimeoutMs: timeout,
    dataFolder: data,
    memoryBytes: memory,
    keepAliveMs: keepAlive,
    adapterFolder,
  };
}

/**
 * `kindling serve`: serves until Ctrl-C or SIGTERM. Then requests under way are waited for; a second signal ends them.
 * SIGHUP reads keys and certificates again, where there are some; otherwise it ends the server too.
 */
export async function serveCommand(
  models: readonly CommandModel[],
  options: ServeOptions,
  output: ServerOutput,
): Promise<void> {
  const isReloadable = options.keysFile !== undefined || options.tlsCert !== undefined;
  let server: RunningServer | undefined;
  const onHangUp = isReloadable ? () => void server?.reload() : undefined;
  const interruptions = abortOnInterrupt(() => {}, { onHangUp });
  const { signal } = interruptions;
  const { serve } = await import("../serve/index.ts");
  const entries = models.map(({ entry }) => entry);
  server = await serve(entries, { ...options, signal }).catch((error) => {
    if (error !== signal.reason) throw error;
    process.exit(0); // nothing waits for the model that was being loaded
  });
  const isOpen = options.keysFile === undefined && options.apiKey === undefined;
  if (isOpen && !["127.0.0.1", "localhost", "::1"].includes(options.host ?? "127.0.0.1"))
    output.say("warn", "anybody who reaches this address may use the server: --keys and --api-key ask for a key");
  const serving = `serving ${models.map(({ entry }) => entry.id).join(", ")} at ${server.url}`;
  const page = models.some(({ entry }) => entry.kind === "text-generation")
    ? "open the page in a browser, or:"
    : "try:";
  const example = exampleRequest(server.url, models, !isOpen);
  output.say("info", serving, `\n${serving}\n  ${page}\n  ${example}\n  Ctrl-C ends.`);
  await closeWhenInterrupted(server, interruptions, output);
}

/** A command to try. A model that is not the only one is named. */
function exampleRequest(
  url: string,
  [{ entry, example }, ...others]: readonly CommandModel[],
  hasKeys: boolean,
): string {
  const key = hasKeys ? " -H 'authorization: Bearer KEY'" : "";
  const request = example();
  const model = others.length > 0 ? { model: entry.id } : {};
  if ("form" in request) {
    const fields = [...request.form, ...Object.entries(model).map(([name, value]) => `${name}=${value}`)];
    return `curl ${url}${request.path}${key} ${fields.map((field) => `-F ${field}`).join(" ")}`;
  }
  const body = JSON.stringify({ ...model, ...request.body });
  return `curl ${url}${request.path}${key} -H 'content-type: application/json' -d '${body}'`;
}
