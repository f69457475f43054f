export interface BreakerOptions {
  /** Failures in a row after which nothing is sent; so many answers in a row that are cut off count alike. */
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
 * client went away. Of an answer that comes in pieces it says `begin`, and in the end `succeed` or `cut`.
 */
export class CircuitBreaker {
  private readonly options: BreakerOptions;
  private failures = 0;
  private cuts = 0;
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

  /** An answer has begun, which may yet be cut off: others need not wait for its end. */
  begin(): void {
    this.failures = 0;
    this.openUntil = undefined;
    this.isTrying = false;
  }

  succeed(): void {
    this.begin();
    this.cuts = 0;
  }

  fail(): void {
    this.failures++;
    if (this.isTrying || this.failures >= this.options.failures) this.open();
    this.isTrying = false;
  }

  /** An answer that had begun was cut off. */
  cut(): void {
    this.cuts++;
    if (this.cuts >= this.options.failures) this.open();
  }

  private open(): void {
    this.openUntil = this.options.now() + this.options.openMs;
  }

  leave(): void {
    this.isTrying = false;
  }
}
