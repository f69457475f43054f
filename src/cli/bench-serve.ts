import { writeFile } from "node:fs/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import { withWriteErrors } from "../files/index.ts";
import type { LatencyLimits, LoadTestOptions } from "../load-test/index.ts";
import { abortOnInterrupt, INTERRUPTED } from "./interrupt.ts";
import { choice } from "./option-names.ts";
import { integer, number } from "./parse-values.ts";
import { ProgressLine } from "./terminal.ts";

const numberOrInfinity = (text: string) => (/^inf(inity)?$/i.test(text) ? Number.POSITIVE_INFINITY : number(text));

/** "128", or "64-256" */
function tokenRange(text: string): LoadTestOptions["inputTokens"] {
  const [least, most, ...rest] = text.split("-");
  if (rest.length > 0) throw new InvalidArgumentError("write a number of tokens, or a range such as 64-256.");
  return most === undefined ? integer(least) : [integer(least), integer(most)];
}

const limitNames = { ttft: "ttftMs", tpot: "tpotMs", e2e: "e2eMs" } as const;

function addLimit(text: string, before: LatencyLimits = {}): LatencyLimits {
  const [name, milliseconds, ...rest] = text.split(":");
  if (!Object.hasOwn(limitNames, name) || milliseconds === undefined || rest.length > 0)
    throw new InvalidArgumentError("write limits in milliseconds, as ttft:500 tpot:50 e2e:5000.");
  return { ...before, [limitNames[name as keyof typeof limitNames]]: number(milliseconds) };
}

const EXAMPLES = `
Examples:
  kindling bench serve                                              # 100 requests at once to http://127.0.0.1:8080
  kindling bench serve --rate 4 --requests 200 --goodput ttft:500 tpot:50
  kindling bench serve --concurrency 8 --duration 60 --input-tokens 64-256 --output-tokens 128 --ignore-eos
  kindling bench serve --endpoint chat --dataset prompts.jsonl --json out.json
  kindling bench serve --url http://127.0.0.1:8000 --rate 10 --burstiness 0.5 --shared-prefix 512 --cancel 0.1

Lines of a dataset: {"prompt": "Once"} or {"messages": [...]}, with "output_tokens": 64 or without.
Ctrl-C ends the test and prints what there is. Exit codes: 0 done, 130 interrupted, 1 failed.`;

/** Declares `kindling bench serve`. */
export function addBenchServe(bench: Command): void {
  bench
    .command("serve")
    .description("Load a server that speaks OpenAI's API with requests, and measure its answers: TTFT, TPOT, ITL, E2E.")
    .option("--url <address>", "address of the server", "http://127.0.0.1:8080")
    .option("--allow-remote", "the server may be another machine")
    .option("--model <name>", "model to ask for (default: the only one of the server)")
    .addOption(
      choice("--endpoint <name>", "completions take random token ids, chats random words", [
        "completions",
        "chat",
      ]).default("completions"),
    )
    .addOption(new Option("--api-key <key>", "sent as a bearer token; in no report").env("KINDLING_API_KEY"))
    .option("--requests <n>", "requests that are counted (default: 100, or without end with --duration)", integer)
    .option("--rate <n>", "requests a second; inf sends them at once, or as --concurrency lets them", numberOrInfinity)
    .option(
      "--burstiness <n>",
      "1 is a Poisson process, less comes in bursts, inf evenly (default: 1)",
      numberOrInfinity,
    )
    .option("--concurrency <n>", "most requests at a time (default: no limit)", integer)
    .option(
      "--input-tokens <n>",
      "of each prompt, or a range as 64-256 (default: 128, less in short contexts)",
      tokenRange,
    )
    .option("--output-tokens <n>", "most of each answer, or a range (default: 64, less in short contexts)", tokenRange)
    .option("--dataset <name>", "random, or a JSON Lines file of prompts", "random")
    .option("--shared-prefix <tokens>", "further tokens, with which all prompts begin (default: 0)", integer)
    .option("--vocab-size <n>", "random token ids are below it (default: the server is asked which it takes)", integer)
    .option("--seed <n>", "of arrivals, prompts, lengths and cancellations", integer, 0)
    .option("--warmup <n>", "requests before the test that are not counted", integer, 1)
    .option("--duration <seconds>", "send no more after so long; what is under way is waited for", number)
    .option(
      "--goodput <limits...>",
      "count requests within limits of milliseconds: ttft:500 tpot:50 e2e:5000",
      addLimit,
    )
    .option("--temperature <t>", "of the answers (default: the server's)", number)
    .option("--ignore-eos", "ask for answers of full length, as Kindling and vLLM know it")
    .option("--cancel <share>", "share of requests given up in the middle of their answers (default: 0)", number)
    .option("--json <file>", "write the report as JSON too")
    .addHelpText("after", EXAMPLES)
    .action((o) => benchServeCommand(o));
}

/** `kindling bench serve`: a report in Markdown on standard output. */
async function benchServeCommand({ json, ...options }: LoadTestOptions & { json?: string }): Promise<void> {
  const progress = new ProgressLine(process.stderr);
  const { signal, dispose } = abortOnInterrupt(() => {});
  const onProgress: LoadTestOptions["onProgress"] = ({ sent, ended, failed }) =>
    progress.show(`requests: ${sent} sent, ${ended} ended${failed > 0 ? `, ${failed} failed` : ""}`);
  try {
    const { formatLoadReport, loadTest } = await import("../load-test/index.ts");
    const report = await loadTest({ ...options, signal, onProgress });
    progress.end();
    process.stdout.write(formatLoadReport(report));
    if (json !== undefined) await withWriteErrors(json, () => writeFile(json, `${JSON.stringify(report, null, 2)}\n`));
    if (report.isInterrupted) process.exitCode = INTERRUPTED;
    else if (report.requests.successful === 0) process.exitCode = 1;
  } catch (error) {
    progress.end();
    if (!signal.aborted) throw error;
    process.stderr.write("stopped before the first request\n");
    process.exitCode = INTERRUPTED;
  } finally {
    dispose();
  }
}
