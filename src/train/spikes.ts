/** Losses that leap up, as in large trainings now and then. Chowdhery et al. 2022, arXiv:2204.02311, section 5.1 */
import { checkOptions, numberRules, requireNumbers } from "../base/index.ts";

/** What counts as a leap, and how often training goes back. */
export interface SpikeOptions {
  /** Standard deviations above the mean of the last losses. @default 6 */
  deviations?: number;
  /** How many last losses are looked at; fewer than half of them tell nothing. @default 50 */
  window?: number;
  /** Most times that training goes back to its last checkpoint and passes over the batches since. @default 3 */
  mostRollbacks?: number;
}

/** @throws OptionError for unknown options and numbers out of range */
export function checkSpikes(options: SpikeOptions | undefined): void {
  if (options === undefined) return;
  checkOptions("train, spikes", options, ["deviations", "window", "mostRollbacks"]);
  const { deviations = 6, window = 50, mostRollbacks = 3 } = options;
  const { positive, positiveInteger, wholeNumber } = numberRules;
  requireNumbers(
    "train, spikes",
    { deviations, window, mostRollbacks },
    { deviations: positive, window: positiveInteger, mostRollbacks: wholeNumber },
  );
}

/** Deviations of losses that hardly differ are taken to be at least this share of their mean. */
const LEAST_DEVIATION = 0.01;

/** Remembers the last losses. */
export class SpikeWatch {
  /** The last losses, oldest first: part of checkpoints. */
  losses: readonly number[] = [];
  private readonly deviations: number;
  private readonly window: number;
  readonly mostRollbacks: number;

  constructor({ deviations = 6, window = 50, mostRollbacks = 3 }: SpikeOptions) {
    this.deviations = deviations;
    this.window = window;
    this.mostRollbacks = mostRollbacks;
  }

  /** Whether a loss leaps up, or is none; one that does not is remembered. */
  isSpike(loss: number): boolean {
    if (!Number.isFinite(loss)) return true;
    const { losses, window } = this;
    if (losses.length >= window / 2) {
      const mean = losses.reduce((a, b) => a + b, 0) / losses.length;
      const variance = losses.reduce((total, value) => total + (value - mean) ** 2, 0) / losses.length;
      const deviation = Math.max(Math.sqrt(variance), LEAST_DEVIATION * Math.abs(mean));
      if (loss > mean + this.deviations * deviation) return true;
    }
    this.losses = [...losses, loss].slice(-window);
    return false;
  }
}
