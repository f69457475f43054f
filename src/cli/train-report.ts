/** What is shown of a training, whatever is trained, and how Ctrl-C ends it. */
import { join } from "node:path";
import type { TextRunEvent } from "../methods/index.ts";
import type { DeviceType } from "../runtime/index.ts";
import { defaultDevice } from "../tensor/index.ts";
import { findCheckpoint, type StopReason } from "../train/index.ts";
import { abortOnInterrupt, INTERRUPTED } from "./interrupt.ts";
import { type CurvePoint, drawCurve, formatBytes, formatCount, formatSeconds, ProgressLine } from "./terminal.ts";

/** What is known of a training before it begins. */
export interface ReportedTraining {
  folder: string;
  device: DeviceType;
  /** Seconds after which it ends. @default no limit */
  maxSeconds?: number;
  /** Whether the result is the best state, not the last. */
  keepsBest: boolean;
  /** Whether each evaluation has a line that stays. */
  showsEvaluations: boolean;
  /** What to do to go on after an interruption. */
  howToResume: string;
}

type EventOf<T extends TextRunEvent["type"]> = Extract<TextRunEvent, { type: T }>;

/** Share of a step's time in which the device waits for data that is worth a word. */
const LONG_WAIT = 0.02;

/** Shows the events of a training as they come. */
export class TrainReport {
  readonly line = new ProgressLine();
  isComplete = false;
  readonly training: ReportedTraining;
  private readonly curve: CurvePoint[] = [];
  private steps = 0;
  private unit = "";
  /** Of the last step, as metrics.jsonl has it. */
  private loss: number | undefined;
  private validation: number | undefined;

  constructor(training: ReportedTraining) {
    this.training = training;
  }

  /** What is done before training, and the share of it that is done. */
  readonly showProgress = (stage: string, fraction: number): void =>
    this.line.show(`${stage}: ${(100 * fraction).toFixed(0)} %`);

  show(event: TextRunEvent): void {
    const { line } = this;
    switch (event.type) {
      case "ready":
        this.showReady(event);
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
        this.showEvaluation(event);
        break;
      case "rolledBack":
        line.print(`the loss leapt to ${event.loss.toFixed(3)} at step ${event.from}: back to step ${event.step}`);
        break;
      case "sample":
        line.print(`--- ${JSON.stringify(event.prompt)} at step ${event.step} ---\n${event.text}`);
        break;
      case "checkpoint": // too frequent to be news
      case "classes": // part of the report
        break;
      case "finished":
        this.isComplete = event.reason !== "aborted";
        line.print();
        if (this.curve.length > 1) line.print(`${drawCurve(this.curve, { columns: line.columns })}\n`);
        line.print(this.lastLine(event));
        break;
      case "saved":
        line.print(`saved ${event.path}; the report is ${join(this.training.folder, "report.html")}`);
        break;
    }
  }

  private showReady({ parameters, trainedParameters, steps, unit, facts }: EventOf<"ready">): void {
    const { line, training } = this;
    [this.steps, this.unit] = [steps, unit];
    const trained = trainedParameters === parameters ? "" : `, ${formatCount(trainedParameters)} trained`;
    const known = Object.entries(facts).map(([name, value]) => `${name} ${value}`);
    const place = training.device === "cpu" ? `${defaultDevice().threads} threads` : training.device;
    line.print(`${formatCount(parameters)} parameters${trained}; ${known.join(", ")}; ${place}`);
    line.show("compiling ...");
  }

  private showStep(event: EventOf<"step">): void {
    const { step, loss, learningRate, throughput, elapsedSeconds, dataWait } = event;
    const { maxSeconds = Number.POSITIVE_INFINITY } = this.training;
    this.curve.push({ step, loss });
    this.loss = loss;
    const left = Math.min((elapsedSeconds / step) * (this.steps - step), maxSeconds - elapsedSeconds);
    const losses = `loss ${loss.toFixed(3)}  val ${this.validation?.toFixed(3) ?? "-"}`;
    const [begin, end] = [`step ${step}/${this.steps}  ${losses}`, `${formatSeconds(left)} left`];
    const waiting = dataWait > LONG_WAIT ? `  waits for data ${(100 * dataWait).toFixed(0)} %` : "";
    const memory = formatBytes(process.memoryUsage.rss());
    const speed = `${formatCount(throughput)} ${this.unit}/s`;
    const rate = `lr ${learningRate.toExponential(1)}`;
    this.line.show(`${begin}  ${rate}  ${speed}  ${memory}${waiting}  ${end}`, `${begin}  ${end}`);
  }

  private showEvaluation({ step, validationLoss, metrics, isBest }: EventOf<"evaluation">): void {
    this.validation = validationLoss;
    if (!this.training.showsEvaluations) return;
    const numbers = Object.entries({ loss: validationLoss, ...metrics });
    const shown = numbers.map(([name, value]) => `${name} ${value.toFixed(4)}`).join(", ");
    this.line.print(`validation at step ${step}: ${shown}${isBest ? " (best)" : ""}`);
  }

  private lastLine({ step, reason, validationLoss, validationStep, best }: EventOf<"finished">): string {
    const { loss, steps } = this;
    const { maxSeconds = 0, keepsBest } = this.training;
    const reasons: Record<StopReason, string> = {
      steps: `finished at step ${step}`,
      time: `finished at step ${step} of ${steps}: the time limit of ${formatSeconds(maxSeconds)} is reached`,
      patience: `finished at step ${step} of ${steps}: the validation became no better`,
      callback: `finished at step ${step} of ${steps}: a callback ended it`,
      aborted: `stopped at step ${step} of ${steps}`,
    };
    const last = loss === undefined ? "" : `, loss ${loss.toFixed(4)}`;
    const at = validationStep === step ? "" : ` at step ${validationStep}`;
    const measured = validationLoss === null ? "" : `, validation loss ${validationLoss.toFixed(4)}${at}`;
    const bestOf = keepsBest && best && best.step !== step ? `, best at step ${best.step}` : "";
    return `${reasons[reason]}${last}${measured}${bestOf}`;
  }

  /** After an interruption: what was saved, and how to go on. */
  async showStopped(isCancelled: boolean): Promise<void> {
    const { folder, howToResume } = this.training;
    const checkpoint = await findCheckpoint(join(folder, "checkpoint"));
    const saved = isCancelled ? `stopped at once; the last checkpoint is ${checkpoint}` : `saved ${checkpoint}`;
    this.line.print(`${checkpoint ? saved : "stopped before anything was saved"}. To go on: ${howToResume}`);
  }
}

/** What ends a training: after the step under way, or at once. */
export type TrainingSignals = Record<"signal" | "cancelSignal", AbortSignal>;

/**
 * Shows a training to its end. Ctrl-C saves a checkpoint, a second one ends the step under way: the exit code says so
 * then.
 */
export async function reportTraining(
  report: TrainReport,
  begin: (signals: TrainingSignals) => Promise<AsyncIterable<TextRunEvent>>,
): Promise<void> {
  const { line } = report;
  const { signal, cancelSignal, dispose } = abortOnInterrupt(() =>
    line.print("stopping after this step; Ctrl-C again to stop at once ..."),
  );
  try {
    for await (const event of await begin({ signal, cancelSignal })) report.show(event);
  } catch (error) {
    line.end();
    if (!signal.aborted || (error as Error).name !== "AbortError") throw error;
  } finally {
    dispose();
  }
  if (report.isComplete) return;
  process.exitCode = INTERRUPTED;
  await report.showStopped(cancelSignal.aborted);
}
