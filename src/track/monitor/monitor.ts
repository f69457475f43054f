import { type MonitorConfig, type MonitorSettings, monitorSettings } from "./config.ts";
import { type DriftResult, measureDrift } from "./drift.ts";
import type { FeatureOptions, Profile } from "./profile.ts";
import type { LogEntry } from "./record.ts";
import { measureWindow, type WindowMeasures } from "./window.ts";

/** Something that is not as it should be. */
export interface Alarm {
  kind: "drift" | "limit" | "regression";
  /** The feature or the measure, such as "inputCharacters" or "errorRate". */
  what: string;
  value: number;
  /** What the value should not be over; for a score, not below. */
  limit: number;
  /** In words. */
  message: string;
}

/** What was seen in a window of requests. */
export interface WindowReport {
  /** Counted from 1. */
  window: number;
  /** Times of its first and last request, in milliseconds since 1970. */
  fromMs: number;
  toMs: number;
  measures: WindowMeasures;
  drift: DriftResult[];
  alarms: Alarm[];
}

/** An incomplete last window of this share is judged too. */
const LEAST_SHARE = 0.5;

/** Judges requests window by window. */
export class Monitor {
  readonly settings: MonitorSettings;
  private readonly profile: Profile | undefined;
  private readonly options: FeatureOptions;
  private entries: LogEntry[] = [];
  private windows = 0;

  /**
   * @param profile of the training set @default none, and no drift is measured
   * @throws OptionError for a wrong config
   */
  constructor(config: MonitorConfig = {}, profile?: Profile, options: FeatureOptions = {}) {
    this.settings = monitorSettings(config);
    this.profile = profile;
    this.options = options;
  }

  /** Takes a request. @returns what was seen, when it fills a window */
  async add(entry: LogEntry): Promise<WindowReport | undefined> {
    this.entries.push(entry);
    return this.entries.length >= this.settings.window ? this.judge() : undefined;
  }

  /** Judges what is left, when it is half a window or more. */
  async end(): Promise<WindowReport | undefined> {
    return this.entries.length >= this.settings.window * LEAST_SHARE ? this.judge() : undefined;
  }

  private async judge(): Promise<WindowReport> {
    const { entries, profile, options, settings } = this;
    this.entries = [];
    this.windows++;
    const answered = entries.filter(({ status }) => status < 400);
    const measures = measureWindow(
      entries,
      answered.some(({ output }) => output !== undefined),
    );
    const isWatched = ({ feature }: DriftResult) => settings.drift.features?.includes(feature) ?? true;
    const drift = profile ? (await measureDrift(answered, profile, options)).filter(isWatched) : [];
    return {
      window: this.windows,
      fromMs: entries[0].timeMs,
      toMs: entries[entries.length - 1].timeMs,
      measures,
      drift,
      alarms: [...limitAlarms(measures, settings), ...driftAlarms(drift, settings)],
    };
  }
}

const shown = (value: number) => String(Number(value.toPrecision(4)));

function limitAlarms(measures: WindowMeasures, { limits }: MonitorSettings): Alarm[] {
  return Object.entries(limits).flatMap(([what, limit]): Alarm[] => {
    const value = measures[what as keyof typeof limits];
    if (value === undefined || value <= limit) return [];
    return [{ kind: "limit", what, value, limit, message: `${what} is ${shown(value)}, over ${shown(limit)}` }];
  });
}

function driftAlarms(drift: readonly DriftResult[], { drift: { alpha, psi: limit } }: MonitorSettings): Alarm[] {
  const level = alpha / Math.max(1, drift.length);
  return drift.flatMap(({ feature: what, psi: value, test }): Alarm[] => {
    if (test.pValue >= level || value < limit) return [];
    const message = `${what} has drifted: PSI ${shown(value)}, ${test.name} ${shown(test.statistic)} (p ${test.pValue.toExponential(1)})`;
    return [{ kind: "drift", what, value, limit, message }];
  });
}
