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
import { defaultDevice } from "../tensor/index.ts";
import {
  defaultRunConfig,
  defaultRunName,
  findCheckpoint,
  type RunConfig,
  type RunEvent,
  readRunConfig,
  runFolder,
  runTraining,
  type StopReason,
} from "../train/index.ts";
import { useDevice } from "./device.ts";
import { abortOnInterrupt, INTERRUPTED } from "./interrupt.ts";
import { type CurvePoint, drawCurve, formatBytes, formatCount, formatSeconds, ProgressLine } from "./terminal.ts";
import { type TrackFlags, trackersOf } from "./trackers.ts";
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

/** Shows the events of a run as they come. */
class TrainReport {
  readonly line = new ProgressLine();
  isComplete = false;
  private readonly curve: CurvePoint[] = [];
  /** Of the last step, as metrics.jsonl has it. */
  private loss: number | undefined;
  private validation: number | undefined;
  private readonly config: RunConfig;
  private readonly device: DeviceType;
  /** What to do to go on after an interruption. */
  private readonly howToResume: string;

  constructor(config: RunConfig, device: DeviceType, howToResume: string) {
    this.config = config;
    this.device = device;
    this.howToResume = howToResume;
  }

  show(event: RunEvent): void {
    const { line } = this;
    switch (event.type) {
      case "ready":
        line.print(
          `${formatCount(event.parameters)} parameters, vocabulary ${event.vocabSize}, ${formatCount(event.trainTokens)} training tokens, ${this.device === "cpu" ? `${defaultDevice().threads} threads` : this.device}`,
        );
        line.show("compiling ...");
        break;
      case "note":
        line.print(`note: ${event.text}`);
        break;
      case "resumed":
        this.validation = event.validationLoss ?? undefined;
        line.print(
          `resumed at step ${event.step}${event.validationLoss === null ? "" : `, validation loss ${event.validationLoss.toFixed(4)}`}`,
        );
        break;
      case "step":
        this.showStep(event);
        break;
      case "evaluation":
        this.validation = event.validationLoss;
        break;
      case "finished":
        this.isComplete = event.reason !== "aborted";
        line.print();
        if (this.curve.length > 1) line.print(`${drawCurve(this.curve, { columns: line.columns })}\n`);
        line.print(this.lastLine(event));
        break;
      case "checkpoint":
        break; // too frequent to be news
      case "saved":
        line.print(`saved ${event.path} (Hugging Face layout)`);
        break;
    }
  }

  private lastLine({ step, reason, validationLoss, validationStep }: Extract<RunEvent, { type: "finished" }>): string {
    const { steps, maxSeconds } = this.config;
    const reasons: Record<StopReason, string> = {
      steps: `finished at step ${step}`,
      time: `finished at step ${step} of ${steps}: the time limit of ${formatSeconds(maxSeconds)} is reached`,
      patience: `finished at step ${step} of ${steps}: the validation became no better`,
      callback: `finished at step ${step} of ${steps}: a callback ended it`,
      aborted: `stopped at step ${step} of ${steps}`,
    };
    const loss = this.loss === undefined ? "" : `, loss ${this.loss.toFixed(4)}`;
    const validation =
      validationLoss === null
        ? ""
        : `, validation loss ${validationLoss.toFixed(4)}${validationStep === step ? "" : ` at step ${validationStep}`}`;
    return `${reasons[reason]}${loss}${validation}`;
  }

  private showStep(event: Extract<RunEvent, { type: "step" }>): void {
    const { step, loss, learningRate, throughput, elapsedSeconds } = event;
    const { steps, maxSeconds, batchSize, contextLength } = this.config;
    this.curve.push({ step, loss });
    this.loss = loss;
    const byPace = ((steps - step) * batchSize * contextLength) / throughput;
    const left = maxSeconds > 0 ? Math.min(byPace, maxSeconds - elapsedSeconds) : byPace;
    const losses = `loss ${loss.toFixed(3)}  val ${this.validation?.toFixed(3) ?? "-"}`;
    const [begin, end] = [`step ${step}/${steps}  ${losses}`, `${formatSeconds(left)} left`];
    const memory = formatBytes(process.memoryUsage.rss());
    const rate = `lr ${learningRate.toExponential(1)}`;
    this.line.show(`${begin}  ${rate}  ${formatCount(throughput)} tokens/s  ${memory}  ${end}`, `${begin}  ${end}`);
  }

  /** After an interruption: what was saved, and how to go on. */
  showStopped(checkpoint: string | undefined, isCancelled: boolean): void {
    const saved = isCancelled ? `stopped at once; the last checkpoint is ${checkpoint}` : `saved ${checkpoint}`;
    this.line.print(`${checkpoint ? saved : "stopped before anything was saved"}. To go on: ${this.howToResume}`);
  }
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
  const report = new TrainReport(config, picked, howToResume);
  const { signal, cancelSignal, dispose } = abortOnInterrupt(() =>
    report.line.print("stopping after this step; Ctrl-C again to stop at once ..."),
  );
  try {
    const onPreparing = (stage: string, fraction: number) =>
      report.line.show(`${stage}: ${(100 * fraction).toFixed(0)} %`);
    const events = runTraining(folder, config, { signal, cancelSignal, onPreparing, restart, storedText });
    const trackers = await trackersOf({ track, mlflowUrl, project }, picked === "cpu" ? undefined : picked);
    const { trackEvents } = await import("../track/index.ts");
    for await (const event of trackEvents(events, { name, folder, config: { ...config } }, trackers))
      report.show(event);
  } catch (error) {
    report.line.end();
    if (!signal.aborted || (error as Error).name !== "AbortError") throw error;
  } finally {
    dispose();
  }
  if (!report.isComplete) {
    process.exitCode = INTERRUPTED;
    report.showStopped(await findCheckpoint(join(folder, "checkpoint")), cancelSignal.aborted);
  }
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
