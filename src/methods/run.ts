/** A training from its config to its result. */
import { readdir, readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { isObject, OptionError } from "../base/index.ts";
import { exists, FolderLock, makeFolder, readJson, withWriteErrors, writeJson } from "../files/index.ts";
import { parameterCount } from "../nn/index.ts";
import { isWeightAverage } from "../optim/index.ts";
import {
  type ClassAnswers,
  csv,
  isModelCard,
  jsonl,
  report,
  type Tracker,
  tensorBoard,
  trackEvents,
  wandb,
  writeModelCard,
} from "../track/index.ts";
import { type TrainCallback, type TrainEvent, train, writeModelFolder } from "../train/index.ts";
import type { ResolvedConfig } from "./config/read.ts";
import { checkpointsActivations, type SharedConfig } from "./config/schema.ts";
import type { AnyPreparedMethod, MethodContext } from "./method.ts";
import { cardOf, settingsOf } from "./parts/card.ts";
import { classAnswers } from "./parts/class-answers.ts";
import { frozenUntil } from "./parts/freezing.ts";
import { type Assembled, assemble, monitorOf } from "./plan.ts";

/** What happens in a run: its training's events, what it is made of before, and what is left in the end. */
export type MethodEvent =
  | TrainEvent
  | {
      type: "ready";
      parameters: number;
      trainedParameters: number;
      steps: number;
      /** What throughput counts: "tokens", "examples". */
      unit: string;
      facts: Readonly<Record<string, string | number>>;
    }
  | { type: "sample"; step: number; prompt: string; text: string }
  | ({ type: "classes"; step: number } & ClassAnswers)
  | { type: "saved"; path: string };

/** How a run is watched and ended. */
export interface MethodRunOptions extends Pick<MethodContext, "onWarning" | "onProgress"> {
  /** Stops after the step under way, with a checkpoint. */
  signal?: AbortSignal;
  /** Ends the step under way. */
  cancelSignal?: AbortSignal;
  /** Begin anew where there is a run already. @default false: it goes on */
  restart?: boolean;
  /** Besides those of the config. @default one that writes report.html in the end */
  trackers?: readonly Tracker[];
  /** See `TrainOptions`. */
  callbacks?: readonly TrainCallback[];
}

const trackerOf: Readonly<Record<SharedConfig["tracking"][number], () => Tracker>> = {
  tensorboard: () => tensorBoard(),
  csv: () => csv(),
  jsonl: () => jsonl(),
  wandb: () => wandb(),
};
const RUN_FILE = "run.json";
/** What a run writes and `restart` removes; model/ is replaced in the end. */
const PARTS = ["checkpoint", "checkpoints", "best", "metrics.jsonl", "report.html", "report.json"];

/**
 * Trains what a config says, in its folder: run.json, metrics.jsonl, checkpoint/, best/ and, in the end, model/. A run
 * that is there goes on, to the same numbers as one that was never stopped.
 * @throws OptionError when the folder has a run of another config; as `train`
 */
export async function* runMethod(
  resolved: ResolvedConfig,
  options: MethodRunOptions,
): AsyncGenerator<MethodEvent, void, void> {
  const { method, config, folder } = resolved;
  await withWriteErrors(folder, () => makeFolder(folder));
  const lock = await FolderLock.acquire(folder, {
    expected: "a run that no other process trains",
    doing: "trains in it",
    otherwise: "choose another output",
  });
  try {
    await requireRun(folder, config, { isRestart: options.restart === true });
    const { signal, onWarning, onProgress } = options;
    const prepared = await method.prepare(config, { folder, isAnew: options.restart, signal, onWarning, onProgress });
    try {
      if (options.restart) await removeParts(folder);
      const assembled = assemble(config, prepared);
      warnOfNoMeasure(config, assembled, onWarning);
      await writeJson(join(folder, RUN_FILE), { ...config, steps: assembled.pace.steps });
      const description = { name: basename(folder), folder, config: settingsOf(config) };
      yield* trackEvents(trainPrepared(resolved, prepared, assembled, options), description, [
        ...(options.trackers ?? [report()]),
        ...config.tracking.map((kind) => trackerOf[kind]()),
      ]);
    } finally {
      await prepared.close();
    }
  } finally {
    await lock.release();
  }
}

/** Says which settings of the evaluation tell nothing, where nothing is measured. */
function warnOfNoMeasure(
  { evaluation: { monitor, patience } }: SharedConfig,
  { validationData }: Assembled,
  onWarning: MethodContext["onWarning"],
): void {
  if (validationData) return;
  const idle = [monitor !== "validationLoss" && `monitor ${monitor}`, patience !== undefined && `patience ${patience}`];
  const named = idle.filter((each) => typeof each === "string");
  if (named.length === 0) return;
  const note = `there is no validation data, so that ${named.join(" and ")} tell nothing: the last state is the result`;
  onWarning({ where: "config, evaluation", notes: [note] });
}

/** Fields that may change when a run goes on. */
const changeable = [
  ...["training.epochs", "training.steps", "training.maxSeconds", "training.prefetch", "training.detectAnomaly"],
  ...["evaluation", "checkpoints", "samples", "card", "tracking", "output"],
];

/**
 * @throws OptionError for a folder with other things of these names, and unless the run begins anew naming what differs
 *   from the config that it was begun with
 */
async function requireRun(folder: string, config: SharedConfig, { isRestart }: { isRestart: boolean }): Promise<void> {
  const path = join(folder, RUN_FILE);
  const json = (await exists(path)) ? await readJson(path) : undefined;
  if (!json || !("method" in json)) {
    const names = (await readdir(folder)).filter((name) => [...PARTS, "model", RUN_FILE].includes(name));
    if (names.length === 0) return;
    throw new OptionError({
      where: folder,
      expected: "an empty folder, or one of a run by a config",
      received: names.join(", "),
      fix: "choose another output",
    });
  }
  if (isRestart) return;
  const { steps: _, ...stored } = json;
  const field = firstDifference(stored, JSON.parse(JSON.stringify(config)), "");
  if (field === undefined) return;
  throw new OptionError({
    where: folder,
    expected: "the config that the run was begun with",
    received: `another ${field}`,
    fix: "choose another output, or begin anew with --restart",
  });
}

function firstDifference(a: unknown, b: unknown, path: string): string | undefined {
  if (changeable.includes(path)) return undefined;
  if (isObject(a) && isObject(b)) {
    const names = new Set([...Object.keys(a), ...Object.keys(b)]);
    for (const name of names) {
      const inside = firstDifference(a[name], b[name], path === "" ? name : `${path}.${name}`);
      if (inside !== undefined) return inside;
    }
    return undefined;
  }
  return JSON.stringify(a) === JSON.stringify(b) ? undefined : path || "config";
}

async function removeParts(folder: string): Promise<void> {
  await withWriteErrors(folder, async () => {
    for (const name of await readdir(folder))
      if (PARTS.includes(name.replace(/\.(tmp|old)$/, "")))
        await rm(join(folder, name), { recursive: true, force: true });
  });
}

/** Trains what is ready, and saves the result with its card: the part of a run that knows nothing of earlier ones. */
export async function* trainPrepared(
  resolved: ResolvedConfig,
  prepared: AnyPreparedMethod,
  assembled: Assembled,
  options: MethodRunOptions,
): AsyncGenerator<MethodEvent, void, void> {
  const { config, folder } = resolved;
  const { model, objective } = prepared;
  const parameters = { all: model.parameterCount(), trained: parameterCount(objective.trained.values()) };
  const { steps } = assembled.pace;
  yield {
    type: "ready",
    parameters: parameters.all,
    trainedParameters: parameters.trained,
    steps,
    unit: objective.unit,
    facts: prepared.facts,
  };
  const progress = new Progress();
  for await (const event of train(trainOptions(config, folder, prepared, assembled, options))) {
    progress.see(event);
    yield event;
    if (event.type === "step") yield* samplesAt(event, config, prepared, assembled);
  }
  if (!progress.isComplete) return;
  const { optimizer } = assembled;
  const finish = async (): Promise<{ classes: ClassAnswers | undefined; path: string }> => {
    const classes = await answersInTheEnd(config, prepared, assembled, options.cancelSignal);
    return { classes, path: await saveResult(resolved, prepared, { parameters, progress, classes }) };
  };
  const { classes, path } = await (isWeightAverage(optimizer) ? optimizer.withAverages(finish) : finish());
  if (classes) yield { type: "classes", step: progress.step, ...classes };
  yield { type: "saved", path };
}

/** Of what it was measured on; batches that are learned by heart have no examples of the validation data. */
async function answersInTheEnd(
  { training, evaluation }: SharedConfig,
  { classifier }: AnyPreparedMethod,
  { validationData }: Assembled,
  signal: AbortSignal | undefined,
): Promise<ClassAnswers | undefined> {
  if (!classifier || validationData?.count === undefined || training.overfitBatches !== undefined) return undefined;
  const { count } = validationData;
  return classAnswers(classifier, validationData, { batches: Math.min(evaluation.batches ?? count, count), signal });
}

/** What the card says of a training, as it went. */
class Progress {
  isComplete = false;
  step = 0;
  seconds = 0;
  /** Of the evaluation that the result is of. */
  measured: Readonly<Record<string, number>> = {};
  private readonly evaluations = new Map<number, Readonly<Record<string, number>>>();

  see(event: TrainEvent): void {
    this.step = event.step;
    if (event.type === "step") this.seconds = event.elapsedSeconds;
    if (event.type === "evaluation") this.evaluations.set(event.step, { loss: event.validationLoss, ...event.metrics });
    if (event.type !== "finished") return;
    this.isComplete = event.reason !== "aborted";
    const last: Record<string, number> = event.validationLoss === null ? {} : { loss: event.validationLoss };
    this.measured = this.evaluations.get(event.best?.step ?? event.step) ?? last;
  }
}

function trainOptions(
  config: SharedConfig,
  folder: string,
  { objective, fingerprint }: AnyPreparedMethod,
  { pace, optimizer, schedule, trainData, validationData }: Assembled,
  { signal, cancelSignal, callbacks }: MethodRunOptions,
): Parameters<typeof train>[0] {
  const { training, evaluation, checkpoints } = config;
  const { precision, clipNorm, clipValue, seed, accumulation } = training;
  const { maxSeconds, prefetch, detectAnomaly, spikes } = training;
  const { patience, minDelta, batches: evaluationBatches } = evaluation;
  const measured = validationData && {
    validationData,
    monitor: monitorOf(config),
    keepBest: checkpoints.keepBest,
    restoreBest: checkpoints.keepBest,
    ...(patience !== undefined && { earlyStopping: { patience, minDelta } }),
  };
  return {
    ...{ objective, optimizer, schedule, trainData, folder, fingerprint, signal, cancelSignal, callbacks },
    ...{
      precision,
      clipNorm,
      clipValue,
      seed,
      accumulation,
      checkpointActivations: checkpointsActivations(config),
      maxSeconds,
      prefetch,
      detectAnomaly,
    },
    ...{ spikes, ...pace, evaluationBatches, ...measured },
    frozenUntil: frozenUntil(config, objective.trained),
    keepCheckpoints: checkpoints.keep,
    maxCheckpointBytes: checkpoints.maxBytes,
  };
}

async function* samplesAt(
  event: Extract<TrainEvent, { type: "step" }>,
  { samples, training }: SharedConfig,
  { sample }: AnyPreparedMethod,
  { pace }: Assembled,
): AsyncGenerator<MethodEvent, void, void> {
  if (!samples || !sample) return;
  const { interval = pace.evaluationInterval, prompts, maxNewTokens, temperature } = samples;
  const { step } = event;
  if (step % interval !== 0 && step !== pace.steps) return;
  for (const [i, prompt] of prompts.entries()) {
    const text = await sample(prompt, { maxNewTokens, temperature, seed: training.seed + i });
    yield { type: "sample", step, prompt, text };
  }
}

/** Writes the result with its card to model/, in place of an earlier one at once. */
async function saveResult(
  { method, config, folder }: ResolvedConfig,
  { objective, facts, fingerprint }: AnyPreparedMethod,
  result: { parameters: { all: number; trained: number }; progress: Progress; classes: ClassAnswers | undefined },
): Promise<string> {
  return writeModelFolder(folder, async (temporary) => {
    await (objective.saveResult ?? objective.save)(temporary);
    const earlier = await readFile(join(folder, "model", "README.md"), "utf8").catch(() => undefined);
    if (earlier !== undefined && !isModelCard(earlier)) return; // somebody's own, which stays
    const { parameters, classes } = result;
    const { step, seconds, measured } = result.progress;
    const run = { method, folder, facts, fingerprint, parameters, step, seconds, measured };
    await writeModelCard(temporary, cardOf(config, { ...run, confusion: classes?.confusion }));
  });
}
