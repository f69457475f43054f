export interface BreakerOptions {
  /** Failures in a row after which nothing is sent. */
  failures: number;
  /** How long nothing is sent then, in milliseconds. */
  openMs: number;
  /** In milliseconds, from some beginning on. */
  now: () => number;
}

/** What a breaker lets pass: all, nothing, or one request that tries whether things are well again. */
export type BreakerState = "closed" | "open" | "half-open";

/**
 * Keeps requests away from what fails again and again: an upstream, or one of its models. Whoever sends one asks
 * `enter` first, and says afterwards how it went: `succeed`, `fail`, or `leave` where that is not known, as when the
 * client went away.
 */
export class CircuitBreaker {
  private readonly options: BreakerOptions;
  private failures = 0;
  private openUntil: number | undefined;
  private isTrying = false;

  constructor(options: BreakerOptions) {
    this.options = options;
  }

  get state(): BreakerState {
    if (this.openUntil === undefined) return "closed";
    return this.options.now() < this.openUntil ? "open" : "half-open";
  }

  /** When it lets something pass again, by the clock of the options; 0 where it does now. */
  get opensAt(): number {
    return this.state === "open" ? (this.openUntil as number) : 0;
  }

  /** Whether `enter` would let a request pass. */
  get isPassable(): boolean {
    return this.state === "closed" || (this.state === "half-open" && !this.isTrying);
  }

  /** Whether a request may be sent. */
  enter(): boolean {
    if (!this.isPassable) return false;
    if (this.state === "half-open") this.isTrying = true;
    return true;
  }

  succeed(): void {
    this.failures = 0;
    this.openUntil = undefined;
    this.isTrying = false;
  }

  fail(): void {
    this.failures++;
    const { failures, openMs, now } = this.options;
    if (this.isTrying || this.failures >= failures) this.openUntil = now() + openMs;
    this.isTrying = false;
  }

  leave(): void {
    this.isTrying = false;
  }
}
