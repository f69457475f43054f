import { checkOptions, known, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import type { WindowMeasures } from "./window.ts";

/** Most of each measure of a window, by name. */
export type WindowLimits = Partial<Record<Exclude<keyof WindowMeasures, "requests" | "outputTokens">, number>>;

/** When a monitor gives an alarm. */
export interface MonitorConfig {
  /** Requests of a window. @default 200 */
  window?: number;
  /** When a feature has drifted: both must hold, that chance is no explanation and that the change is large. */
  drift?: {
    /**
     * Most windows in which anything is called drift though nothing has changed: the tests of a window share it evenly
     * (Bonferroni). @default 0.001
     */
    alpha?: number;
    /** Least population stability index. @default 0.2 */
    psi?: number;
    /** Features that are watched. @default all */
    features?: readonly string[];
  };
  /** Most of what a window measures. @default { errorRate: 0.05 } */
  limits?: WindowLimits;
  /** Prompts that are asked again and again. @default none */
  regression?: {
    /** A JSON Lines file of cases. */
    file: string;
    /** Of the server, such as "http://127.0.0.1:8080/v1". */
    url: string;
    model: string;
    /** The environment variable of the key. @default none */
    keyVariable?: string;
    /** @default 3600 */
    everySeconds?: number;
    /** Least share of cases that must be answered rightly. @default 1 */
    minimumScore?: number;
  };
  /** Alarms are sent there, as JSON. @default none */
  webhook?: string;
  /** A file of measures in Prometheus' text format, for the textfile collector of node_exporter. @default none */
  prometheus?: string;
}

/** With all defaults. */
export interface MonitorSettings extends Omit<MonitorConfig, "drift"> {
  window: number;
  drift: { alpha: number; psi: number; features: readonly string[] | undefined };
  limits: WindowLimits;
}

const limitRules: Readonly<Record<keyof WindowLimits, keyof typeof numberRules>> = {
  errorRate: "fraction",
  refusedRate: "fraction",
  latencyMsP50: "positive",
  latencyMsP95: "positive",
  latencyMsP99: "positive",
  ttftMsP95: "positive",
  truncatedShare: "fraction",
  repeatedShare: "fraction",
  emptyShare: "fraction",
};

/** @throws OptionError naming the field that is unknown or wrong */
export function monitorSettings(config: MonitorConfig, where = "monitor"): MonitorSettings {
  checkOptions(where, config, ["window", "drift", "limits", "regression", "webhook", "prometheus"]);
  const { window = 200, drift = {}, limits = { errorRate: 0.05 }, regression, webhook } = config;
  known(`${where}, drift`, drift, { alpha: true, psi: true, features: true });
  checkOptions(`${where}, limits`, limits, Object.keys(limitRules));
  const { alpha = 0.001, psi = 0.2, features } = drift;
  const { positiveInteger, innerShare, notNegative } = numberRules;
  requireNumbers(where, { window }, { window: positiveInteger });
  requireNumbers(`${where}, drift`, { alpha, psi }, { alpha: innerShare, psi: notNegative });
  for (const [name, value] of Object.entries(limits)) {
    const rule = numberRules[limitRules[name as keyof WindowLimits]];
    requireNumbers(`${where}, limits`, { [name]: value }, { [name]: rule });
  }
  if (features !== undefined && !(Array.isArray(features) && features.every((name) => typeof name === "string")))
    throw wrong(`${where}, drift, features`, "a list of names of features", features);
  if (webhook !== undefined) requireAddress(`${where}, webhook`, webhook);
  if (config.prometheus !== undefined && typeof config.prometheus !== "string")
    throw wrong(`${where}, prometheus`, "a path", config.prometheus);
  if (regression) checkRegression(`${where}, regression`, regression);
  return { ...config, window, limits, drift: { alpha, psi, features } };
}

function checkRegression(where: string, regression: NonNullable<MonitorConfig["regression"]>): void {
  const names = {
    file: true,
    url: true,
    model: true,
    keyVariable: true,
    everySeconds: true,
    minimumScore: true,
  } as const;
  known(where, regression, names);
  const { file, url, model, everySeconds = 3600, minimumScore = 1 } = regression;
  for (const [name, value] of Object.entries({ file, model }))
    if (typeof value !== "string" || value === "") throw wrong(`${where}, ${name}`, "a text", value);
  requireAddress(`${where}, url`, url);
  const { positive, fraction } = numberRules;
  requireNumbers(where, { everySeconds, minimumScore }, { everySeconds: positive, minimumScore: fraction });
}

function requireAddress(where: string, value: unknown): void {
  if (typeof value !== "string" || !/^https?:\/\//.test(value) || !URL.canParse(value))
    throw wrong(where, "an address that begins with http:// or https://", value);
}

const wrong = (where: string, expected: string, value: unknown) =>
  new OptionError({ where, expected, received: JSON.stringify(value) ?? "nothing", fix: "correct the field" });
