import { known, numberRules, OptionError, type OptionNames, requireNumbers } from "../base/index.ts";

/** A number of tokens, or the least and the most of a number that is drawn. */
export type TokenRange = number | readonly [least: number, most: number];

/** What a request has to keep to count as good, in milliseconds. */
export interface LatencyLimits {
  /** To the first token, from the planned start. */
  ttftMs?: number;
  /** A token after the first. */
  tpotMs?: number;
  /** To the end of the answer, from the planned start. */
  e2eMs?: number;
}

/** What a server is loaded with. */
export interface LoadTestOptions {
  /** Address of the server, without "/v1". @default "http://127.0.0.1:8080" */
  url?: string;
  /** Whether the server may be another machine. @default false */
  allowRemote?: boolean;
  /** @default the only model of the server */
  model?: string;
  /** Prompts go as token ids to /v1/completions, as words to /v1/chat/completions. @default "completions" */
  endpoint?: "chat" | "completions";
  /** Sent as a bearer token; in no report. @default none */
  apiKey?: string;
  /** @default 100, or without end where there is a duration */
  requests?: number;
  /** Requests per second. @default Infinity: all at once, or as `concurrency` lets them */
  rate?: number;
  /** Shape of the gamma distribution of the gaps between requests; 1 is a Poisson process, Infinity even. @default 1 */
  burstiness?: number;
  /** Most requests at a time. @default Infinity */
  concurrency?: number;
  /** Of each prompt. @default 128, or half of the model's context where that is less */
  inputTokens?: TokenRange;
  /** Most of each answer. @default what a line of the dataset says, or else 64, or a quarter of the model's context */
  outputTokens?: TokenRange;
  /** "random", or a JSON Lines file of prompts. @default "random" */
  dataset?: string;
  /** Tokens before those of `inputTokens`, with which all prompts begin. @default 0 */
  sharedPrefix?: number;
  /** Random token ids are below it. @default the server is asked which it takes */
  vocabSize?: number;
  /** @default 0 */
  seed?: number;
  /** Requests before the test, one after another, which are not counted. @default 1 */
  warmup?: number;
  /** Seconds after which no more requests are sent; those under way are waited for. @default Infinity */
  duration?: number;
  /** @default none */
  goodput?: LatencyLimits;
  /** @default the server's */
  temperature?: number;
  /** Asks the server, as vLLM knows it, for answers of full length. @default false */
  ignoreEos?: boolean;
  /** Share of requests that the client gives up in the middle of their answers. @default 0 */
  cancel?: number;
  /** Ends the test: what is under way is given up, and the report is of what there is. */
  signal?: AbortSignal;
  /** Called when requests have ended, or begun. */
  onProgress?: (progress: LoadProgress) => void;
}

/** How far a test is, in requests. */
export interface LoadProgress {
  sent: number;
  ended: number;
  failed: number;
}

const names: OptionNames<LoadTestOptions> = {
  url: true,
  allowRemote: true,
  model: true,
  endpoint: true,
  apiKey: true,
  requests: true,
  rate: true,
  burstiness: true,
  concurrency: true,
  inputTokens: true,
  outputTokens: true,
  dataset: true,
  sharedPrefix: true,
  vocabSize: true,
  seed: true,
  warmup: true,
  duration: true,
  goodput: true,
  temperature: true,
  ignoreEos: true,
  cancel: true,
  signal: true,
  onProgress: true,
};
const limitNames: OptionNames<LatencyLimits> = { ttftMs: true, tpotMs: true, e2eMs: true };

const where = "load test";
const { positiveInteger, wholeNumber, limit, fraction, notNegative, interval } = numberRules;

/** Options with their defaults; those left undefined depend on the server. */
export interface LoadSettings extends LoadTestOptions {
  base: URL;
  endpoint: "chat" | "completions";
  requests: number;
  rate: number;
  burstiness: number;
  concurrency: number;
  /** Whether a request starts when another ends: at most so many at a time, and no rate. */
  isClosedLoop: boolean;
  dataset: string;
  sharedPrefix: number;
  seed: number;
  warmup: number;
  duration: number;
  goodput: LatencyLimits;
  ignoreEos: boolean;
  cancel: number;
  inputTokens: readonly [number, number] | undefined;
  outputTokens: readonly [number, number] | undefined;
}

/** @throws OptionError for options that are unknown, out of range, or of no effect with the others */
export function settingsOf(options: LoadTestOptions): LoadSettings {
  known(where, options, names);
  const { url = "http://127.0.0.1:8080", endpoint = "completions", duration = Number.POSITIVE_INFINITY } = options;
  const { rate = Number.POSITIVE_INFINITY, concurrency = Number.POSITIVE_INFINITY } = options;
  const settings = {
    ...options,
    base: baseOf(url, options.allowRemote ?? false),
    endpoint,
    requests: options.requests ?? (duration < Number.POSITIVE_INFINITY ? Number.POSITIVE_INFINITY : 100),
    rate,
    burstiness: options.burstiness ?? 1,
    concurrency,
    isClosedLoop: rate === Number.POSITIVE_INFINITY && concurrency < Number.POSITIVE_INFINITY,
    dataset: options.dataset ?? "random",
    sharedPrefix: options.sharedPrefix ?? 0,
    seed: options.seed ?? 0,
    warmup: options.warmup ?? 1,
    duration,
    goodput: known(`${where}, goodput`, options.goodput ?? {}, limitNames),
    ignoreEos: options.ignoreEos ?? false,
    cancel: options.cancel ?? 0,
    inputTokens: rangeOf("inputTokens", options.inputTokens),
    outputTokens: rangeOf("outputTokens", options.outputTokens),
  };
  if (endpoint !== "chat" && endpoint !== "completions") {
    const fix = "take one of them";
    throw new OptionError({ where, expected: "endpoint chat or completions", received: JSON.stringify(endpoint), fix });
  }
  requireNumbers(where, settings, {
    requests: interval,
    rate: limit,
    burstiness: limit,
    concurrency: interval,
    sharedPrefix: wholeNumber,
    seed: wholeNumber,
    warmup: wholeNumber,
    duration: limit,
    cancel: fraction,
  });
  const { vocabSize = 1, temperature = 0 } = options;
  requireNumbers(where, { vocabSize, temperature }, { vocabSize: positiveInteger, temperature: notNegative });
  requireNumbers(
    `${where}, goodput`,
    { ...{ ttftMs: 1, tpotMs: 1, e2eMs: 1 }, ...settings.goodput },
    {
      ttftMs: limit,
      tpotMs: limit,
      e2eMs: limit,
    },
  );
  requireEffect(settings);
  return settings;
}

/** Refuses options that would do nothing, and a test that would have no end. */
function requireEffect(settings: LoadSettings): void {
  const refuse = (expected: string, received: string, fix: string) => {
    throw new OptionError({ where, expected, received, fix });
  };
  const { requests, rate, concurrency, dataset, endpoint } = settings;
  const isOpenEnded = requests === Number.POSITIVE_INFINITY;
  if (isOpenEnded && settings.duration === Number.POSITIVE_INFINITY)
    refuse("requests or a duration", "requests without end", "give requests, or a duration");
  if (isOpenEnded && rate === Number.POSITIVE_INFINITY && concurrency === Number.POSITIVE_INFINITY)
    refuse(
      "a rate or a concurrency with a duration",
      "all requests at once, without end",
      "give a rate or a concurrency",
    );
  if (settings.burstiness !== 1 && rate === Number.POSITIVE_INFINITY)
    refuse("a rate with burstiness", "burstiness alone", "give a rate, or leave burstiness out");
  if (dataset !== "random")
    for (const name of ["inputTokens", "sharedPrefix", "vocabSize"] as const)
      if (settings[name])
        refuse(`no ${name} with a dataset, whose prompts it does not change`, name, `leave ${name} out`);
  if (endpoint === "chat" && settings.vocabSize)
    refuse("no vocabSize for a chat, whose prompts are words", "vocabSize", "leave vocabSize out");
}

function rangeOf(name: string, range: TokenRange | undefined): readonly [number, number] | undefined {
  if (range === undefined) return undefined;
  const [least, most] = typeof range === "number" ? [range, range] : range;
  if (Number.isSafeInteger(least) && Number.isSafeInteger(most) && least >= 1 && most >= least) return [least, most];
  throw new OptionError({
    where,
    expected: `${name}: a number of tokens from 1, or the least and the most of them`,
    received: typeof range === "number" ? String(range) : `${least} to ${most}`,
    fix: "write 128, or 64-256",
  });
}

const isLoopback = (host: string) =>
  host === "localhost" || host.endsWith(".localhost") || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);

function baseOf(url: string, allowRemote: boolean): URL {
  const base = URL.canParse(url) ? new URL(url) : undefined;
  if (base === undefined || !["http:", "https:"].includes(base.protocol)) {
    const fix = "write it as http://127.0.0.1:8080";
    throw new OptionError({ where, expected: "a url of http or https", received: JSON.stringify(url), fix });
  }
  if (!allowRemote && !isLoopback(base.hostname)) {
    throw new OptionError({
      where,
      expected: "a url of this machine",
      received: base.host,
      fix: "load only servers that you may load, and say so with allowRemote",
    });
  }
  base.pathname = base.pathname.replace(/\/+$/, "").replace(/\/v1$/, "");
  base.search = "";
  base.hash = "";
  return base;
}
