/** How much a new time counts against those before. */
const SHARE = 0.3;
/** After so long an upstream may do otherwise: it is asked again to be measured. */
const STALE_MS = 60_000;

/** The mean time to the first byte of a model at an upstream, in which later times count more (EWMA). */
export class LatencyMean {
  private mean: number | undefined;
  private at = 0;
  private readonly now: () => number;

  /** @param now in milliseconds */
  constructor(now: () => number) {
    this.now = now;
  }

  add(milliseconds: number): void {
    this.mean = this.value === undefined ? milliseconds : this.value + SHARE * (milliseconds - this.value);
    this.at = this.now();
  }

  /** In milliseconds; undefined where nothing was measured lately. */
  get value(): number | undefined {
    return this.now() - this.at > STALE_MS ? undefined : this.mean;
  }
}
