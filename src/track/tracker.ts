import type { ClassAnswers } from "./report/extras.ts";

/** A value of a configuration, as trackers show it. */
export type ConfigValue = string | number | boolean | null;

/** What a run is, as trackers know it. */
export interface RunDescription {
  /** Of the run, such as "sotu". */
  name: string;
  /** Folder of the run. */
  folder: string;
  /** What decides what the run computes, by name. */
  config: Readonly<Record<string, ConfigValue>>;
  /** Words to sort runs by. @default none */
  tags?: Readonly<Record<string, string>>;
}

/** How a run ended: all is done, somebody stopped it, or an error did. */
export type RunEnd = "finished" | "stopped" | "failed";

/** What a run came to. */
export interface RunSummary {
  end: RunEnd;
  /** Steps that are done. */
  step: number;
  /** Last and best numbers, by name. */
  values: Readonly<Record<string, number>>;
  /** What a classifier answers on the validation data. */
  classes?: ClassAnswers;
}

/** A picture: rows from the top, pixels from the left, red, green and blue from 0 to 255. */
export interface Picture {
  width: number;
  height: number;
  /** [height * width * 3] */
  rgb: Uint8Array;
}

/** One thing that was measured or seen after a step. */
export type TrackedEntry = { step: number; timeMs: number } & (
  | { type: "values"; values: Readonly<Record<string, number>> }
  | { type: "text"; name: string; text: string }
  | { type: "histogram"; name: string; values: ArrayLike<number> }
  | { type: "image"; name: string; picture: Picture }
);

/** Follows a run. No call waits or throws: a tracker never stops or slows a training. */
export interface Tracker {
  /**
   * To be called once, before anything else.
   * @param resumedStep the step that the run goes on after, 0 for a new one: what was written of later steps is taken
   *   back, or not written again
   */
  start(run: RunDescription, resumedStep: number): void;
  /** Numbers after a step, by names such as "train/loss". */
  log(step: number, values: Readonly<Record<string, number>>): void;
  /** A text, such as a sample of what the model writes. */
  text(step: number, name: string, text: string): void;
  /** How values are spread, such as the weights of a layer. The numbers are copied. */
  histogram(step: number, name: string, values: ArrayLike<number>): void;
  /** A picture. Its pixels are copied. */
  image(step: number, name: string, picture: Picture): void;
  /** Writes what still waits, for a while at most. Never rejects. */
  finish(summary: RunSummary): Promise<void>;
}
