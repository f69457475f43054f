import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { OptionError } from "../base/index.ts";
import { withWriteErrors } from "../files/index.ts";
import { generateText } from "../generate/index.ts";
import type { DeviceType } from "../runtime/index.ts";
import type { ServedModel } from "../serve/index.ts";
import { defaultRunConfig, defaultRunName, type RunConfig, readRunConfig, runFolder } from "../train/index.ts";
import { useDevice } from "./device.ts";
import { type TrackFlags, trackersOf } from "./trackers.ts";
import { reportTraining, TrainReport } from "./train-report.ts";
import { undertrained } from "./undertrained.ts";

export interface TrainCommandOptions extends Partial<RunConfig>, TrackFlags {
  /** Name of the run. @default that of the text */
  name?: string;
  runs: string;
  restart?: boolean;
  storedText?: boolean;
  /** Where to compute. */
  device: DeviceType | "auto";
}

export interface RunOutcome {
  folder: string;
  isComplete: boolean;
}

/**
 * Writes standard input to a file that lies there until `use` ends. Texts are read twice: for the tokenizer, and to be
 * encoded.
 */
async function withStandardInput<T>(use: (path: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "kindling-"));
  try {
    const path = join(folder, "standard-input.txt");
    await withWriteErrors(path, () => pipeline(process.stdin, createWriteStream(path)));
    return await use(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * `kindling train`: trains with a live progress line, draws the curve, and saves. Ctrl-C saves a checkpoint, a second
 * one ends the step under way.
 */
export async function trainCommand(options: TrainCommandOptions, howToResume: string): Promise<RunOutcome> {
  if (options.text === "-") {
    if (options.name !== undefined) return withStandardInput((text) => trainCommand({ ...options, text }, howToResume));
    throw new OptionError({
      where: "train",
      expected: "a --name for a text from standard input",
      received: "none",
      fix: "for example --name my",
    });
  }
  const {
    text,
    name = defaultRunName(text ?? "."),
    runs,
    restart = false,
    storedText,
    device: type,
    track,
    mlflowUrl,
    project,
    ...changes
  } = options;
  const folder = runFolder(runs, name);
  const picked = await useDevice({ device: type });
  const stored = restart ? {} : await readRunConfig(folder);
  const config: RunConfig = { ...defaultRunConfig, ...stored, ...changes, text: text && resolve(text) };
  const { runTraining } = await import("../methods/index.ts");
  const report = new TrainReport({
    ...{ folder, device: picked, howToResume, keepsBest: false, showsEvaluations: false },
    ...(config.maxSeconds > 0 && { maxSeconds: config.maxSeconds }),
  });
  await reportTraining(report, async (signals) => {
    const events = runTraining(folder, config, { ...signals, onPreparing: report.showProgress, restart, storedText });
    const trackers = await trackersOf({ track, mlflowUrl, project }, picked === "cpu" ? undefined : picked);
    const { trackEvents } = await import("../track/index.ts");
    return trackEvents(events, { name, folder, config: { ...config } }, trackers);
  });
  const note = report.isComplete ? await undertrained(runs, name) : undefined;
  if (note) report.line.print(note);
  return { folder, isComplete: report.isComplete };
}

/** Prints `count` continuations, so that one sees what was learned. */
export async function printSamples(
  { generator, tokenizer }: ServedModel,
  prompts: readonly string[],
  maxNewTokens: number,
): Promise<void> {
  for (const [i, prompt] of prompts.entries()) {
    process.stdout.write(`\n--- sample ${i + 1} ---\n${prompt}`);
    const options = { maxNewTokens, contextShift: true, temperature: 0.7, topP: 0.9, seed: i };
    for await (const { text } of generateText(generator, tokenizer, prompt, options)) process.stdout.write(text);
    process.stdout.write("\n");
  }
}
