/** Data sets that a model makes of documents: asked for once, kept as they come, checked at the end. */
import { type FileHandle, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { checkOptions, isObject, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import { makeFolder, withWriteErrors } from "../../files/index.ts";
import { fingerprintOf, type Row } from "../rows/rows.ts";
import { ModelClient, type ModelEndpoint, type Usage } from "./ask.ts";
import { type PairChecks, pairChecker } from "./check.ts";
import { type GeneratedPair, type PairKind, type Passage, PROMPT_VERSION, pairMessages, pairsIn } from "./pairs.ts";

/** What is made of documents, and by which model. */
export interface BuildOptions {
  endpoint: ModelEndpoint;
  /** @default "qa" */
  kind?: PairKind;
  /** Pairs that are asked for of each passage. @default 5 */
  pairs?: number;
  /** A file that keeps the answers as they come; the same call goes on behind them. */
  journal: string;
  /** Requests at the same time. @default 4 */
  concurrency?: number;
  /** Price of a million tokens of prompts and of answers, in any currency. @default nothing */
  prices?: { prompt: number; completion: number };
  /** No further request is sent once so much was spent. @default no limit */
  maxCost?: number;
  /** @default as `PairChecks` */
  checks?: PairChecks;
  /** Called after each document. @default nothing */
  onProgress?: (progress: BuildProgress) => void;
  /** Ends the work; what was answered is kept. */
  signal?: AbortSignal;
}

/** How far the work is. */
export interface BuildProgress {
  passages: number;
  done: number;
  usage: Usage;
  cost: number;
}

/** What came of it. */
export interface BuildReport extends BuildProgress {
  /** Rows with `messages`, and the place and the quote that each rests on. */
  rows: Row[];
  /** How many pairs were refused, by reason. */
  refused: Readonly<Record<string, number>>;
  /** Whether maxCost ended it before all passages were done. */
  isCutByCost: boolean;
}

const optionNames = [
  ...["endpoint", "kind", "pairs", "journal", "concurrency", "prices", "maxCost", "checks", "onProgress", "signal"],
];
/** An answer that is no list is asked for once more. */
const FORM_ATTEMPTS = 2;

/** An answer as the journal keeps it. */
interface Entry {
  key: string;
  /** None where the model gave no list. */
  pairs: GeneratedPair[] | null;
  usage: Usage;
}

/** What requests would take, by the length of texts: four characters a token, or two of Chinese and Japanese three. */
export function estimateBuild(
  passages: readonly Passage[],
  options: Pick<BuildOptions, "kind" | "pairs" | "prices">,
): BuildProgress {
  const { kind = "qa", pairs = 5, prices } = options;
  const tokensOf = (text: string) => {
    const wide = text.match(/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/gu)?.length ?? 0;
    return Math.ceil(wide / 1.5 + (text.length - wide) / 4);
  };
  const usage = { promptTokens: 0, completionTokens: passages.length * pairs * PAIR_TOKENS };
  for (const passage of passages)
    for (const { content } of pairMessages(passage, kind, pairs)) usage.promptTokens += tokensOf(content);
  return { passages: passages.length, done: 0, usage, cost: costOf(usage, prices) };
}

/** Of a question, an answer of two sentences and a quote. */
const PAIR_TOKENS = 120;

const costOf = ({ promptTokens, completionTokens }: Usage, prices: BuildOptions["prices"]): number =>
  prices ? (promptTokens * prices.prompt + completionTokens * prices.completion) / 1e6 : 0;

/**
 * Has a model write pairs of questions and answers, or of tasks and results, about passages, and checks that each rests
 * on its passage: its quote stands there, its words and numbers are those of the passage, in the same language, and no
 * question comes twice. Answers are kept as they come, so that a call which was ended goes on without asking again.
 * @throws OptionError for wrong options; DataError for what the server refuses; RuntimeError where it does not answer
 */
export async function buildPairs(passages: readonly Passage[], options: BuildOptions): Promise<BuildReport> {
  checkBuildOptions(options);
  const { endpoint, kind = "qa", pairs = 5, concurrency = 4, prices, maxCost = Number.POSITIVE_INFINITY } = options;
  const { signal = new AbortController().signal, onProgress } = options;
  const keyOf = ({ text }: Passage) =>
    fingerprintOf(text, endpoint.model, kind, String(pairs), String(PROMPT_VERSION)).slice(0, 32);
  const journal = await Journal.open(options.journal);
  const keys = passages.map(keyOf);
  const state = { passages: passages.length, done: 0, usage: journal.usageOf(keys), cost: 0 };
  state.cost = costOf(state.usage, prices);
  const waiting = [...new Map(passages.map((passage, i) => [keys[i], passage]))].filter(([key]) => !journal.has(key));
  state.done = passages.length - waiting.length;
  const client = new ModelClient(endpoint);
  const stopped = new AbortController();
  const either = AbortSignal.any([signal, stopped.signal]);
  const work = async () => {
    for (let next = waiting.shift(); next; next = state.cost < maxCost ? waiting.shift() : undefined) {
      const [key, passage] = next;
      const entry = await askFor(client, { key, passage, kind, pairs, signal: either });
      await journal.add(entry);
      state.done++;
      state.usage = sumOf(state.usage, entry.usage);
      state.cost = costOf(state.usage, prices);
      onProgress?.({ ...state });
    }
  };
  try {
    if (state.cost < maxCost) {
      const stop = (error: unknown) => {
        stopped.abort(error);
        throw error;
      };
      const results = await Promise.allSettled(Array.from({ length: concurrency }, () => work().catch(stop)));
      signal.throwIfAborted();
      if (stopped.signal.aborted) throw stopped.signal.reason;
      for (const result of results) if (result.status === "rejected") throw result.reason;
    }
  } finally {
    client.close();
    await journal.close();
  }
  const checked = await checkedRows(passages, keys, journal, options.checks);
  return { ...state, ...checked, isCutByCost: waiting.length > 0 };
}

function checkBuildOptions(options: BuildOptions): void {
  const where = "buildPairs";
  checkOptions(where, options, optionNames);
  const { kind = "qa", pairs = 5, concurrency = 4, maxCost = Number.POSITIVE_INFINITY, prices } = options;
  const { positiveInteger, limit, notNegative } = numberRules;
  requireNumbers(
    where,
    { pairs, concurrency, maxCost },
    { pairs: positiveInteger, concurrency: positiveInteger, maxCost: limit },
  );
  if (prices) requireNumbers(where, { ...prices }, { prompt: notNegative, completion: notNegative });
  const refuse = (expected: string, received: string) =>
    new OptionError({ where, expected, received, fix: "correct the option" });
  if (kind !== "qa" && kind !== "instruction") throw refuse('kind to be "qa" or "instruction"', JSON.stringify(kind));
  if (options.maxCost !== undefined && !prices) throw refuse("prices, by which maxCost is reached", "none");
}

interface Job {
  key: string;
  passage: Passage;
  kind: PairKind;
  pairs: number;
  signal: AbortSignal;
}

async function askFor(client: ModelClient, { key, passage, kind, pairs, signal }: Job): Promise<Entry> {
  let usage: Usage = { promptTokens: 0, completionTokens: 0 };
  for (let attempt = 1; ; attempt++) {
    const answer = await client.ask(pairMessages(passage, kind, pairs), signal);
    usage = sumOf(usage, answer.usage);
    const list = pairsIn(answer.text);
    if (list || attempt === FORM_ATTEMPTS) return { key, pairs: list ?? null, usage };
  }
}

const sumOf = (a: Usage, b: Usage): Usage => ({
  promptTokens: a.promptTokens + b.promptTokens,
  completionTokens: a.completionTokens + b.completionTokens,
});

async function checkedRows(
  passages: readonly Passage[],
  keys: readonly string[],
  journal: Journal,
  checks: PairChecks | undefined,
): Promise<{ rows: Row[]; refused: Record<string, number> }> {
  const check = await pairChecker(checks);
  const rows: Row[] = [];
  const refused: Record<string, number> = {};
  const refuse = (reason: string) => {
    refused[reason] = (refused[reason] ?? 0) + 1;
  };
  for (const [i, { text, place }] of passages.entries()) {
    const entry = journal.entry(keys[i]);
    if (entry && entry.pairs === null) refuse("an answer that is no list of pairs");
    for (const pair of entry?.pairs ?? []) {
      const reason = check(pair, text);
      if (reason !== undefined) {
        refuse(reason);
        continue;
      }
      const messages = [
        { role: "user", content: pair.question },
        { role: "assistant", content: pair.answer },
      ];
      rows.push({ messages, source: place, quote: pair.quote });
    }
  }
  return { rows, refused };
}

/** Answers in a file of JSON Lines, to which each is appended as it comes. */
class Journal {
  private readonly entries: Map<string, Entry>;
  private readonly file: FileHandle;
  private readonly path: string;

  private constructor(path: string, file: FileHandle, entries: Map<string, Entry>) {
    this.path = path;
    this.file = file;
    this.entries = entries;
  }

  /** A line that a kill has left half written is passed over: it is asked for again. */
  static async open(path: string): Promise<Journal> {
    const text = await readFile(path, "utf8").catch(() => "");
    const entries = new Map<string, Entry>();
    for (const line of text.split("\n")) {
      try {
        const value: unknown = JSON.parse(line);
        if (isObject(value) && typeof value.key === "string" && isObject(value.usage))
          entries.set(value.key, value as unknown as Entry);
      } catch {} // half a line
    }
    return withWriteErrors(path, async () => {
      await makeFolder(dirname(path));
      const file = await open(path, "a");
      if (text !== "" && !text.endsWith("\n")) await file.writeFile("\n");
      return new Journal(path, file, entries);
    });
  }

  has(key: string): boolean {
    return this.entries.has(key);
  }

  entry(key: string): Entry | undefined {
    return this.entries.get(key);
  }

  usageOf(keys: readonly string[]): Usage {
    const known = [...new Set(keys)].flatMap((key) => this.entries.get(key)?.usage ?? []);
    return known.reduce(sumOf, { promptTokens: 0, completionTokens: 0 });
  }

  async add(entry: Entry): Promise<void> {
    this.entries.set(entry.key, entry);
    await withWriteErrors(this.path, () => this.file.writeFile(`${JSON.stringify(entry)}\n`));
  }

  close(): Promise<void> {
    return withWriteErrors(this.path, async () => {
      await this.file.sync();
      await this.file.close();
    });
  }
}
