/** `kindling train config.yaml`: any method of training, from its config to its result. */

import { OptionError } from "../base/index.ts";
import { writeJson } from "../files/index.ts";
import type { Finding, Plan, ResolvedConfig } from "../methods/index.ts";
import type { DeviceType } from "../runtime/index.ts";
import { useDevice } from "./device.ts";
import { abortOnInterrupt, INTERRUPTED } from "./interrupt.ts";
import { formatBytes, formatCount, formatSeconds, ProgressLine } from "./terminal.ts";
import { type TrackFlags, trackersOf } from "./trackers.ts";
import { reportTraining, TrainReport } from "./train-report.ts";

export interface TrainConfigFlags extends TrackFlags {
  restart?: boolean;
  /** Print the plan, and train nothing. */
  dryRun?: boolean;
  /** Try learning rates, or sizes of batches, and train nothing. */
  findLr?: boolean;
  findBatchSize?: boolean;
  /** A file for what was tried. */
  findings?: string;
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
  requireTogether(flags);
  const picked = await useDevice({ device: flags.device });
  const resolved = await readConfigFile(path, overrides, methods);
  const line = new ProgressLine();
  const isPlan = flags.dryRun || flags.preview !== undefined;
  const run = async () => {
    if (flags.findLr || flags.findBatchSize) await showFindings(resolved, flags, line);
    else if (isPlan) await showPlan(resolved, flags, line);
    else await trainResolved(resolved, flags, picked);
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

/** @throws OptionError for options that would do nothing beside the others */
function requireTogether(flags: TrainConfigFlags): void {
  const refuse = (where: string, expected: string, fix: string) =>
    new OptionError({ where, expected, received: where, fix });
  const finds = [flags.findLr && "--find-lr", flags.findBatchSize && "--find-batch-size"].filter(Boolean).join(", ");
  if (finds === "") {
    if (flags.findings === undefined) return;
    throw refuse("--findings", "something to find", "add --find-lr or --find-batch-size");
  }
  const { dryRun, preview, restart, track } = flags;
  const others = { "--dry-run": dryRun, "--preview": preview, "--restart": restart, "--track": track };
  for (const [name, value] of Object.entries(others))
    if (value !== undefined) throw refuse(name, `nothing that ${finds} passes over`, "leave it out");
}

/**
 * A learning rate and a size of batches that suit the config. Weights and the run's folder stay as they are; Ctrl-C
 * ends it at once.
 */
async function showFindings(resolved: ResolvedConfig, flags: TrainConfigFlags, line: ProgressLine): Promise<void> {
  const { findConfigBatchSize, findConfigLearningRate } = await import("../methods/index.ts");
  const { signal, dispose } = abortOnInterrupt(() => line.print("stopping ..."));
  const context = { onWarning: warningsTo(line), onProgress: progressOn(line), signal };
  const findings: Record<string, unknown> = {};
  const show = ({ result, text }: Finding<unknown>) => {
    line.print(text);
    return result;
  };
  try {
    if (flags.findLr) findings.learningRate = show(await findConfigLearningRate(resolved, context));
    if (flags.findBatchSize) findings.batchSize = show(await findConfigBatchSize(resolved, context));
    if (flags.findings === undefined) return;
    await writeJson(flags.findings, findings);
    line.print(`wrote ${flags.findings}`);
  } catch (error) {
    if (!signal.aborted) throw error;
    process.exitCode = INTERRUPTED;
    line.print("stopped; nothing has changed");
  } finally {
    dispose();
  }
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

async function trainResolved(resolved: ResolvedConfig, flags: TrainConfigFlags, device: DeviceType): Promise<void> {
  const { runMethod } = await import("../methods/index.ts");
  const { folder, config } = resolved;
  const report = new TrainReport({
    ...{ folder, device, howToResume: "run the same command again", showsEvaluations: true },
    ...{ keepsBest: config.checkpoints.keepBest, maxSeconds: config.training.maxSeconds },
  });
  await reportTraining(report, async (signals) =>
    runMethod(resolved, {
      ...{ ...signals, restart: flags.restart, onProgress: report.showProgress },
      onWarning: warningsTo(report.line),
      trackers: await trackersOf(flags, device === "cpu" ? undefined : device),
    }),
  );
}
