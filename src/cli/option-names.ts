import { InvalidArgumentError, Option } from "commander";
import { errorMessage, type KindlingError, nearest, OptionError } from "../base/index.ts";
import type { RunConfig } from "../train/index.ts";
import { typedSamplingFlags } from "./sampling-flags.ts";

/** What sets each setting of a run on the command line. */
export const trainingOptions: Readonly<Record<keyof RunConfig, string>> = {
  text: "--text",
  tokenizer: "--tokenizer",
  vocabSize: "--vocab-size",
  contextLength: "--context",
  hiddenSize: "--width",
  numLayers: "--layers",
  numHeads: "--heads",
  dropout: "--dropout",
  batchSize: "--batch",
  steps: "--steps",
  maxSeconds: "--max-seconds",
  learningRate: "--lr",
  warmupSteps: "--warmup",
  weightDecay: "--weight-decay",
  clipNorm: "--clip",
  precision: "--precision",
  seed: "--seed",
  evaluationInterval: "--eval-every",
  checkpointInterval: "--save-every",
};

/** Options of bench serve that have another name there, or whose numbers are checked. */
const loadTestOptions: Readonly<Record<string, string>> = {
  allowRemote: "--allow-remote",
  apiKey: "--api-key",
  requests: "--requests",
  rate: "--rate",
  burstiness: "--burstiness",
  concurrency: "--concurrency",
  inputTokens: "--input-tokens",
  outputTokens: "--output-tokens",
  sharedPrefix: "--shared-prefix",
  duration: "--duration",
  warmup: "--warmup",
  cancel: "--cancel",
};

/** The library's name of each option whose value it checks, and what the user typed. */
const optionNames: Readonly<Record<string, string>> = {
  ...trainingOptions,
  maxNewTokens: "--tokens",
  contextShift: "--context-shift",
  cacheDtype: "--cache-dtype",
  threads: "--threads",
  ...typedSamplingFlags,
  maxSequences: "--max-sequences",
  maxAdapters: "--max-adapters",
  cacheTokens: "--cache-tokens",
  prefixTokens: "--prefix-tokens",
  maxQueue: "--max-queue",
  queueTimeoutMs: "--queue-timeout",
  requestTimeoutMs: "--timeout",
  memoryBytes: "--memory",
  keepAliveMs: "--keep-alive",
  corsOrigins: "--cors-origin",
  allowedHosts: "--allowed-hosts",
  imageHosts: "--image-hosts",
  imagePrivateHosts: "--image-private-hosts",
  maxImages: "--max-images",
  keysFile: "--keys",
  auditFile: "--audit",
  logFormat: "--log",
  logPrompts: "--log-prompts",
  tlsCert: "--tls-cert",
  tlsKey: "--tls-key",
  drainTimeoutMs: "--drain-timeout",
  maxConnections: "--max-connections",
  headersTimeoutMs: "--headers-timeout",
  bodyTimeoutMs: "--body-timeout",
  keepAliveTimeoutMs: "--keep-alive-timeout",
  requestsPerMinute: "--requests-per-minute",
  tokensPerMinute: "--tokens-per-minute",
  tokensPerDay: "--tokens-per-day",
  ...loadTestOptions,
};

const isTwoWords = (name: string) => /[A-Z]/.test(name);
const twoWords = new RegExp(`\\b(${Object.keys(optionNames).filter(isTwoWords).join("|")})\\b`, "g");
/** Such as "dropout from 0": a name of one word is the option's only where its value is spoken of. */
const oneWord = new RegExp(
  `(^|, )(a )?(${Object.keys(optionNames)
    .filter((name) => !isTwoWords(name))
    .join("|")})(?= (to be|above|of at least|from|that is|\\S+ instead of)\\b)`,
  "g",
);

/** A text of the library with the options as they are typed. */
const asTyped = (text: string): string =>
  text
    .replace(twoWords, (name) => optionNames[name])
    .replace(
      oneWord,
      (_, before: string, article: string | undefined, name: string) => `${before}${article ?? ""}${optionNames[name]}`,
    );

/** Files of options have names of their own. */
const isOfFile = ({ where }: OptionError): boolean => /\.(ya?ml|json|[cm]?[jt]s)\b/i.test(where);

/** What an error says, in the words of the command line. */
export function messageOf(error: KindlingError): string {
  if (!(error instanceof OptionError) || isOfFile(error)) return error.message;
  const { where, expected, received, fix } = error;
  return errorMessage({
    where: asTyped(where),
    expected: asTyped(expected),
    received: asTyped(received),
    fix: asTyped(fix),
  });
}

/** The property in which commander keeps an option. */
export const propertyOf = (option: string): string => new Option(option).attributeName();

/** The members of a union of texts; the type of the record has the compiler check that none is missing. */
export const namesOf = <K extends string>(names: Readonly<Record<K, true>>): K[] => Object.keys(names) as K[];

/** An option with a choice of values; a value near one of them is asked about. */
export function choice(flags: string, description: string, values: readonly string[]): Option {
  const option = new Option(flags, description).choices(values);
  const parse = option.parseArg as (text: string, previous: unknown) => unknown;
  return option.argParser((text, previous) => {
    const near = values.includes(text) ? undefined : nearest(text, values);
    if (near !== undefined)
      throw new InvalidArgumentError(`Did you mean ${near}? Allowed choices are ${values.join(", ")}.`);
    return parse(text, previous);
  });
}
