/** What lives as long as one call of `train`: the compiled functions, the position, what is remembered. */
import { join } from "node:path";
import { numberRules, requireNumbers } from "../base/index.ts";
import type { Source } from "../data/index.ts";
import { type Parameter, parameterCount } from "../nn/index.ts";
import { isAdaptive, isWeightAverage, type JsonValue } from "../optim/index.ts";
import { LossScaler, randomKey, tensor, type Variable } from "../tensor/index.ts";
import { type AccumulatedStep, compileAccumulatedStep } from "./accumulate.ts";
import { BestWatch } from "./best.ts";
import { findCheckpoint, loadCheckpoint, type SavedState, saveCheckpoint, type TrainingState } from "./checkpoint.ts";
import { divergence } from "./diverged.ts";
import { compileEvaluation, type Evaluation, measure } from "./evaluation.ts";
import type { StopReason, TrainControl, TrainEvent } from "./events.ts";
import { BEST, KeptCheckpoints, keepCheckpoint } from "./kept-checkpoints.ts";
import { type MetricsEntry, MetricsLog, numbersOf } from "./metrics.ts";
import type { Objective, Scorer } from "./objective.ts";
import { ReadAhead } from "./read-ahead.ts";
import { SpikeWatch } from "./spikes.ts";
import { type BatchArgument, compileTrainStep, type StepResult } from "./step.ts";
import type { TrainOptions } from "./train-options.ts";

/** State up to this size is kept twice, so that a step that diverges can be undone and looked into. */
const ROLLBACK_BYTES = 512 << 20;
/** With f16: halvings of the loss' scale in a row after which it is not the scale that makes gradients overflow. */
const MOST_OVERFLOWS = 30;
const CORRECT_SCHEDULE = "correct the schedule";
/** Parameters are kept with two moments each. */
const STATE_COPIES = 3;

interface StepNumbers {
  loss: number;
  gradientNorm: number;
  learningRate: number;
  metrics: Record<string, number>;
}

export class Session<B> {
  state: TrainingState = { step: 0, validationLoss: null, validationStep: null, elapsedSeconds: 0 };
  /** Step of the checkpoint on disk. */
  savedStep: number | undefined;
  readonly best: BestWatch;
  private readonly options: TrainOptions<B>;
  private readonly checkpointPath: string;
  private readonly scaler: LossScaler | undefined;
  private readonly canRollBack: boolean;
  private readonly phases: StepPhases<B>;
  private readonly scorer: Scorer<B> | undefined;
  private readonly evaluation: Evaluation<B>;
  private readonly ahead: ReadAhead<B>;
  private readonly spikes: SpikeWatch | undefined;
  private readonly kept: KeptCheckpoints;
  private metrics: MetricsLog | undefined;
  private overflows = 0; // in a row
  private asked = { stop: false, save: false, evaluate: false };

  constructor(options: TrainOptions<B>) {
    const { objective, folder, precision = "f32", fingerprint } = options;
    this.options = options;
    this.checkpointPath = join(folder, "checkpoint");
    if (fingerprint) this.state = { ...this.state, fingerprint };
    this.scaler = precision === "f16" ? new LossScaler() : undefined;
    this.canRollBack = stateBytes(objective) <= ROLLBACK_BYTES;
    this.phases = new StepPhases(options, (frozen) => compileStep(options, this.scaler, this.canRollBack, frozen));
    this.scorer = options.validationData && objective.scorer?.();
    this.evaluation = compileEvaluation(objective, this.scorer);
    this.ahead = new ReadAhead(options.trainData, options.prefetch ?? 2);
    this.spikes = options.spikes && new SpikeWatch(options.spikes);
    this.best = new BestWatch(options);
    this.kept = new KeptCheckpoints(folder, options, (a, b) => this.best.isBetter(a, b));
  }

  /** Goes on from the checkpoint in the folder, where there is one. */
  async *resume(): AsyncGenerator<TrainEvent, void, void> {
    const checkpoint = await findCheckpoint(this.checkpointPath);
    if (checkpoint) await this.restore(checkpoint);
    const { step, validationLoss } = this.state;
    this.metrics = await MetricsLog.open(join(this.options.folder, "metrics.jsonl"), step);
    if (checkpoint) yield { type: "resumed", step, validationLoss };
    else if (this.spikes) yield await this.save(); // so that there is something to go back to
  }

  private async restore(checkpoint: string): Promise<void> {
    const { objective, fingerprint, schedule } = this.options;
    this.state = await loadCheckpoint(checkpoint, { objective, optimizer: this.learned(), fingerprint });
    this.savedStep = this.state.step;
    this.best.state = this.state.best;
    if (this.spikes) this.spikes.losses = this.state.recentLosses ?? [];
    if (isAdaptive(schedule) && this.state.schedule !== undefined) schedule.restore(this.state.schedule as JsonValue);
  }

  stopReason(): StopReason | undefined {
    const { steps, maxSeconds = Number.POSITIVE_INFINITY, signal } = this.options;
    if (this.state.step >= steps) return "steps";
    if (signal?.aborted) return "aborted";
    if (this.asked.stop) return "callback";
    if (this.best.isOutOfPatience) return "patience";
    return this.state.elapsedSeconds >= maxSeconds ? "time" : undefined;
  }

  /** What callbacks ask for after an event. */
  async callBack(event: TrainEvent): Promise<void> {
    const control: TrainControl = {
      stop: () => {
        this.asked.stop = true;
      },
      save: () => {
        this.asked.save = true;
      },
      evaluate: () => {
        this.asked.evaluate = true;
      },
    };
    for (const callback of this.options.callbacks ?? []) await callback(event, control);
  }

  /** Whether something is due after this step, or a callback asked for it; what was asked for is then forgotten. */
  isDue(what: "save" | "evaluate"): boolean {
    const { evaluationInterval = 100, checkpointInterval = 500, steps } = this.options;
    const { step } = this.state;
    const isAsked = this.asked[what];
    this.asked[what] = false;
    return step < steps && (isAsked || step % (what === "save" ? checkpointInterval : evaluationInterval) === 0);
  }

  /**
   * The next step: its batches, the update, and what is told of it; or back to the last checkpoint after a leap.
   * @throws DivergedError when the loss is not finite
   */
  async step(): Promise<TrainEvent> {
    const { objective, accumulation = 1, cancelSignal: signal } = this.options;
    const { step, skippedSteps = 0 } = this.state;
    const started = performance.now();
    const read = await this.ahead.take((step + skippedSteps) * accumulation, accumulation);
    const waited = performance.now() - started;
    const batches: B[] = [];
    for (const batch of read) batches.push((await objective.prepare?.(batch, { step, signal })) ?? batch);
    const result = await this.run(batches);
    if (result.type === "rolledBack") return result;
    const seconds = (performance.now() - started) / 1000;
    return this.advance(batches, result.numbers, { seconds, dataWait: waited / 1000 / seconds });
  }

  private async run(
    batches: readonly B[],
  ): Promise<{ type: "done"; numbers: StepNumbers } | Extract<TrainEvent, { type: "rolledBack" }>> {
    const { step } = this.state;
    const learningRate = this.learningRate();
    const result = await this.phases.at(step).run(batches, learningRate, step, this.options.cancelSignal);
    const loss = await result.loss.item();
    const gradientNorm = await result.gradientNorm.item();
    this.overflows = Number.isFinite(gradientNorm) ? 0 : this.overflows + 1;
    const isFine = Number.isFinite(loss) && this.overflows <= (this.scaler ? MOST_OVERFLOWS : 0);
    if (this.spikes && (!isFine || this.spikes.isSpike(loss))) {
      const { rollbacks = 0 } = this.state;
      if (rollbacks < this.spikes.mostRollbacks) return this.rollBack(step + 1, loss);
    }
    if (isFine)
      return { type: "done", numbers: { loss, gradientNorm, learningRate, metrics: await numbersOf(result.metrics) } };
    const { objective } = this.options;
    if (this.canRollBack) this.phases.at(step).rollback();
    const checkpoint = await findCheckpoint(this.checkpointPath);
    throw await divergence({ objective, step, loss, batches, checkpoint });
  }

  private learningRate(): number {
    const { schedule, steps, maxSeconds } = this.options;
    const { step, elapsedSeconds } = this.state;
    const learningRate = schedule(maxSeconds ? Math.max(step, (steps * elapsedSeconds) / maxSeconds) : step);
    const rules = { learningRate: numberRules.notNegative };
    requireNumbers(`train, step ${step}`, { learningRate }, rules, CORRECT_SCHEDULE);
    return learningRate;
  }

  /** Back to the last checkpoint; the batches since then are passed over. */
  private async rollBack(from: number, loss: number): Promise<Extract<TrainEvent, { type: "rolledBack" }>> {
    const { rollbacks = 0, skippedSteps = 0, elapsedSeconds } = this.state;
    await this.restore((await findCheckpoint(this.checkpointPath)) as string);
    const { step } = this.state;
    const skipped = from - step;
    this.state = { ...this.state, rollbacks: rollbacks + 1, skippedSteps: skippedSteps + skipped, elapsedSeconds };
    this.ahead.clear();
    this.overflows = 0;
    await this.metrics?.close();
    this.metrics = await MetricsLog.open(join(this.options.folder, "metrics.jsonl"), step);
    this.savedStep = undefined; // what is passed over has to be remembered
    return { type: "rolledBack", step, from, loss, skippedSteps: skipped };
  }

  /** Counts a step that is done. */
  private async advance(
    batches: readonly B[],
    numbers: StepNumbers,
    { seconds, dataWait }: { seconds: number; dataWait: number },
  ): Promise<TrainEvent> {
    const { objective } = this.options;
    this.state = { ...this.state, step: this.state.step + 1, elapsedSeconds: this.state.elapsedSeconds + seconds };
    const { step, elapsedSeconds } = this.state;
    const { loss, gradientNorm, learningRate, metrics } = numbers;
    const throughput = batches.reduce((total, batch) => total + objective.count(batch), 0) / seconds;
    const speed = { [`${objective.unit}PerSecond`]: throughput };
    await this.metrics?.write({ step, loss, gradientNorm, learningRate, ...speed, ...named(metrics) });
    return { type: "step", step, ...numbers, throughput, dataWait, elapsedSeconds };
  }

  async evaluate(source: Source<B>): Promise<Extract<TrainEvent, { type: "evaluation" }>> {
    const { evaluationBatches: batches, cancelSignal: signal, schedule } = this.options;
    const { scorer } = this;
    const measured = () => measure(this.evaluation, { source, batches, scorer, signal });
    const { optimizer } = this.options;
    const { loss: validationLoss, metrics } = await (isWeightAverage(optimizer)
      ? optimizer.withAverages(measured)
      : measured());
    const { step } = this.state;
    const value = this.best.valueOf({ ...metrics, validationLoss });
    const isBest = this.best.see(step, value);
    if (isAdaptive(schedule)) schedule.observe(value);
    this.state = { ...this.state, validationLoss, validationStep: step };
    await this.metrics?.write({ step, validationLoss, ...named(metrics) });
    return { type: "evaluation", step, validationLoss, metrics, isBest };
  }

  async save(): Promise<TrainEvent> {
    const { objective, schedule } = this.options;
    const { checkpointPath: path } = this;
    const state: TrainingState = {
      ...this.state,
      ...(this.best.state && { best: this.best.state }),
      ...(this.spikes && { recentLosses: this.spikes.losses }),
      ...(isAdaptive(schedule) && { schedule: schedule.state }),
    };
    await this.metrics?.sync();
    await saveCheckpoint(path, { objective, optimizer: this.learned(), state });
    const { step, validationStep } = state;
    this.savedStep = step;
    const measured = validationStep === step ? (this.best.lastValue ?? null) : null;
    await this.kept.keep(path, step, measured);
    return { type: "checkpoint", step, path };
  }

  /** Keeps the checkpoint on disk as the best. */
  async keepBest(): Promise<void> {
    await keepCheckpoint(this.checkpointPath, join(this.options.folder, BEST));
  }

  /** Brings the best state back into the model and the optimizer. Training is over then. */
  async restoreBest(): Promise<void> {
    const best = await findCheckpoint(join(this.options.folder, BEST));
    if (best) await loadCheckpoint(best, { objective: this.options.objective, optimizer: this.learned() });
  }

  async close(): Promise<void> {
    this.phases.dispose();
    this.evaluation.dispose();
    this.scaler?.dispose();
    await this.metrics?.close();
  }

  /** All state that is learned besides the objective's. */
  private learned(): SavedState {
    return { state: new Map<string, Variable>([...this.options.optimizer.state, ...(this.scaler?.state ?? [])]) };
  }
}

/** The compiled step, which is another one when parameters are no longer frozen. */
class StepPhases<B> {
  private readonly options: TrainOptions<B>;
  private readonly compile: (frozen: ReadonlySet<Parameter>) => AccumulatedStep<B>;
  private current: { frozen: ReadonlySet<Parameter>; step: AccumulatedStep<B> } | undefined;

  constructor(options: TrainOptions<B>, compile: (frozen: ReadonlySet<Parameter>) => AccumulatedStep<B>) {
    this.options = options;
    this.compile = compile;
    this.at(0); // wrong settings are refused before anything is read
  }

  /** That of a step's number. */
  at(step: number): AccumulatedStep<B> {
    const { objective, frozenUntil = new Map<string, number>() } = this.options;
    const names = [...frozenUntil].filter(([, start]) => step < start);
    if (this.current?.frozen.size === names.length) return this.current.step;
    this.dispose();
    const frozen = new Set(names.map(([name]) => objective.trained.get(name) as Parameter));
    this.current = { frozen, step: this.compile(frozen) };
    return this.current.step;
  }

  dispose(): void {
    this.current?.step.dispose();
    this.current = undefined;
  }
}

/** A step of one batch is one graph; of several, a graph for a batch and one for the update. */
function compileStep<B>(
  options: TrainOptions<B>,
  scaler: LossScaler | undefined,
  keepPreviousState: boolean,
  frozen: ReadonlySet<Parameter>,
): AccumulatedStep<B> {
  const { objective, optimizer, clipNorm = 1, clipValue, precision, seed = 0, accumulation: count = 1 } = options;
  const { detectAnomaly: debugNans, checkpointActivations } = options;
  const key = randomKey(seed);
  const settings = {
    clipNorm,
    clipValue,
    key,
    keepPreviousState,
    precision,
    scaler,
    debugNans,
    checkpointActivations,
    frozen,
  };
  if (count > 1) return compileAccumulatedStep(objective, optimizer, { ...settings, count });
  const step = compileTrainStep(objective, optimizer, settings);
  return {
    run: ([batch], rate, at, signal): Promise<StepResult> =>
      step.withSignal(signal)(batch as BatchArgument<B>, rate, tensor(at, { dtype: "i32" })),
    rollback: () => step.rollback(),
    dispose: () => step.dispose(),
  };
}

/** Metrics in a line of metrics.jsonl, where there are any. */
const named = (metrics: Readonly<Record<string, number>>): MetricsEntry =>
  Object.keys(metrics).length > 0 ? { metrics } : {};

/** What a step changes, moments included. */
const stateBytes = ({ trained }: Pick<Objective<never>, "trained">): number =>
  parameterCount(trained.values()) * 4 * STATE_COPIES;
