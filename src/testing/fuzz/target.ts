import type { Random } from "./random.ts";

/** A reader that is fuzzed. */
export interface Target {
  /** Inputs, of which a run of the slow tests tries so many. */
  count: number;
  /** Seconds of the processor that one may take. @default 5 */
  seconds?: number;
  /** One input, as it is shown where it fails. */
  make(random: Random): Uint8Array | string;
  /** Reads it. Throws errors of Kindling's alone. */
  run(input: Uint8Array | string): Promise<void>;
}
