/** Learning rate at a step, counted from 0. */
export type Schedule = (step: number) => number;

/** What JSON can hold. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** A schedule that follows what training measures, and not the step alone: its state belongs into checkpoints. */
export interface AdaptiveSchedule extends Schedule {
  /** Tells it of a measurement, such as a validation loss. */
  observe(value: number): void;
  /** What `restore` takes. */
  readonly state: JsonValue;
  /** Goes on where another left off. @throws DataError for what is no state of such a schedule */
  restore(state: JsonValue): void;
}

/** Whether a schedule wants to be told what is measured. */
export const isAdaptive = (schedule: Schedule): schedule is AdaptiveSchedule =>
  "observe" in schedule && "restore" in schedule && "state" in schedule;
