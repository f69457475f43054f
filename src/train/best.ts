/** Which state of a training is the best, and when to stop waiting for a better one. */
import { checkOptions, numberRules, OptionError, requireNumbers } from "../base/index.ts";

/** By what states are compared, which are kept, and how long a better one is waited for. */
export interface BestOptions {
  /**
   * The number that tells which state is better: "validationLoss" or a metric of the validation, and whether less or
   * more of it is better. @default the validation loss, of which less is better
   */
  monitor?: { metric: string; mode: "min" | "max" };
  /** Ends training when this many evaluations in a row were no better by more than minDelta. @default never */
  earlyStopping?: { patience: number; minDelta?: number };
  /** Keeps the checkpoint of the best state, in best/. @default false */
  keepBest?: boolean;
  /** With keepBest: in the end the model has the weights of the best state, not those of the last. @default false */
  restoreBest?: boolean;
  /** Keeps this many checkpoints in checkpoints/: the best ones, or the last without validation. @default 0 */
  keepCheckpoints?: number;
  /** Most bytes of checkpoints/: the worst go first. @default no limit */
  maxCheckpointBytes?: number;
}

/** What was best so far, as it is kept in a checkpoint. */
export interface BestState {
  step: number;
  value: number;
  /** Evaluations since then. */
  evaluationsSince: number;
}

/** @throws OptionError for wrong options, and those that need validation data where there is none */
export function checkBest(options: BestOptions & { validationData?: unknown }): void {
  const { monitor, earlyStopping, keepCheckpoints = 0, maxCheckpointBytes = Number.POSITIVE_INFINITY } = options;
  const { wholeNumber, positiveInteger, notNegative, limit } = numberRules;
  requireNumbers(
    "train",
    { keepCheckpoints, maxCheckpointBytes },
    { keepCheckpoints: wholeNumber, maxCheckpointBytes: limit },
  );
  if (monitor) {
    checkOptions("train, monitor", monitor, ["metric", "mode"]);
    const isFine = typeof monitor.metric === "string" && ["min", "max"].includes(monitor.mode);
    if (!isFine)
      throw new OptionError({
        where: "train, monitor",
        expected: 'a metric, and a mode that is "min" or "max"',
        received: JSON.stringify(monitor),
        fix: 'for example { metric: "accuracy", mode: "max" }',
      });
  }
  if (earlyStopping) {
    checkOptions("train, earlyStopping", earlyStopping, ["patience", "minDelta"]);
    const { patience, minDelta = 0 } = earlyStopping;
    requireNumbers(
      "train, earlyStopping",
      { patience, minDelta },
      { patience: positiveInteger, minDelta: notNegative },
    );
  }
  if (options.validationData) return;
  const needy = { monitor, earlyStopping, keepBest: options.keepBest || options.restoreBest || undefined };
  const name = Object.entries(needy).find(([, value]) => value !== undefined)?.[0];
  if (name === undefined) return;
  throw new OptionError({
    where: "train",
    expected: `validationData for ${name}`,
    received: "none",
    fix: "give some, or leave the option out",
  });
}

/** Follows what is monitored from evaluation to evaluation. */
export class BestWatch {
  state: BestState | undefined;
  /** Of the last evaluation in this session. */
  lastValue: number | undefined;
  private readonly options: BestOptions;

  constructor(options: BestOptions) {
    this.options = options;
  }

  /** The number that is monitored. @throws OptionError when the evaluation has none of that name */
  valueOf(measured: Readonly<Record<string, number>>): number {
    const { metric = "validationLoss" } = this.options.monitor ?? {};
    if (metric in measured) return measured[metric];
    throw new OptionError({
      where: "train, monitor",
      expected: `one of ${Object.keys(measured).join(", ")}`,
      received: metric,
      fix: "monitor a number that the validation gives",
    });
  }

  /** Whether a value is better than another. NaN is worse than all. */
  isBetter(value: number, than: number, minDelta = 0): boolean {
    if (Number.isNaN(value)) return false;
    if (Number.isNaN(than)) return true;
    return this.options.monitor?.mode === "max" ? value > than + minDelta : value < than - minDelta;
  }

  /** Takes an evaluation. Returns whether it is the best so far. */
  see(step: number, value: number): boolean {
    this.lastValue = value;
    const { state } = this;
    const minDelta = this.options.earlyStopping?.minDelta ?? 0;
    const isBest = !state || this.isBetter(value, state.value, minDelta);
    this.state = isBest
      ? { step, value, evaluationsSince: 0 }
      : { ...(state as BestState), evaluationsSince: (state as BestState).evaluationsSince + 1 };
    return isBest;
  }

  get isOutOfPatience(): boolean {
    const { earlyStopping } = this.options;
    return earlyStopping !== undefined && (this.state?.evaluationsSince ?? 0) >= earlyStopping.patience;
  }
}
