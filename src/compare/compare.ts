import { OptionError } from "../base/index.ts";
import type { PriceTable } from "../gateway/index.ts";
import { type Clock, Slots, systemClock } from "../http/index.ts";
import { Judge, type JudgeMode } from "./judge.ts";
import { checkMetric, type MetricName, metrics } from "./metrics.ts";
import type { Prompt } from "./prompts.ts";
import { type CompareReport, type ScoredResult, summarized } from "./report.ts";
import { type Result, ResultFile } from "./results.ts";
import { Asker, type Target } from "./target.ts";

export interface CompareOptions {
  targets: readonly Target[];
  prompts: readonly Prompt[];
  /** @default none: only times, tokens and costs are compared */
  metric?: MetricName;
  /** A model that judges answers, in place of a metric. @default none */
  judge?: Target & { mode: JudgeMode; rubric?: string };
  /** Requests at a time to each target. @default 4 */
  concurrency?: number;
  /** Of answers. @default 0 */
  temperature?: number;
  /** File of answers, by which a comparison that was ended goes on. @default none */
  resultsFile?: string;
  /** @default none: costs are not known */
  prices?: PriceTable;
  signal?: AbortSignal;
  /** Is told after each answer how many there are of how many. */
  onProgress?: (done: number, all: number) => void;
  /** @default the system's */
  clock?: Clock;
}

/**
 * Puts the same questions to several models, and tells how good, how fast and how dear they are.
 * @throws OptionError for options that do not fit together; DataError for prompts without what the metric needs
 */
export async function compare(options: CompareOptions): Promise<CompareReport> {
  const {
    targets,
    prompts,
    metric,
    judge,
    prices,
    clock = systemClock,
    signal = new AbortController().signal,
  } = options;
  checkCompare(options);
  const file = await ResultFile.open(options.resultsFile);
  let done = 0;
  const onDone = () => options.onProgress?.(++done, targets.length * prompts.length);
  const runs = await Promise.all(targets.map((target) => answersOf(target, options, { file, clock, signal, onDone })));
  const scored = judge
    ? await judged(runs, options, clock, signal)
    : runs.map((run) =>
        run.results.map((result, i) =>
          withScore(result, metric && "text" in result ? metrics[metric](result.text, run.prompts[i]) : undefined),
        ),
      );
  return {
    quality: judge ? `judge ${judge.model}, ${judge.mode}` : (metric ?? "none"),
    prompts: prompts.length,
    isInterrupted: signal.aborted,
    currency: prices?.currency,
    targets: runs.map(({ target, seconds }, i) => summarized(target, scored[i], seconds, prices)),
  };
}

function checkCompare({ targets, prompts, metric, judge, concurrency = 4 }: CompareOptions): void {
  const refuse = (expected: string, received: string, fix: string): never => {
    throw new OptionError({ where: "compare", expected, received, fix });
  };
  if (targets.length === 0) refuse("at least one upstream", "none", "name one");
  if (new Set(targets.map(({ name }) => name)).size < targets.length)
    refuse("a name for each upstream", "one twice", "rename one");
  if (metric && judge) refuse("a metric or a judge", "both", "leave one out");
  if (judge?.mode === "pairwise" && targets.length < 2) refuse("two upstreams for pairs", "one", "name another");
  if (!Number.isSafeInteger(concurrency) || concurrency < 1)
    refuse("concurrency to be a positive integer", String(concurrency), "correct it");
  for (const { url } of targets)
    if (!URL.canParse(url) || !/^https?:/.test(url))
      refuse("an address as http://127.0.0.1:8080/v1", url, "correct it");
  if (metric) checkMetric(metric, prompts);
}

interface Run {
  target: Target;
  /** Those that have a result. */
  prompts: Prompt[];
  results: Result[];
  /** In which answers came; 0 where all were there before. */
  seconds: number;
}

interface Running {
  file: ResultFile;
  clock: Clock;
  signal: AbortSignal;
  onDone: () => void;
}

async function answersOf(
  target: Target,
  options: CompareOptions,
  { file, clock, signal, onDone }: Running,
): Promise<Run> {
  const { prompts, concurrency = 4, temperature = 0 } = options;
  const asker = new Asker(target, clock);
  const slots = new Slots(concurrency);
  const start = clock.now();
  let isAsked = false;
  const answer = async (prompt: Prompt): Promise<Result | undefined> => {
    const key = { target: target.name, model: target.model, id: prompt.id, hash: prompt.hash };
    const known = file.find(key);
    if (known === undefined && !(await slots.take(signal))) return undefined;
    try {
      if (known) return known;
      isAsked = true;
      const reply = await asker.ask(prompt.messages, { maxTokens: prompt.maxTokens, temperature }, signal);
      if (reply === undefined) return undefined;
      const result = { ...key, ...reply };
      await file.add(result);
      return result;
    } finally {
      if (known === undefined) slots.give();
      onDone();
    }
  };
  try {
    const results = await Promise.all(prompts.map(answer));
    const pairs = prompts.flatMap((prompt, i) => (results[i] ? [{ prompt, result: results[i] }] : []));
    return {
      target,
      prompts: pairs.map(({ prompt }) => prompt),
      results: pairs.map(({ result }) => result),
      seconds: isAsked ? (clock.now() - start) / 1000 : 0,
    };
  } finally {
    asker.close();
  }
}

const withScore = (result: Result, score: number | undefined): ScoredResult => ({
  ...result,
  score: "error" in result ? undefined : score,
});

/** Scores by a judge: of each answer, or against that of the first target. */
async function judged(
  runs: readonly Run[],
  { judge, concurrency = 4 }: CompareOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<ScoredResult[][]> {
  if (judge === undefined) return [];
  const asker = new Asker(judge, clock);
  const model = new Judge(asker, judge.rubric);
  const slots = new Slots(concurrency);
  const baseline = new Map(runs[0].results.map((result) => [result.id, result]));
  const scoreOf = async (prompt: Prompt, result: Result, isBaseline: boolean): Promise<ScoredResult> => {
    if ("error" in result || !(await slots.take(signal))) return withScore(result, undefined);
    try {
      if (judge.mode === "score") return withScore(result, await model.score(prompt, result.text, signal));
      const other = baseline.get(result.id);
      if (isBaseline) return withScore(result, 0.5);
      if (other === undefined || "error" in other) return withScore(result, undefined);
      return withScore(result, await model.prefer(prompt, result.text, other.text, signal));
    } finally {
      slots.give();
    }
  };
  try {
    return await Promise.all(
      runs.map((run, i) => Promise.all(run.results.map((result, j) => scoreOf(run.prompts[j], result, i === 0)))),
    );
  } finally {
    asker.close();
  }
}
