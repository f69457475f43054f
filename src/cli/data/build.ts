/** `kindling data build`: a data set that a model makes of documents. */
import { readFile, stat } from "node:fs/promises";
import { OptionError } from "../../base/index.ts";
import {
  type BuildOptions,
  type BuildProgress,
  buildPairs,
  dataFilesIn,
  estimateBuild,
  type PairKind,
  type Passage,
  pairMessages,
  passagesOf,
  rowText,
  writeRows,
} from "../../data/index.ts";
import { withReadErrors } from "../../files/index.ts";
import { abortOnInterrupt, INTERRUPTED } from "../interrupt.ts";
import { dropUndefined } from "../sampling.ts";
import { ProgressLine } from "../terminal.ts";
import { type ReadFlags, Reading } from "./reading.ts";

export interface BuildFlags extends ReadFlags {
  url: string;
  model: string;
  apiKey?: string;
  out?: string;
  force?: boolean;
  text?: string;
  kind: PairKind;
  pairs: number;
  passage: number;
  concurrency: number;
  maxTokens: number;
  temperature: number;
  retries: number;
  pricePrompt?: number;
  priceCompletion?: number;
  maxCost?: number;
  minOverlap: number;
  quote: boolean;
  dryRun?: boolean;
}

/** Asks, checks, and writes what is good. */
export async function buildCommand(files: string[], flags: BuildFlags): Promise<void> {
  const passages = await passagesIn(files, flags);
  const options = optionsOf(flags);
  if (flags.dryRun) {
    dryRun(passages, flags, options);
    return;
  }
  const { out } = flags;
  if (out === undefined)
    throw new OptionError({
      where: "data build",
      expected: "--out",
      received: "none",
      fix: "add it, as --out pairs.jsonl",
    });
  const writer = await writeRows(out, { force: flags.force ?? false }); // a place that cannot be written costs nothing
  const line = new ProgressLine(process.stderr);
  const { signal, dispose } = abortOnInterrupt(() => line.print("ending: what was answered is kept"));
  try {
    const onProgress = (progress: BuildProgress) => line.show(progressText(progress));
    const report = await buildPairs(passages, { ...options, journal: `${out}.answers.jsonl`, onProgress, signal });
    line.end();
    for (const row of report.rows) await writer.write(row);
    await writer.close();
    process.stderr.write(`${progressText(report)}\n`);
    for (const [reason, count] of Object.entries(report.refused))
      process.stderr.write(`  ${count} refused: ${reason}\n`);
    if (report.isCutByCost) process.stderr.write("--max-cost is reached: the same command with more goes on\n");
    process.stderr.write(`${out}: ${report.rows.length} rows\n`);
  } catch (error) {
    line.end();
    await writer.abort();
    if (!signal.aborted) throw error;
    process.stderr.write("stopped; the same command goes on\n");
    process.exitCode = INTERRUPTED;
  } finally {
    dispose();
  }
}

/** Text files as documents of their own, and each row of other files. */
async function passagesIn(files: readonly string[], flags: BuildFlags): Promise<Passage[]> {
  const passages: Passage[] = [];
  for (const name of files) {
    const info = await stat(name).catch(() => undefined);
    const paths = info?.isDirectory() ? await dataFilesIn(name) : [name];
    const reading = new Reading(
      paths.filter((path) => !isText(path)),
      flags,
    );
    for (const path of paths.filter(isText)) {
      const text = await withReadErrors(path, "a text", () => readFile(path, "utf8"));
      passages.push(...passagesOf(text.replace(/^\ufeff/, ""), path, flags.passage));
    }
    for await (const { row, place } of reading.rows())
      passages.push(...passagesOf(rowText(row, flags.text), place, flags.passage));
    reading.report();
  }
  return passages;
}

const isText = (path: string) => /\.(txt|md|text)$/i.test(path);

function optionsOf(flags: BuildFlags): Omit<BuildOptions, "journal"> {
  const { url, model, apiKey, maxTokens, temperature, retries, kind, pairs, concurrency, maxCost } = flags;
  const { pricePrompt, priceCompletion, minOverlap, quote: needsQuote } = flags;
  const hasPrices = pricePrompt !== undefined || priceCompletion !== undefined;
  const prices = hasPrices ? { prompt: pricePrompt ?? 0, completion: priceCompletion ?? 0 } : undefined;
  const endpoint = { url, model, maxTokens, temperature, retries, ...(apiKey !== undefined && { apiKey }) };
  return {
    endpoint,
    kind,
    pairs,
    concurrency,
    checks: { minOverlap, needsQuote },
    ...dropUndefined({ prices, maxCost }),
  };
}

function dryRun(
  passages: readonly Passage[],
  { kind, pairs }: BuildFlags,
  options: Omit<BuildOptions, "journal">,
): void {
  const [first] = passages;
  if (first)
    for (const { role, content } of pairMessages(first, kind, pairs)) process.stdout.write(`${role}: ${content}\n\n`);
  const { usage, cost } = estimateBuild(passages, options);
  const price = options.prices ? `, a cost of about ${cost.toPrecision(2)}` : "";
  process.stdout.write(
    `${passages.length} requests, about ${usage.promptTokens} tokens of prompts and ${usage.completionTokens} of answers${price}\n`,
  );
}

function progressText({ done, passages, usage, cost }: BuildProgress): string {
  const price = cost > 0 ? `, cost ${cost.toPrecision(3)}` : "";
  return `${done} of ${passages} passages, ${usage.promptTokens} + ${usage.completionTokens} tokens${price}`;
}
