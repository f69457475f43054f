import type { DType } from "../base/index.ts";
import { add, div, exp, mul, neg, sqrt, square, sub } from "./arithmetic.ts";
import { binary, unary, where } from "./elementwise.ts";
import { equal } from "./logic.ts";
import { lowerIsInfinite, lowerIsNan, lowerSignOfComparisons } from "./lower-missing.ts";
import type { Lowering } from "./lowering.ts";

/** Sine of an angle in radians, elementwise. */
export const sin = unary({ name: "sin", lower: "Sin", gradient: ({ x, dy }) => mul(dy, cos(x)), reference: Math.sin });
/** Cosine of an angle in radians, elementwise. */
export const cos = unary({
  name: "cos",
  lower: "Cos",
  gradient: ({ x, dy }) => neg(mul(dy, sin(x))),
  reference: Math.cos,
});
/** Tangent of an angle in radians, elementwise. */
export const tan = unary({
  name: "tan",
  lower: "Tan",
  gradient: ({ y, dy }) => mul(dy, add(mul(y, y), 1)),
  reference: Math.tan,
});
/** Angle whose sine is x, in radians from -pi/2 to pi/2; NaN outside of [-1, 1]. */
export const asin = unary({
  name: "asin",
  lower: "Asin",
  gradient: ({ x, dy }) => div(dy, sqrt(sub(1, square(x)))),
  reference: Math.asin,
});
/** Angle whose cosine is x, in radians from 0 to pi; NaN outside of [-1, 1]. */
export const acos = unary({
  name: "acos",
  lower: "Acos",
  gradient: ({ x, dy }) => neg(div(dy, sqrt(sub(1, square(x))))),
  reference: Math.acos,
});
/** Angle whose tangent is x, in radians from -pi/2 to pi/2. */
export const atan = unary({
  name: "atan",
  lower: "Atan",
  gradient: ({ x, dy }) => div(dy, add(square(x), 1)),
  reference: Math.atan,
});
/**
 * Angle of the point (b, a) in radians, from -pi to pi, with the signs of zeros and infinities as in C; the gradient at
 * the origin is 0.
 */
export const atan2 = binary({
  name: "atan2",
  accepts: "float",
  lower: (graph, a, b, { inputs: [{ dtype }] }) => lowerAtan2(graph, a, b, dtype),
  gradient: ({ a, b, dy }) => {
    const squared = add(square(a), square(b));
    const scaled = where(equal(squared, 0), 0, div(dy, squared));
    return { a: mul(scaled, b), b: neg(mul(scaled, a)) };
  },
  reference: Math.atan2,
});

/** atan(a / b), moved by pi into the left half plane. Of two infinities the signs are taken; 0 / b is 0, whatever b. */
function lowerAtan2(graph: Lowering, a: string, b: string, dtype: DType): string {
  const number = (value: number) => graph.constant(dtype, [], [value]);
  const isInfinite = (x: string) => lowerIsInfinite(graph, x, dtype);
  const signOf = (x: string) => (graph.isWebGpu ? lowerSignOfComparisons(graph, x, dtype) : graph.node("Sign", [x]));
  const select = (condition: string, x: string, y: string) => graph.node("Where", [condition, x, y]);
  const isZero = (x: string) => graph.node("Equal", [x, number(0)]);
  // 1 / -0 is below 0
  const isBelow = (x: string) => graph.node("Less", [select(isZero(x), graph.node("Reciprocal", [x]), x), number(0)]);
  const areInfinite = graph.node("And", [isInfinite(a), isInfinite(b)]);
  const [rise, run] = [a, b].map((x) => select(areInfinite, signOf(x), x));
  const angle = graph.node("Atan", [select(isZero(a), number(0), graph.node("Div", [rise, run]))]);
  const half = select(isBelow(a), number(-Math.PI), number(Math.PI));
  const turned = select(isBelow(b), graph.node("Add", [angle, half]), angle);
  return select(lowerIsNan(graph, b), b, turned);
}

/** Hyperbolic tangent, elementwise: from -1 to 1. */
export const tanh = unary({
  name: "tanh",
  precision: "any",
  lower: "Tanh",
  gradient: ({ y, dy }) => mul(dy, sub(1, mul(y, y))),
  reference: Math.tanh,
});
/** 1 / (1 + exp(-x)), elementwise: from 0 to 1. */
export const sigmoid = unary({
  name: "sigmoid",
  precision: "any",
  lower: "Sigmoid",
  gradient: ({ y, dy }) => mul(dy, mul(y, sub(1, y))),
  reference: (x) => 1 / (1 + Math.exp(-x)),
});
/** Hyperbolic sine, (exp(x) - exp(-x)) / 2, elementwise. */
export const sinh = unary({
  name: "sinh",
  lower: "Sinh",
  gradient: ({ x, dy }) => mul(dy, cosh(x)),
  reference: Math.sinh,
});
/** Hyperbolic cosine, (exp(x) + exp(-x)) / 2, elementwise. */
export const cosh = unary({
  name: "cosh",
  lower: "Cosh",
  gradient: ({ x, dy }) => mul(dy, sinh(x)),
  reference: Math.cosh,
});
/** The number whose hyperbolic sine is x, elementwise. */
export const asinh = unary({
  name: "asinh",
  lower: "Asinh",
  gradient: ({ x, dy }) => div(dy, sqrt(add(square(x), 1))),
  reference: Math.asinh,
});
/** The number from 0 on whose hyperbolic cosine is x, elementwise; NaN below 1. */
export const acosh = unary({
  name: "acosh",
  lower: "Acosh",
  gradient: ({ x, dy }) => div(dy, sqrt(sub(square(x), 1))),
  reference: Math.acosh,
});
/** The number whose hyperbolic tangent is x, elementwise; NaN outside of [-1, 1]. */
export const atanh = unary({
  name: "atanh",
  lower: "Atanh",
  gradient: ({ x, dy }) => div(dy, sub(1, square(x))),
  reference: Math.atanh,
});

/** Error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x. */
export const erf = unary({
  name: "erf",
  lower: "Erf",
  gradient: ({ x, dy }) => mul(dy, mul(exp(neg(mul(x, x))), 2 / Math.sqrt(Math.PI))),
  reference: erfReference,
});

/** Maclaurin series for small |x|, continued fraction of erfc for large: full double precision, slow. */
function erfReference(x: number): number {
  const z = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (z > 6) return Math.sign(x);
  if (z < 2.5) {
    let term = z;
    let total = z;
    for (let n = 1; n < 100; n++) {
      term *= (-z * z) / n;
      total += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * total) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / ((z + fraction) * Math.sqrt(Math.PI)));
}
