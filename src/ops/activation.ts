import { requireFloatDType, type Value } from "../ir/index.ts";
import { apply, defineOp, hostTensor } from "./define.ts";
import { add, erf, exp, mul, sigmoid, sub } from "./elementwise.ts";

/** sqrt(8/pi): tanh(u) = 2 sigmoid(2u) - 1 turns the tanh form of GELU into x sigmoid(1.5958 (x + 0.044715 x^3)). */
const TANH_SCALE = 2 * Math.sqrt(2 / Math.PI);
const TANH_CUBIC = 0.044715;

export type GeluApproximation = "none" | "tanh";

const geluEntry = defineOp<"x", { approximate: GeluApproximation }>({
  name: "gelu",
  inputs: ["x"],
  infer: ({ x }) => {
    requireFloatDType("gelu", x.dtype);
    return x;
  },
  gradient: ({ x, y, dy }, { approximate }) => ({ x: mul(dy, approximate === "tanh" ? tanhSlope(x, y) : erfSlope(x)) }),
  lower: (graph, { x }, { approximate }) => graph.node("Gelu", [x], { approximate }),
  reference: ({ x }, { approximate }) =>
    hostTensor(
      x.shape,
      x.data.map((v) =>
        approximate === "tanh"
          ? v / (1 + Math.exp(-TANH_SCALE * (v + TANH_CUBIC * v ** 3)))
          : 0.5 * v * (1 + erf.entry.reference([hostTensor([], [v / Math.SQRT2])], {}, [{ dtype: "f32", shape: [] }])[0].data[0]),
      ),
    ),
});

/** With s = sigmoid(w), y = x s: dy/dx = s + y (1 - s) dw/dx. */
function tanhSlope(x: Value, y: Value): Value {
  const cubic = mul(mul(x, x), TANH_SCALE * TANH_CUBIC);
  const s = sigmoid(mul(x, add(cubic, TANH_SCALE)));
  const slope = add(mul(cubic, 3), TANH_SCALE);
  return add(s, mul(mul(y, sub(1, s)), slope));
}

/** Normal distribution function plus x times its density. */
function erfSlope(x: Value): Value {
  const distribution = mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);
  const density = mul(exp(mul(mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  return add(distribution, mul(x, density));
}

/**
 * Gaussian error linear unit: x times the normal distribution function of x, exact or by GPT-2's tanh approximation.
 * Hendrycks and Gimpel 2016, arXiv:1606.08415.
 */
export function gelu(x: Value, approximate: GeluApproximation = "none"): Value {
  return apply(geluEntry, [x], { approximate });
}
