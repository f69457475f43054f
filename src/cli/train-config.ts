/** `kindling train config.yaml`: any method of training, from its config to its result. */

import { OptionError } from "../base/index.ts";
import type { Plan, ResolvedConfig } from "../methods/index.ts";
import type { DeviceType } from "../runtime/index.ts";
import { useDevice } from "./device.ts";
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
