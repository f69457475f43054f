import { InvalidArgumentError, Option } from "commander";
import type { TextOptions } from "../generate/index.ts";
import { collect, integer, number } from "./parse-values.ts";

/** Token ids with commas between them. */
function tokenIds(text: string): number[] {
  return text.split(",").map((id) => {
    const value = integer(id);
    if (value < 0) throw new InvalidArgumentError("token ids are numbers from 0 on, with commas between them.");
    return value;
  });
}

function addSequence(text: string, before: readonly number[][] = []): number[][] {
  return [...before, tokenIds(text)];
}

function addBias(text: string, before: Readonly<Record<number, number>> = {}): Record<number, number> {
  const [id, bias, ...others] = text.split("=");
  if (bias === undefined || others.length > 0) throw new InvalidArgumentError("write a token id, = and a number.");
  return { ...before, [tokenIds(id)[0]]: number(bias) };
}

/** An option that says how tokens are picked. */
export interface SamplingFlag {
  /** As commander reads them. */
  flags: string;
  description: string;
  /** The text of a value, and what was read before of an option that may be repeated. */
  parse: (text: string, before: never) => unknown;
}

/** Options that say how tokens are picked, by their names in the library. */
export const samplingFlags = {
  temperature: {
    flags: "--temperature <t>",
    description: "0 takes the likeliest token, higher is more varied (default: the model's own, or 0)",
    parse: number,
  },
  topK: {
    flags: "--top-k <k>",
    description: "only the k likeliest tokens; 0 is all (default: the model's own, or 50)",
    parse: integer,
  },
  topP: {
    flags: "--top-p <p>",
    description: "only the likeliest tokens of total probability p (default: the model's own, or 1)",
    parse: number,
  },
  minP: {
    flags: "--min-p <p>",
    description: "only tokens at least p times as probable as the likeliest (default: the model's own, or 0)",
    parse: number,
  },
  topNSigma: {
    flags: "--top-n-sigma <n>",
    description: "only tokens with logits less than n standard deviations below the largest (default: all)",
    parse: number,
  },
  xtcProbability: {
    flags: "--xtc-probability <p>",
    description: "how often the likeliest tokens but the last of them are left out (default: 0)",
    parse: number,
  },
  xtcThreshold: {
    flags: "--xtc-threshold <p>",
    description: "what makes a token one of the likeliest for --xtc-probability (default: 0.1)",
    parse: number,
  },
  mirostat: {
    flags: "--mirostat <version>",
    description: "2 holds the surprise of the text near --mirostat-tau, in place of other limits (default: 0, off)",
    parse: integer,
  },
  mirostatTau: {
    flags: "--mirostat-tau <bits>",
    description: "the surprise of a token that --mirostat aims at (default: 5)",
    parse: number,
  },
  mirostatEta: {
    flags: "--mirostat-eta <rate>",
    description: "how fast --mirostat corrects it (default: 0.1)",
    parse: number,
  },
  repetitionPenalty: {
    flags: "--repetition-penalty <x>",
    description: "above 1 makes tokens that there are already less likely (default: the model's own, or 1)",
    parse: number,
  },
  presencePenalty: {
    flags: "--presence-penalty <x>",
    description: "taken from the logit of each token that was written, from -2 to 2 (default: 0)",
    parse: number,
  },
  frequencyPenalty: {
    flags: "--frequency-penalty <x>",
    description: "the same for each time that it was written (default: 0)",
    parse: number,
  },
  dryMultiplier: {
    flags: "--dry-multiplier <x>",
    description: "how strongly longer and longer repetitions are discouraged, such as 0.8 (default: 0)",
    parse: number,
  },
  dryBase: {
    flags: "--dry-base <x>",
    description: "by how much --dry-multiplier grows with each token of a repetition (default: 1.75)",
    parse: number,
  },
  dryAllowedLength: {
    flags: "--dry-allowed-length <n>",
    description: "tokens of a repetition from which on --dry-multiplier grows (default: 2)",
    parse: integer,
  },
  dryPenaltyLastN: {
    flags: "--dry-penalty-last-n <n>",
    description: "in how many last tokens repetitions are looked for (default: all)",
    parse: integer,
  },
  drySequenceBreakers: {
    flags: "--dry-sequence-breaker <text>",
    description: 'what no repetition goes beyond (may be repeated; default: a new line, ":", a quotation mark, "*")',
    parse: collect,
  },
  minNewTokens: {
    flags: "--min-tokens <n>",
    description: "least tokens to make before the text may end (default: the model's own, or 0)",
    parse: integer,
  },
  badWordsIds: {
    flags: "--bad-words <ids>",
    description: "token ids, with commas, that never follow one another (may be repeated)",
    parse: addSequence,
  },
  allowedTokenIds: {
    flags: "--allowed-tokens <ids>",
    description: "nothing but these token ids, with commas",
    parse: tokenIds,
  },
  logitBias: {
    flags: "--logit-bias <id=x>",
    description: "added to the logit of a token (may be repeated)",
    parse: addBias,
  },
} as const satisfies Record<string, SamplingFlag>;

export type SamplingFlagName = keyof typeof samplingFlags;

/** The option of each name as it is typed. */
export const typedSamplingFlags = Object.fromEntries(
  Object.entries(samplingFlags).map(([name, { flags }]) => [name, flags.split(" ")[0]]),
) as Record<SamplingFlagName, string>;

/** What was typed, by the names of the library. */
export const samplingValues = (typed: Readonly<Record<string, unknown>>): Pick<TextOptions, SamplingFlagName> =>
  Object.fromEntries(
    Object.entries(samplingFlags).map(([name, { flags }]) => [name, typed[new Option(flags).attributeName()]]),
  );
