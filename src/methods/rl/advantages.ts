/** How much better completions, or their tokens, are than expected. */

/** Keeps groups of nearly equal rewards from large advantages, as in TRL. */
const EPSILON = 1e-4;

/** Mean and sample standard deviation, 0 of one number; of equal ones exactly themselves and 0. */
export function spreadOf(values: readonly number[]): { mean: number; deviation: number } {
  if (values.every((value) => value === values[0])) return { mean: values[0], deviation: 0 };
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const squares = values.reduce((total, value) => total + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / (values.length - 1)) };
}

/**
 * Rewards less the mean of their group, over its standard deviation where `isScaled`. Groups stand one after another.
 * Shao et al. 2024, arXiv:2402.03300, section 4.1.2; without the deviation Liu et al. 2025, arXiv:2503.20783.
 * Rewards of [1, 0, 5, 5] in groups of 2 are [0.5, -0.5, 0, 0], not scaled.
 */
export function groupAdvantages(
  rewards: readonly number[],
  { groupSize, isScaled }: { groupSize: number; isScaled: boolean },
): number[] {
  return rewards.map((reward, i) => {
    const start = i - (i % groupSize);
    const { mean, deviation } = spreadOf(rewards.slice(start, start + groupSize));
    return (reward - mean) / (isScaled ? deviation + EPSILON : 1);
  });
}

/** Share of the groups whose rewards are all equal: nothing is learned from them. */
export function unanimousShare(rewards: readonly number[], groupSize: number): number {
  let count = 0;
  for (let start = 0; start < rewards.length; start += groupSize)
    if (rewards.slice(start, start + groupSize).every((reward) => reward === rewards[start])) count++;
  return count / (rewards.length / groupSize);
}

/** Settings of generalised advantage estimation. */
export interface GaeOptions {
  /** What a reward a token later is worth. */
  gamma: number;
  /** How far ahead rewards count in place of values. */
  lambda: number;
}

/**
 * Generalised advantage estimation of one completion, whose end is worth 0. Schulman et al. 2015, arXiv:1506.02438,
 * equation 16. Returns are advantages and values together.
 */
export function generalisedAdvantages(
  rewards: readonly number[],
  values: readonly number[],
  { gamma, lambda }: GaeOptions,
): { advantages: number[]; returns: number[] } {
  const advantages = new Array<number>(rewards.length).fill(0);
  let after = 0;
  for (let t = rewards.length - 1; t >= 0; t--) {
    const delta = rewards[t] + gamma * (values[t + 1] ?? 0) - values[t];
    after = delta + gamma * lambda * after;
    advantages[t] = after;
  }
  return { advantages, returns: advantages.map((advantage, t) => advantage + values[t]) };
}

/** Keeps equal advantages from being divided by 0. */
const LEAST_VARIANCE = 1e-8;

/** Numbers that count, moved to mean 0 and variance 1; others become 0. */
export function whitened(values: readonly number[], mask: readonly number[]): number[] {
  const { mean, deviation } = spreadOf(values.filter((_, i) => mask[i] > 0));
  const scale = 1 / Math.sqrt(deviation ** 2 + LEAST_VARIANCE);
  return values.map((value, i) => (mask[i] > 0 ? (value - mean) * scale : 0));
}
