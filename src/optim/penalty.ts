import { numberRules, requireNumbers } from "../base/index.ts";
import { abs, add, mul, square, sum, type Tensor } from "../tensor/index.ts";

type Weights = Iterable<Tensor<"f32">>;

function weighed(where: string, strength: number, parts: readonly Tensor<"f32">[]): Tensor<"f32"> {
  requireNumbers(where, { strength }, { strength: numberRules.notNegative });
  requireNumbers(where, { parameters: parts.length }, { parameters: numberRules.positiveInteger }, "give parameters");
  return mul(
    parts.reduce((a, b) => add(a, b)),
    strength,
  );
}

/**
 * `strength` times the sum of the sizes of all weights, which makes them sparse. -> []
 * @throws OptionError for a negative strength, or no parameter
 *
 * @example
 * await l1Penalty([tensor([1, -2]), tensor([3])], 0.5).item(); // 3
 */
export function l1Penalty(parameters: Weights, strength: number): Tensor<"f32"> {
  return weighed(
    "l1Penalty",
    strength,
    [...parameters].map((parameter) => sum(abs(parameter))),
  );
}

/**
 * `strength` / 2 times the sum of the squares of all weights: its gradient is what `Sgd` adds for a `weightDecay` of
 * that strength. -> []
 * @throws OptionError for a negative strength, or no parameter
 *
 * @example
 * await l2Penalty([tensor([1, -2]), tensor([3])], 0.5).item(); // 3.5
 */
export function l2Penalty(parameters: Weights, strength: number): Tensor<"f32"> {
  return mul(
    weighed(
      "l2Penalty",
      strength,
      [...parameters].map((parameter) => sum(square(parameter))),
    ),
    0.5,
  );
}
