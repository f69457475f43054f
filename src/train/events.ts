/** What happens in training, and who may have a say in it. */

/**
 * What happens in training, in the order in which it happens: steps are counted from 1 when they are done, losses are
 * means.
 */
export type TrainEvent =
  | { type: "resumed"; step: number; validationLoss: number | null }
  | {
      type: "step";
      step: number;
      loss: number;
      gradientNorm: number;
      learningRate: number;
      /** Of the objective, by name. */
      metrics: Readonly<Record<string, number>>;
      /** In the objective's unit per second, such as tokens. */
      throughput: number;
      /** Share of the step's time in which the device waited for data. */
      dataWait: number;
      elapsedSeconds: number;
    }
  | {
      type: "evaluation";
      step: number;
      validationLoss: number;
      metrics: Readonly<Record<string, number>>;
      /** Whether no state before was as good, by what is monitored. */
      isBest: boolean;
    }
  | { type: "checkpoint"; step: number; path: string }
  | {
      /** The loss leapt up: training went back, and passes over the batches since. */
      type: "rolledBack";
      /** Where it goes on. */
      step: number;
      /** The step that was undone. */
      from: number;
      loss: number;
      skippedSteps: number;
    }
  | {
      type: "finished";
      step: number;
      reason: StopReason;
      /** Null without validation data. */
      validationLoss: number | null;
      validationStep: number | null;
      /** The best state, by what is monitored; null where nothing was measured. */
      best: { step: number; value: number } | null;
    };

/**
 * All steps are done; `maxSeconds` are over; the signal was given; nothing became better for long; a callback said so.
 */
export type StopReason = "steps" | "time" | "aborted" | "patience" | "callback";

/** What a callback may ask of training, done after the event that it sees. */
export interface TrainControl {
  /** Ends training, with a last evaluation and a checkpoint. */
  stop(): void;
  /** Saves a checkpoint after this step. */
  save(): void;
  /** Measures the validation loss after this step. */
  evaluate(): void;
}

/** Sees each event as it happens; training waits for it. */
export type TrainCallback = (event: TrainEvent, control: TrainControl) => void | Promise<void>;
