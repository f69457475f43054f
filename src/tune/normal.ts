/** Probabilities of the normal and of Student's t distribution, to some 1e-13. */

const SQRT_PI = Math.sqrt(Math.PI);
/** From here on the continued fraction converges quickly; below it, the series. */
const SERIES_END = 2;
/** Terms that are too small to change a double end every loop before this. */
const MOST_TERMS = 500;

/** erf by its series with positive terms (Abramowitz and Stegun 7.1.6), for 0 <= x < 2. */
function erfSeries(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; n < MOST_TERMS && term > sum * 1e-17; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / SQRT_PI) * Math.exp(-x * x) * sum;
}

/** exp(x^2) erfc(x) by its continued fraction (Abramowitz and Stegun 7.1.14) with Lentz's method, for x >= 2. */
function scaledErfc(x: number): number {
  return (
    1 /
    (SQRT_PI *
      lentz(
        x,
        (n) => n / 2,
        () => x,
      ))
  );
}

/** b0 + a1 / (b1 + a2 / (b2 + ...)) */
function lentz(first: number, a: (n: number) => number, b: (n: number) => number): number {
  const TINY = 1e-300;
  let value = first || TINY;
  let c = value;
  let d = 0;
  for (let n = 1; n < MOST_TERMS; n++) {
    d = 1 / (b(n) + a(n) * d || TINY);
    c = b(n) + a(n) / c || TINY;
    value *= c * d;
    if (Math.abs(c * d - 1) < 1e-16) break;
  }
  return value;
}

/** The probability that a normal number is below x, for x <= 0. */
function lowerTail(x: number): number {
  const z = -x / Math.SQRT2;
  return z < SERIES_END ? 0.5 * (1 - erfSeries(z)) : 0.5 * Math.exp(-z * z) * scaledErfc(z);
}

function logLowerTail(x: number): number {
  const z = -x / Math.SQRT2;
  return z < SERIES_END ? Math.log(lowerTail(x)) : Math.log(0.5 * scaledErfc(z)) - z * z;
}

/** log of the probability that a standard normal number is from a to b, precise in both tails. */
export function logNormalMass(a: number, b: number): number {
  if (a > 0) return logNormalMass(-b, -a);
  if (b > 0) return Math.log1p(-lowerTail(a) - lowerTail(-b));
  const [larger, smaller] = [logLowerTail(b), logLowerTail(a)];
  return larger + Math.log1p(-Math.exp(smaller - larger));
}

/** log of the density of the standard normal distribution. */
export const logNormalDensity = (x: number): number => -0.5 * x * x - 0.5 * Math.log(2 * Math.PI);

/** log of the gamma function at a positive multiple of a half. */
function logGammaOfHalves(twice: number): number {
  let sum = twice % 2 === 0 ? 0 : Math.log(SQRT_PI);
  for (let n = twice % 2 === 0 ? 2 : 1; n < twice; n += 2) sum += Math.log(n / 2);
  return sum;
}

/** The probability that Student's t is above x >= 0: half an incomplete beta function (Numerical Recipes, 6.4). */
function upperTailOfT(x: number, degrees: number): number {
  const [a, b] = [degrees / 2, 0.5];
  const z = degrees / (degrees + x * x);
  const front = Math.exp(
    logGammaOfHalves(degrees + 1) -
      logGammaOfHalves(degrees) -
      logGammaOfHalves(1) +
      a * Math.log(z) +
      b * Math.log1p(-z),
  );
  if (z < (a + 1) / (a + b + 2)) return (0.5 * front) / (a * betaFraction(z, a, b));
  return 0.5 * (1 - front / (b * betaFraction(1 - z, b, a)));
}

/** The continued fraction of the incomplete beta function, to be divided by. */
const betaFraction = (z: number, a: number, b: number) =>
  lentz(
    1,
    (n) => {
      const m = Math.floor(n / 2);
      return n % 2 === 0
        ? (m * (b - m) * z) / ((a + 2 * m - 1) * (a + 2 * m))
        : (-(a + m) * (a + b + m) * z) / ((a + 2 * m) * (a + 2 * m + 1));
    },
    () => 1,
  );

/** The value that Student's t is below with a probability from 0.5 to below 1; degrees of freedom are whole. */
export function quantileOfT(probability: number, degrees: number): number {
  let [low, high] = [0, 1];
  while (upperTailOfT(high, degrees) > 1 - probability) [low, high] = [high, 2 * high];
  for (let i = 0; i < 200 && high - low > 1e-15 * high; i++) {
    const middle = (low + high) / 2;
    if (upperTailOfT(middle, degrees) > 1 - probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
