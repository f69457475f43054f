import type { Command } from "commander";
import { type ServedModel, type ServeOptions, serve } from "../serve/index.ts";
import { abortOnInterrupt, INTERRUPTED } from "./interrupt.ts";
import { collect, integer } from "./parse-values.ts";
import { milliseconds, type OperationFlags, operationsOf, withOperations } from "./serve-operations.ts";

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
    .option("--max-sequences <n>", "texts that are written at the same time (default: 16)", integer)
    .option("--cache-tokens <n>", "most tokens of all texts together that are kept (default: no limit)", integer)
    .option(
      "--prefix-tokens <n>",
      "tokens of prompts that are kept for others that begin alike (default: 8192)",
      integer,
    )
    .option("--max-queue <n>", "most requests that wait; more get 429 (default: 64)", integer)
    .option("--queue-timeout <seconds>", "how long a request may wait (default: 300)", milliseconds)
    .option("--timeout <seconds>", "how long a request may take, its wait included (default: 600)", milliseconds);
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
export interface ServingFlags extends OperationFlags {
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
}

export function servingOf({
  port,
  host,
  allowedHosts,
  corsOrigin,
  maxQueue,
  queueTimeout,
  timeout,
  ...operations
}: ServingFlags): ServeOptions {
  return {
    ...operationsOf(operations),
    port,
    host,
    allowedHosts,
    corsOrigins: corsOrigin,
    maxQueue,
    queueTimeoutMs: queueTimeout,
    requestTimeoutMs: timeout,
  };
}

/** So soon a server that has nothing under way has ended. */
const SILENT_MS = 300;

/**
 * `kindling serve`: serves until Ctrl-C or SIGTERM. Then requests under way are waited for; a second signal ends them.
 * SIGHUP reads keys and certificates again, where there are some; otherwise it ends the server too.
 */
export async function serveCommand(model: ServedModel, options: ServeOptions): Promise<void> {
  const server = await serve(model, options);
  const isReloadable = options.keysFile !== undefined || options.tlsCert !== undefined;
  const interrupted = new Promise<void>((resolve) => {
    // before it is said that Ctrl-C ends
    const { cancelSignal } = abortOnInterrupt(resolve, { onHangUp: isReloadable ? server.reload : undefined });
    cancelSignal.addEventListener("abort", () => {
      process.exitCode = INTERRUPTED;
      void server.close({ now: true });
    });
  });
  process.stdout.write(`\nserving ${model.id} at ${server.url}\n`);
  process.stdout.write(`  open the page in a browser, or:\n  ${exampleRequest(server.url, model)}\n  Ctrl-C ends.\n`);
  await interrupted;
  const timer = setTimeout(
    () => process.stderr.write("waiting for requests under way; a second Ctrl-C ends them\n"),
    SILENT_MS,
  );
  await server.close();
  clearTimeout(timer);
  model.generator.dispose();
}

/** A command to try, with fewer tokens than the context has. */
function exampleRequest(url: string, { chatTemplate, generator }: ServedModel): string {
  const [path, body] = chatTemplate
    ? ["chat/completions", { messages: [{ role: "user", content: "Hello" }] }]
    : ["completions", { prompt: "Once", max_tokens: Math.min(40, generator.contextLength >> 1) }];
  return `curl ${url}/v1/${path} -H 'content-type: application/json' -d '${JSON.stringify(body)}'`;
}
