/** `kindling monitor`: whether a model that is served still sees and answers what it was trained for. */
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Command } from "commander";
import { DataError, isObject, withYamlErrors } from "../base/index.ts";
import { withReadErrors } from "../files/index.ts";
import type { Alarm, FeatureOptions, MonitorConfig, ReplayResult, WindowReport } from "../track/index.ts";
import { abortOnInterrupt } from "./interrupt.ts";
import { number } from "./parse-values.ts";
import { tableOf } from "./terminal.ts";

const importTrack = () => import("../track/index.ts");
/** Exit code of a watch or a replay with alarms. */
const ALARMED = 2;

const EXAMPLES = `
Examples:
  kindling monitor profile train.jsonl --output profile.json
  kindling serve my --log json --log-prompts 2> server.log
  kindling monitor watch server.log --profile profile.json --follow
  kindling monitor watch server.log --profile profile.json --config monitor.yaml
  kindling monitor replay cases.jsonl --url http://127.0.0.1:8080/v1 --model my

Exit codes: 0 no alarm, 2 alarms, 1 failed.`;

interface WatchFlags {
  profile?: string;
  config?: string;
  tokenizer?: string;
  follow?: boolean;
  json?: boolean;
}

/** Declares `kindling monitor`. */
export function addMonitor(program: Command): void {
  const monitor = program
    .command("monitor")
    .description("Watch a model that is served: drift from its training set, errors, times, known answers.")
    .addHelpText("after", EXAMPLES);
  const tokenizer = ["--tokenizer <path>", "folder or file of a tokenizer, to count tokens too"] as const;
  monitor
    .command("profile")
    .argument("<data>", "a JSON Lines file of the training set: messages, or prompt and completion, or text and label")
    .description("Write what the requests and answers of a training set are like.")
    .option("--output <file>", "where to write the profile", "profile.json")
    .option(...tokenizer)
    .action((data, o) => profileCommand(data, o));
  monitor
    .command("watch")
    .argument("<log>", "what kindling serve --log json writes, or - for standard input")
    .description("Judge a log window by window, and tell of alarms.")
    .option("--profile <file>", "of kindling monitor profile (default: none, and no drift is measured)")
    .option("--config <file>", "YAML: window, drift, limits, regression, webhook, prometheus")
    .option(...tokenizer)
    .option("--follow", "go on as the log grows, until Ctrl-C")
    .option("--json", "a line of JSON for each window")
    .action((log, o) => watchCommand(log, o));
  monitor
    .command("replay")
    .argument("<cases>", 'a JSON Lines file of {"prompt": "2+2?", "expected": "4"}, with "metric" or without')
    .description("Ask a server prompts whose answers are known, once.")
    .requiredOption("--url <address>", "of an OpenAI-compatible API, such as http://127.0.0.1:8080/v1")
    .requiredOption("--model <name>", "which model to ask")
    .option("--key-variable <name>", "the environment variable of the server's key")
    .option("--minimum <share>", "least share of right answers (default: 1)", number)
    .action((cases, o) => replayCommand(cases, o));
}

async function featureOptions(path: string | undefined): Promise<FeatureOptions> {
  if (path === undefined) return {};
  const { Tokenizer } = await import("../tokenizers/index.ts");
  const tokenizer = await Tokenizer.open(path);
  return { countTokens: async (text) => (await tokenizer.encode(text)).length };
}

async function profileCommand(
  data: string,
  { output, tokenizer }: { output: string; tokenizer?: string },
): Promise<void> {
  const { makeProfile, readRows, saveProfile } = await importTrack();
  const profile = await makeProfile(await readRows(data), await featureOptions(tokenizer));
  await saveProfile(output, profile);
  const features = [...Object.keys(profile.numeric), ...Object.keys(profile.categories)];
  process.stdout.write(`wrote ${output}: ${profile.rows} rows, ${features.join(", ")}\n`);
}

/** @throws DataError for a file that cannot be read, or is no object */
async function readConfig(path: string | undefined): Promise<MonitorConfig> {
  if (path === undefined) return {};
  const { parse } = await import("yaml");
  const text = await withReadErrors(path, "a YAML file of a monitor's options", () => readFile(path, "utf8"));
  const words = { expected: "fields in YAML", fix: "correct the file" };
  const value: unknown = withYamlErrors(path, () => parse(text), words);
  if (value !== null && !isObject(value))
    throw new DataError({ where: path, ...words, received: JSON.stringify(value).slice(0, 60) });
  return value ?? {};
}

async function watchCommand(log: string, flags: WatchFlags): Promise<void> {
  const { logLines, readProfile, runMonitor } = await importTrack();
  const { signal, dispose } = abortOnInterrupt(() => {});
  try {
    const totals = await runMonitor({
      config: await readConfig(flags.config),
      profile: flags.profile === undefined ? undefined : await readProfile(flags.profile),
      lines: log === "-" ? standardInput(signal) : logLines(log, { follow: flags.follow, signal }),
      ...(await featureOptions(flags.tokenizer)),
      onWindow: (report) => process.stdout.write(flags.json ? `${JSON.stringify(report)}\n` : windowLine(report)),
      onReplay: (result) => flags.json || process.stdout.write(replayLine(result)),
      onAlarms: (alarms) => {
        const stream = flags.json ? process.stderr : process.stdout;
        for (const alarm of alarms) stream.write(alarmLine(alarm));
      },
      onFailure: (message) => process.stderr.write(`${message}\n`),
      signal,
    });
    if (!flags.json) process.stdout.write(`${totals.windows} windows, ${totals.alarms} alarms\n`);
    if (totals.alarms > 0) process.exitCode = ALARMED;
  } finally {
    dispose();
  }
}

async function* standardInput(signal: AbortSignal): AsyncGenerator<string, void, void> {
  for await (const line of createInterface({ input: process.stdin, signal })) yield line;
}

const alarmLine = ({ message }: Alarm) => `ALARM ${message}\n`;
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

function windowLine({ window, fromMs, toMs, measures, drift }: WindowReport): string {
  const { requests, errorRate, latencyMsP50, latencyMsP95 } = measures;
  const times =
    latencyMsP50 === undefined ? "" : `, ${Math.round(latencyMsP50)} ms (p95 ${Math.round(latencyMsP95 ?? 0)})`;
  const from = new Date(fromMs).toISOString();
  const to = new Date(toMs).toISOString();
  const head = `window ${window}, ${from} to ${to}: ${requests} requests, errors ${percent(errorRate)}${times}\n`;
  if (drift.length === 0) return head;
  const rows = drift.map(({ feature, psi, jensenShannon, test }) => [
    `  ${feature}`,
    psi.toFixed(3),
    jensenShannon.toFixed(3),
    test.statistic.toPrecision(3),
    test.pValue.toExponential(1),
  ]);
  return head + tableOf([["  feature", "PSI", "JS", "statistic", "p"], ...rows], [1, 2, 3, 4]);
}

function replayLine({ score, failures }: ReplayResult): string {
  const wrong = failures.map(
    ({ id, expected, answer }) =>
      `  ${id}: ${JSON.stringify(answer.slice(0, 80))}, expected ${JSON.stringify(expected)}\n`,
  );
  return `regression set: ${percent(score)} right\n${wrong.join("")}`;
}

interface ReplayFlags {
  url: string;
  model: string;
  keyVariable?: string;
  minimum?: number;
}

async function replayCommand(path: string, { url, model, keyVariable, minimum = 1 }: ReplayFlags): Promise<void> {
  const { monitorSettings, readReplayCases, regressionAlarm, replay } = await importTrack();
  monitorSettings({ regression: { file: path, url, model, minimumScore: minimum } }); // says what is wrong of them
  const apiKey = keyVariable === undefined ? undefined : process.env[keyVariable];
  const { signal, dispose } = abortOnInterrupt(() => {});
  try {
    const result = await replay(await readReplayCases(path), { url, model, apiKey }, signal);
    process.stdout.write(replayLine(result));
    if (regressionAlarm(result, minimum)) process.exitCode = ALARMED;
  } finally {
    dispose();
  }
}
