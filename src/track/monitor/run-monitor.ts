import { OptionError } from "../../base/index.ts";
import type { MonitorConfig } from "./config.ts";
import { type Alarm, Monitor, type WindowReport } from "./monitor.ts";
import { type MonitorTotals, sendAlarms, writePrometheus } from "./outlets.ts";
import type { FeatureOptions, Profile } from "./profile.ts";
import { logEntryOf } from "./record.ts";
import { type ReplayCase, type ReplayResult, readReplayCases, regressionAlarm, replay } from "./replay.ts";

/** What a monitor reads, and whom it tells. */
export interface MonitorRun extends FeatureOptions {
  config: MonitorConfig;
  /** Of the training set. @default none, and no drift is measured */
  profile?: Profile;
  /** Of a server's log, as they come. */
  lines: AsyncIterable<string>;
  /** Called for each window of requests. @default nothing */
  onWindow?: (report: WindowReport) => void;
  /** Called when questions were asked again. @default nothing */
  onReplay?: (result: ReplayResult) => void;
  /** Called with what is alarming. @default nothing */
  onAlarms?: (alarms: readonly Alarm[]) => void;
  /** Gets what did not work without ending the monitor: an alarm that could not be sent, a server that is away. */
  onFailure?: (message: string) => void;
  /** Where the key of the server is. @default that of the process */
  environment?: Readonly<Record<string, string | undefined>>;
  signal?: AbortSignal;
}

/**
 * Watches a log until it ends: judges its windows, asks the regression set at the beginning and again at intervals, and
 * tells of alarms. Neither a webhook nor a server that is away ends it; the latter is an alarm.
 * @throws OptionError for a wrong config; DataError for files that cannot be read
 */
export async function runMonitor(run: MonitorRun): Promise<MonitorTotals> {
  const monitor = new Monitor(run.config, run.profile, { countTokens: run.countTokens });
  const watch = new Watch(run, monitor);
  const { regression } = monitor.settings;
  const cases = regression && (await readReplayCases(regression.file));
  const asking = cases && watch.askAgainAndAgain(cases);
  try {
    for await (const line of run.lines) {
      const entry = logEntryOf(line);
      const report = entry && (await monitor.add(entry));
      if (report) await watch.tellWindow(report);
    }
    const last = await monitor.end();
    if (last) await watch.tellWindow(last);
  } finally {
    watch.stop();
    await asking;
  }
  return watch.totals;
}

class Watch {
  readonly totals: MonitorTotals = { windows: 0, alarms: 0 };
  private readonly run: MonitorRun;
  private readonly monitor: Monitor;
  private readonly signal: AbortSignal;
  private timer: NodeJS.Timeout | undefined;
  private wake: (() => void) | undefined;
  private isOver = false;
  private lastReport: WindowReport | undefined;

  constructor(run: MonitorRun, monitor: Monitor) {
    this.run = run;
    this.monitor = monitor;
    this.signal = run.signal ?? new AbortController().signal;
  }

  async tellWindow(report: WindowReport): Promise<void> {
    this.totals.windows++;
    this.lastReport = report;
    this.run.onWindow?.(report);
    await this.tell(report.alarms);
  }

  /** The regression set, at once and every so many seconds until `stop`. */
  async askAgainAndAgain(cases: readonly ReplayCase[]): Promise<void> {
    const { everySeconds = 3600 } = this.monitor.settings.regression ?? {};
    for (;;) {
      await this.ask(cases);
      if (this.isOver) return;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
        this.timer = setTimeout(resolve, 1000 * everySeconds);
      });
      if (this.isOver) return;
    }
  }

  stop(): void {
    this.isOver = true;
    clearTimeout(this.timer);
    this.wake?.();
  }

  private async ask(cases: readonly ReplayCase[]): Promise<void> {
    const { url = "", model = "", keyVariable, minimumScore = 1 } = this.monitor.settings.regression ?? {};
    try {
      const apiKey = keyVariable === undefined ? undefined : keyOf(keyVariable, this.run.environment ?? process.env);
      const result = await replay(cases, { url, model, apiKey }, this.signal);
      this.totals.score = result.score;
      this.run.onReplay?.(result);
      const alarm = regressionAlarm(result, minimumScore);
      await this.tell(alarm ? [alarm] : []);
    } catch (error) {
      if (this.signal.aborted) return;
      const message = `the regression set could not be asked: ${messageOf(error)}`;
      this.totals.score = 0;
      await this.tell([{ kind: "regression", what: "score", value: 0, limit: minimumScore, message }]);
    }
  }

  private async tell(alarms: readonly Alarm[]): Promise<void> {
    const { webhook, prometheus } = this.monitor.settings;
    this.totals.alarms += alarms.length;
    if (alarms.length > 0) this.run.onAlarms?.(alarms);
    if (alarms.length > 0 && webhook !== undefined)
      await sendAlarms(webhook, alarms, this.signal).catch((error) => this.fail("an alarm could not be sent", error));
    if (prometheus !== undefined)
      await writePrometheus(prometheus, this.totals, this.lastReport).catch((error) =>
        this.fail("measures could not be written", error),
      );
  }

  private fail(what: string, error: unknown): void {
    if (!this.signal.aborted) this.run.onFailure?.(`${what}: ${messageOf(error)}`);
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** @throws OptionError when the variable is not set */
function keyOf(variable: string, environment: Readonly<Record<string, string | undefined>>): string {
  const key = environment[variable];
  if (key) return key;
  throw new OptionError({
    where: "monitor, regression, keyVariable",
    expected: `a key in the environment variable ${variable}`,
    received: "none",
    fix: "set it",
  });
}
