import { DataError, OptionError } from "../base/index.ts";
import { readText } from "../files/index.ts";
import type { LoadSettings } from "./options.ts";
import { randomNumbers, streams, wholeFrom } from "./random.ts";
import { requestOf, type ServerFacts, userMessage } from "./request.ts";
import { words } from "./words.ts";

/** A request as it is sent. */
export interface PlannedRequest {
  path: string;
  body: string;
  /** Tokens after which the client goes away; undefined for one that waits for the whole answer. */
  cancelAfter: number | undefined;
}

/** A line of a dataset: a prompt or messages, and perhaps how long the answer may be. */
interface DatasetLine {
  prompt?: string | number[];
  messages?: unknown[];
  outputTokens?: number;
}

const DEFAULT_INPUT = 128;
const DEFAULT_OUTPUT = 64;
/** Shares of a short context that the defaults take. */
const INPUT_SHARE = 1 / 2;
const OUTPUT_SHARE = 1 / 4;

const numberAtMost = (fallback: number, most: number) => {
  const value = Math.max(1, Math.min(fallback, Math.floor(most)));
  return [value, value] as const;
};

/**
 * Makes requests by their index: the seed and the index alone say what one is, and nothing is kept.
 * @throws OptionError for prompts and answers that the model's context has no room for
 */
export class RequestMaker {
  private readonly settings: LoadSettings;
  private readonly server: ServerFacts;
  private readonly dataset: readonly DatasetLine[] | undefined;
  readonly inputTokens: readonly [number, number];
  readonly outputTokens: readonly [number, number];
  private readonly prefixIds: readonly number[];
  private readonly prefixWords: readonly string[];

  constructor(settings: LoadSettings, server: ServerFacts, dataset: readonly DatasetLine[] | undefined) {
    this.settings = settings;
    this.server = server;
    this.dataset = dataset;
    const { contextLength = Number.POSITIVE_INFINITY, wordTokens } = server;
    const { sharedPrefix, seed } = settings;
    const prefix = randomNumbers(seed, streams.prefix);
    this.inputTokens = settings.inputTokens ?? numberAtMost(DEFAULT_INPUT, contextLength * INPUT_SHARE - sharedPrefix);
    this.outputTokens = settings.outputTokens ?? numberAtMost(DEFAULT_OUTPUT, contextLength * OUTPUT_SHARE);
    this.prefixIds = settings.endpoint === "completions" ? this.randomIds(prefix, sharedPrefix) : [];
    this.prefixWords = randomWords(prefix, Math.round(sharedPrefix / wordTokens.perWord));
    const longest = this.inputTokens[1] + sharedPrefix + this.outputTokens[1];
    if (dataset === undefined && longest > contextLength) {
      throw new OptionError({
        where: "load test",
        expected: `inputTokens, sharedPrefix and outputTokens of at most the ${contextLength} of the model's context`,
        received: `${longest}`,
        fix: "choose smaller ones",
      });
    }
  }

  /** @param stream of random numbers @default those of the requests that are counted */
  at(index: number, stream: number = streams.requests): PlannedRequest {
    const { endpoint, cancel } = this.settings;
    const next = randomNumbers(this.settings.seed, stream, index);
    const inputTokens = wholeFrom(next, ...this.inputTokens);
    let outputTokens = wholeFrom(next, ...this.outputTokens);
    const isCancelled = next() < cancel;
    const cancelAt = next();
    const line = this.dataset?.[index % this.dataset.length];
    if (line?.outputTokens !== undefined && this.settings.outputTokens === undefined) outputTokens = line.outputTokens;
    const prompt = line ? datasetPrompt(line, endpoint) : this.randomPrompt(next, inputTokens);
    return {
      ...requestOf(this.settings, this.server, prompt, outputTokens),
      cancelAfter: isCancelled ? 1 + Math.floor(cancelAt * Math.max(1, outputTokens - 1)) : undefined,
    };
  }

  private randomPrompt(next: () => number, inputTokens: number): object {
    const { wordTokens } = this.server;
    if (this.settings.endpoint === "completions")
      return { prompt: [...this.prefixIds, ...this.randomIds(next, inputTokens)] };
    const count = Math.max(1, Math.round((inputTokens - wordTokens.fixed) / wordTokens.perWord));
    return userMessage([...this.prefixWords, ...randomWords(next, count)].join(" "));
  }

  private randomIds(next: () => number, count: number): number[] {
    const { vocabSize = 1 } = this.server;
    return Array.from({ length: count }, () => wholeFrom(next, 0, vocabSize - 1));
  }
}

const randomWords = (next: () => number, count: number): string[] =>
  Array.from({ length: count }, () => words[wholeFrom(next, 0, words.length - 1)]);

function datasetPrompt({ prompt, messages }: DatasetLine, endpoint: "chat" | "completions"): object {
  if (endpoint === "completions") return { prompt };
  return messages ? { messages } : userMessage(String(prompt));
}

/**
 * The lines of a JSON Lines file: {"prompt": text or token ids} or {"messages": [...]}, with "output_tokens" or not.
 * @throws DataError naming the line that is none, or that the endpoint cannot take
 */
export async function readDataset(path: string, endpoint: "chat" | "completions"): Promise<DatasetLine[]> {
  const text = await readText(path, "a JSON Lines file of prompts");
  const lines = text.split("\n").flatMap((line, i) => (line.trim() === "" ? [] : [datasetLine(line, i + 1)]));
  if (lines.length === 0) throw refusal(path, "at least one line", "an empty file");
  return lines;

  function datasetLine(line: string, number: number): DatasetLine {
    const where = `${path}, line ${number}`;
    let json: unknown;
    try {
      json = JSON.parse(line);
    } catch {
      throw refusal(where, "an object in JSON", line.slice(0, 60));
    }
    const { prompt, messages, output_tokens: outputTokens } = (json ?? {}) as Record<string, unknown>;
    const isIds =
      Array.isArray(prompt) && prompt.length > 0 && prompt.every((id) => Number.isSafeInteger(id) && id >= 0);
    const isText = typeof prompt === "string" && prompt !== "";
    const isChat = Array.isArray(messages) && messages.length > 0;
    if (!(isText || (endpoint === "chat" ? isChat : isIds))) {
      const expected = endpoint === "chat" ? 'a text "prompt", or "messages"' : 'a "prompt": a text, or token ids';
      throw refusal(where, `${expected} for the endpoint ${endpoint}`, line.slice(0, 60));
    }
    if (outputTokens !== undefined && !(Number.isSafeInteger(outputTokens) && (outputTokens as number) > 0))
      throw refusal(where, '"output_tokens" to be a positive integer', JSON.stringify(outputTokens));
    return { prompt, messages, outputTokens } as DatasetLine;
  }
}

const refusal = (where: string, expected: string, received: string) =>
  new DataError({ where, expected, received, fix: 'write lines such as {"prompt": "Once", "output_tokens": 64}' });
