/** How much divergence from a reference costs. */

/** How divergence is held near to a target. */
export interface KlControl {
  /** Nats of a completion. */
  target: number;
  /** Completions in which the coefficient moves by the error. */
  horizon: number;
  /** Completions that were measured. */
  count: number;
}

/** The error of a rollout counts up to this. */
const MOST_ERROR = 0.2;

/** A coefficient in proportion to the error of the divergence. Ziegler et al. 2019, arXiv:1909.08593, section 2.2. */
export function nextCoefficient(coefficient: number, kl: number, { target, horizon, count }: KlControl): number {
  const error = Math.min(MOST_ERROR, Math.max(-MOST_ERROR, kl / target - 1));
  return coefficient * (1 + (error * count) / horizon);
}
