/** Terms of the continued fraction of the tail. */
const TERMS = 60;

/** The probability that a standard normal number is at most x. */
export function normalCdf(x: number): number {
  if (Math.abs(x) > 38) return Number(x > 0);
  const tail = Math.abs(x) < 3 ? 0.5 - centre(Math.abs(x)) : upperTail(Math.abs(x));
  return x > 0 ? 1 - tail : tail;
}

const density = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

/** Between 0 and x: density(x) times the sum of x^(2n+1) / (1 3 5 ... (2n+1)). */
function centre(x: number): number {
  let [term, sum] = [x, x];
  for (let n = 1; term > sum * 1e-17; n++) {
    term *= (x * x) / (2 * n + 1);
    sum += term;
  }
  return density(x) * sum;
}

/** Beyond x: density(x) over x + 1/(x + 2/(x + 3/(x + ...))). */
function upperTail(x: number): number {
  let fraction = x;
  for (let n = TERMS; n > 0; n--) fraction = x + n / fraction;
  return density(x) / fraction;
}

/** The x below which a standard normal number is with the probability p. */
export function normalQuantile(p: number): number {
  if (p <= 0) return Number.NEGATIVE_INFINITY;
  if (p >= 1) return Number.POSITIVE_INFINITY;
  if (p > 0.5) return -normalQuantile(1 - p);
  // halving until Newton's steps are safe, then Newton
  let [low, high] = [-39, 0];
  for (let i = 0; i < 20; i++) {
    const middle = (low + high) / 2;
    if (normalCdf(middle) < p) low = middle;
    else high = middle;
  }
  let x = (low + high) / 2;
  for (let i = 0; i < 4; i++) x -= (normalCdf(x) - p) / density(x);
  return x;
}
