import type { LatencyLimits, LoadSettings } from "./options.ts";
import type { RequestMaker } from "./prompts.ts";
import type { ErrorGroup, Latencies, LoadRecord, RequestCounts } from "./record.ts";
import type { ServerFacts } from "./request.ts";
import { shownUrl } from "./server.ts";

/** What a load test measured. Infinite numbers are left out, so that JSON has them all. */
export interface LoadReport extends Latencies {
  url: string;
  endpoint: "chat" | "completions";
  model: string;
  /** What was asked for. */
  load: {
    requests?: number;
    /** Per second. */
    rate?: number;
    burstiness: number | "infinity";
    concurrency?: number;
    /** Whether a request is planned when another ends, there being no rate. */
    isClosedLoop: boolean;
    durationSeconds?: number;
    seed: number;
    /** Least and most. */
    inputTokens?: readonly [number, number];
    outputTokens: readonly [number, number];
    dataset: string;
    sharedPrefix: number;
    vocabSize?: number;
    warmup: number;
    cancel: number;
    temperature?: number;
    ignoreEos: boolean;
  };
  /** Whether the test was ended before its end. */
  isInterrupted: boolean;
  requests: RequestCounts;
  /** From the first planned start to the end of the last request. */
  durationSeconds: number;
  /** Successful requests per second. */
  requestThroughput: number;
  /** Of the successful requests, as the server counts. */
  inputTokens: number;
  outputTokens: number;
  /** Of requests that were given up. */
  cancelledTokens: number;
  /** Tokens per second. */
  inputTokenThroughput: number;
  outputTokenThroughput: number;
  /** Successful requests that kept all limits. */
  goodput?: { limits: LatencyLimits; requests: number; perSecond: number; share: number };
  errors: readonly ErrorGroup[];
  /** What is to be known to read the numbers. */
  notes: readonly string[];
}

interface Measured {
  settings: LoadSettings;
  server: ServerFacts;
  maker: RequestMaker;
  record: LoadRecord;
  startAt: number;
  isInterrupted: boolean;
}

const finite = (value: number) => (Number.isFinite(value) ? value : undefined);

export function reportOf({ settings, server, maker, record, startAt, isInterrupted }: Measured): LoadReport {
  const { counts, inputTokens, outputTokens } = record;
  const seconds = ((record.endAt ?? startAt) - startAt) / 1000;
  const perSecond = (count: number) => (seconds > 0 ? count / seconds : 0);
  const { latencies } = record;
  const isRandom = settings.dataset === "random";
  // the client gave the others up, whatever their latency would have been
  const judged = counts.successful + counts.failed + counts.unsent;
  return {
    url: shownUrl(settings.base),
    endpoint: settings.endpoint,
    model: server.model,
    load: {
      requests: finite(settings.requests),
      rate: finite(settings.rate),
      burstiness: finite(settings.burstiness) ?? "infinity",
      concurrency: finite(settings.concurrency),
      isClosedLoop: settings.isClosedLoop,
      durationSeconds: finite(settings.duration),
      seed: settings.seed,
      ...(isRandom && { inputTokens: maker.inputTokens }),
      outputTokens: maker.outputTokens,
      dataset: settings.dataset,
      sharedPrefix: settings.sharedPrefix,
      vocabSize: server.vocabSize,
      warmup: settings.warmup,
      cancel: settings.cancel,
      temperature: settings.temperature,
      ignoreEos: settings.ignoreEos,
    },
    isInterrupted,
    requests: counts,
    durationSeconds: seconds,
    requestThroughput: perSecond(counts.successful),
    inputTokens,
    outputTokens,
    cancelledTokens: record.cancelledTokens,
    inputTokenThroughput: perSecond(inputTokens),
    outputTokenThroughput: perSecond(outputTokens),
    ...latencies,
    ...(Object.values(settings.goodput).some((limit) => limit !== undefined) && {
      goodput: {
        limits: settings.goodput,
        requests: record.good,
        perSecond: perSecond(record.good),
        share: judged > 0 ? record.good / judged : 0,
      },
    }),
    errors: record.errors,
    notes: notesOf(settings, record, latencies),
  };
}

/** Delays of starts from here on say that the client is too slow, where nothing else holds a start up. */
const LATE_MS = 20;

function notesOf(settings: LoadSettings, record: LoadRecord, { startDelayMs }: Latencies): string[] {
  const { countedBy, counts, arrivals, outputTokens } = record;
  const notes: string[] = [
    settings.isClosedLoop
      ? "Without a rate each request starts when one before it ends: a slow server is asked less. Give a rate to see what waits."
      : "TTFT and E2E count from the planned start of a request, which the seed fixes; those since sent leave out its wait in the client.",
  ];
  if (countedBy.piece < counts.successful && arrivals > 0) {
    const perPiece = outputTokens / arrivals;
    const isEven = Math.abs(perPiece - 1) < 0.05;
    if (!isEven) notes.push(`A piece of an answer has ${perPiece.toFixed(2)} tokens: ITL is the time between pieces.`);
  }
  if (countedBy.client > 0)
    notes.push("The server does not count tokens: output tokens are pieces of answers, and so are those of TPOT.");
  if (record.withoutInput > 0) notes.push(`The server did not count the prompt of ${record.withoutInput} requests.`);
  if (record.inOnePiece > record.severalTokens / 2)
    notes.push("Most answers came all at once: something holds the stream back, and TTFT, TPOT and ITL say little.");
  const delay = startDelayMs.p90 ?? 0;
  const isPlanned = Number.isFinite(settings.rate) && settings.concurrency === Number.POSITIVE_INFINITY;
  if (isPlanned && delay > LATE_MS)
    notes.push(`Starts were late by ${delay.toFixed(0)} ms (P90): this client is too slow for the load.`);
  return notes;
}
