/** `kindling train config.yaml`: any method of training, from its config to its result. */

import { join } from "node:path";
import { OptionError } from "../base/index.ts";
import type { MethodEvent, Plan, ResolvedConfig } from "../methods/index.ts";
import type { DeviceType } from "../runtime/index.ts";
import { findCheckpoint, type StopReason } from "../train/index.ts";
import { useDevice } from "./device.ts";
import { abortOnInterrupt, INTERRUPTED } from "./interrupt.ts";
import { type CurvePoint, drawCurve, formatBytes, formatCount, formatSeconds, ProgressLine } from "./terminal.ts";
import { type TrackFlags, trackersOf } from "./trackers.ts";

export interface TrainConfigFlags extends TrackFlags {
  restart?: boolean;
  /** Print the plan, and train nothing. */
  dryRun?: boolean;
  /** Try learning rates, or sizes of batches, and train nothing. */
  findLr?: boolean;
  findBatchSize?: boolean;
  /** Print so many examples as they are learned, and train nothing. */
  preview?: number;
  device: DeviceType | "auto";
}

/** Reads the config, and does what the flags say with it. */
export async function trainConfigCommand(
  path: string,
  overrides: readonly string[],
  flags: TrainConfigFlags,
): Promise<void> {
  const { methods, readConfigFile } = await import("../methods/index.ts");
  const picked = await useDevice({ device: flags.device });
  const resolved = await readConfigFile(path, overrides, methods);
  const line = new ProgressLine();
  const accelerator = picked === "cpu" ? undefined : picked;
  const isPlan = flags.dryRun || flags.preview !== undefined;
  const run = async () => {
    if (flags.findLr || flags.findBatchSize) await showFindings(resolved, flags, line);
    else if (isPlan) await showPlan(resolved, flags, line);
    else await trainResolved(resolved, flags, { line, accelerator });
  };
  await run().catch((error) => {
    line.end();
    throw ofConfig(path, error);
  });
}

/** Of options that a config has: its name says where, and that they are called as they are there. */
function ofConfig(path: string, error: unknown): unknown {
  if (!(error instanceof OptionError) || error.where.includes(path)) return error;
  const { where, expected, received, fix } = error;
  return new OptionError({ where: `${path}, ${where}`, expected, received, fix, cause: error });
}

const warningsTo = (line: ProgressLine) => (warning: { where: string; notes: readonly string[] }) => {
  for (const note of warning.notes) line.print(`note: ${warning.where}: ${note}`);
};
const progressOn = (line: ProgressLine) => (stage: string, fraction: number) =>
  line.show(`${stage}: ${(100 * fraction).toFixed(0)} %`);

/** A learning rate and a size of batches that suit the config; weights stay as they are. */
async function showFindings(resolved: ResolvedConfig, { findLr, findBatchSize }: TrainConfigFlags, line: ProgressLine) {
  const { findConfigBatchSize, findConfigLearningRate } = await import("../methods/index.ts");
  const context = { onWarning: warningsTo(line), onProgress: progressOn(line) };
  if (findLr) line.print((await findConfigLearningRate(resolved, context)).text);
  if (findBatchSize) line.print((await findConfigBatchSize(resolved, context)).text);
}

/** What a training will take, or some of its examples; nothing is written but what is made of the data. */
async function showPlan(
  { method, config, folder }: ResolvedConfig,
  { dryRun, preview }: TrainConfigFlags,
  line: ProgressLine,
): Promise<void> {
  const { planOf } = await import("../methods/index.ts");
  const context = { folder, onWarning: warningsTo(line), onProgress: progressOn(line) };
  const prepared = await method.prepare(config, context);
  try {
    line.end();
    if (preview !== undefined) line.print((await prepared.preview?.(preview)) ?? `${method.name} has no preview`);
    if (dryRun) line.print(planText(folder, method.summary, await planOf(config, prepared, { isTimed: true })));
  } finally {
    await prepared.close();
  }
}

function planText(folder: string, summary: string, plan: Plan): string {
  const { parameters, trainedParameters, steps, batchesPerEpoch, stateBytes, stepBytes, secondsPerStep = 0 } = plan;
  const share = ((100 * trainedParameters) / parameters).toFixed(trainedParameters < parameters / 10 ? 2 : 0);
  const rows: [string, string][] = [
    ["method", summary],
    ["folder", folder],
    ["parameters", `${formatCount(parameters)}, of which ${formatCount(trainedParameters)} are trained (${share} %)`],
    ...Object.entries(plan.facts).map(([name, value]): [string, string] => [name, String(value)]),
    ["steps", `${steps}, ${batchesPerEpoch} batches are an epoch`],
    [
      "memory",
      `about ${formatBytes(stateBytes + stepBytes)}: ${formatBytes(stateBytes)} of weights and optimizer, ${formatBytes(stepBytes)} of a step`,
    ],
    [
      "time",
      `about ${formatSeconds(steps * secondsPerStep)}, ${secondsPerStep.toFixed(2)} s a step, without evaluation`,
    ],
  ];
  return rows.map(([name, value]) => `${name.padEnd(22)}${value}`).join("\n");
}

async function trainResolved(
  resolved: ResolvedConfig,
  flags: TrainConfigFlags,
  { line, accelerator }: { line: ProgressLine; accelerator: string | undefined },
): Promise<void> {
  const { runMethod } = await import("../methods/index.ts");
  const report = new MethodReport(line, resolved);
  const { signal, cancelSignal, dispose } = abortOnInterrupt(() =>
    line.print("stopping after this step; Ctrl-C again to stop at once ..."),
  );
  try {
    const events = runMethod(resolved, {
      ...{ signal, cancelSignal, restart: flags.restart },
      onWarning: warningsTo(line),
      onProgress: progressOn(line),
      trackers: await trackersOf(flags, accelerator),
    });
    for await (const event of events) report.show(event);
  } catch (error) {
    line.end();
    if (!signal.aborted || (error as Error).name !== "AbortError") throw error;
  } finally {
    dispose();
  }
  if (report.isComplete) return;
  process.exitCode = INTERRUPTED;
  const checkpoint = await findCheckpoint(join(resolved.folder, "checkpoint"));
  const saved = cancelSignal.aborted ? `stopped at once; the last checkpoint is ${checkpoint}` : `saved ${checkpoint}`;
  line.print(`${checkpoint ? saved : "stopped before anything was saved"}. To go on: run the same command again`);
}

/** Shows the events of a run as they come. */
class MethodReport {
  isComplete = false;
  private readonly line: ProgressLine;
  private readonly folder: string;
  private readonly curve: CurvePoint[] = [];
  private steps = 0;
  private validation: number | undefined;
  private loss: number | undefined;

  constructor(line: ProgressLine, { folder }: ResolvedConfig) {
    this.line = line;
    this.folder = folder;
  }

  show(event: MethodEvent): void {
    const { line } = this;
    switch (event.type) {
      case "ready": {
        this.steps = event.steps;
        const facts = Object.entries(event.facts).map(([name, value]) => `${name} ${value}`);
        const trained = formatCount(event.trainedParameters);
        line.print(`${formatCount(event.parameters)} parameters, ${trained} trained; ${facts.join(", ")}`);
        line.show("compiling ...");
        break;
      }
      case "resumed":
        this.validation = event.validationLoss ?? undefined;
        line.print(`resumed at step ${event.step}`);
        break;
      case "step":
        this.showStep(event);
        break;
      case "evaluation": {
        this.validation = event.validationLoss;
        const numbers = Object.entries({ loss: event.validationLoss, ...event.metrics });
        const shown = numbers.map(([name, value]) => `${name} ${value.toFixed(4)}`).join(", ");
        line.print(`validation at step ${event.step}: ${shown}${event.isBest ? " (best)" : ""}`);
        break;
      }
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
        this.finish(event);
        break;
      case "saved":
        line.print(`saved ${event.path}; the report is ${join(this.folder, "report.html")}`);
        break;
    }
  }

  private showStep(event: Extract<MethodEvent, { type: "step" }>): void {
    const { step, loss, learningRate, throughput, elapsedSeconds, dataWait } = event;
    this.curve.push({ step, loss });
    this.loss = loss;
    const left = (elapsedSeconds / step) * (this.steps - step);
    const losses = `loss ${loss.toFixed(3)}  val ${this.validation?.toFixed(3) ?? "-"}`;
    const [begin, end] = [`step ${step}/${this.steps}  ${losses}`, `${formatSeconds(left)} left`];
    const waiting = dataWait > LONG_WAIT ? `  waits for data ${(100 * dataWait).toFixed(0)} %` : "";
    const memory = formatBytes(process.memoryUsage.rss());
    const speed = `${formatCount(throughput)}/s`;
    this.line.show(
      `${begin}  lr ${learningRate.toExponential(1)}  ${speed}  ${memory}${waiting}  ${end}`,
      `${begin}  ${end}`,
    );
  }

  private finish({ step, reason, validationLoss, best }: Extract<MethodEvent, { type: "finished" }>): void {
    const { line, steps, loss } = this;
    this.isComplete = reason !== "aborted";
    line.print();
    if (this.curve.length > 1) line.print(`${drawCurve(this.curve, { columns: line.columns })}\n`);
    const reasons: Record<StopReason, string> = {
      steps: `finished at step ${step}`,
      time: `finished at step ${step} of ${steps}: the time limit is reached`,
      patience: `finished at step ${step} of ${steps}: the validation became no better`,
      callback: `finished at step ${step} of ${steps}: a callback ended it`,
      aborted: `stopped at step ${step} of ${steps}`,
    };
    const last = loss === undefined ? "" : `, loss ${loss.toFixed(4)}`;
    const measured = validationLoss === null ? "" : `, validation loss ${validationLoss.toFixed(4)}`;
    const bestOf = best && best.step !== step ? `, best at step ${best.step}` : "";
    line.print(`${reasons[reason]}${last}${measured}${bestOf}`);
  }
}

/** Share of a step's time in which the device waits for data that is worth a word. */
const LONG_WAIT = 0.02;
