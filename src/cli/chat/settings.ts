/** What `/set` changes: how tokens are picked, under the names of the API, and what is shown. */
import type { TextOptions } from "../../generate/index.ts";

export interface ChatSettings {
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  max_tokens?: number;
  seed?: number;
  repetition_penalty?: number;
  presence_penalty?: number;
  frequency_penalty?: number;
  stop?: readonly string[];
  /** What an answer took is told below it. @default false */
  stats?: boolean;
}

type SettingName = keyof ChatSettings;

interface NumberSetting {
  expected: string;
  accepts: (value: number) => boolean;
  /** Of the library. */
  option: keyof TextOptions;
}

const between = (least: number, most: number, option: keyof TextOptions): NumberSetting => ({
  expected: `a number from ${least} to ${most}`,
  accepts: (value) => value >= least && value <= most,
  option,
});
const whole = (least: number, option: keyof TextOptions): NumberSetting => ({
  expected: `a whole number from ${least}`,
  accepts: (value) => Number.isSafeInteger(value) && value >= least,
  option,
});
const above0 = (most: number, option: keyof TextOptions): NumberSetting => ({
  expected: most === Number.POSITIVE_INFINITY ? "a number above 0" : `a number above 0 and at most ${most}`,
  accepts: (value) => value > 0 && value <= most,
  option,
});

const numbers = {
  temperature: between(0, 2, "temperature"),
  top_p: above0(1, "topP"),
  top_k: whole(0, "topK"),
  min_p: between(0, 1, "minP"),
  max_tokens: whole(1, "maxNewTokens"),
  seed: whole(0, "seed"),
  repetition_penalty: above0(Number.POSITIVE_INFINITY, "repetitionPenalty"),
  presence_penalty: between(-2, 2, "presencePenalty"),
  frequency_penalty: between(-2, 2, "frequencyPenalty"),
} as const satisfies Record<Exclude<SettingName, "stop" | "stats">, NumberSetting>;

export const settingNames: readonly SettingName[] = [
  ...(Object.keys(numbers) as (keyof typeof numbers)[]),
  "stop",
  "stats",
];

/** What takes a setting away. */
const DEFAULT = "default";

/** Settings after `/set <name> <value>`, or what is wrong with it, in words. */
export function changed(settings: ChatSettings, name: string, value: string): ChatSettings | string {
  const key = name.toLowerCase().replaceAll("-", "_") as SettingName;
  if (!settingNames.includes(key)) return `/set: expected one of ${settingNames.join(", ")}; received ${name}`;
  if (value === DEFAULT) return Object.fromEntries(Object.entries(settings).filter(([other]) => other !== key));
  if (key === "stats") {
    if (value !== "on" && value !== "off") return `/set stats: expected on or off; received ${value || "nothing"}`;
    return { ...settings, stats: value === "on" };
  }
  if (value === "") return `/set ${key}: expected a value, or "${DEFAULT}"; received nothing`;
  if (key === "stop") return { ...settings, stop: [value.replaceAll("\\n", "\n")] };
  const number = Number(value);
  const { expected, accepts } = numbers[key];
  return accepts(number) ? { ...settings, [key]: number } : `/set ${key}: expected ${expected}; received ${value}`;
}

/** One line for each setting. */
export const listed = (settings: ChatSettings): string =>
  settingNames.map((name) => `${name.padEnd(20)} ${shown(settings[name])}`).join("\n");

function shown(value: ChatSettings[SettingName]): string {
  if (value === undefined) return DEFAULT;
  if (typeof value === "boolean") return value ? "on" : "off";
  return typeof value === "number" ? String(value) : value.map((text) => JSON.stringify(text)).join(", ");
}

/** The settings of the command line, and those that `/set` has put in their place. */
export function textOptions(settings: ChatSettings): TextOptions {
  const { stop, stats, ...rest } = settings;
  const options = Object.entries(rest).map(([name, value]) => [numbers[name as keyof typeof numbers].option, value]);
  return { ...Object.fromEntries(options), ...(stop && { stop }) };
}

/** Options of the command line as settings, and those that `/set` does not know. */
export function splitOptions({ stop, ...options }: TextOptions): { settings: ChatSettings; others: TextOptions } {
  const others: Record<string, unknown> = { ...options };
  const settings: Record<string, unknown> = stop ? { stop } : {};
  for (const [name, { option }] of Object.entries(numbers)) {
    if (others[option] !== undefined) settings[name] = others[option];
    delete others[option];
  }
  return { settings, others };
}
