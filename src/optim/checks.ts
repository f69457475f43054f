import { numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { Tensor } from "../tensor/index.ts";

/** @throws OptionError for a learning rate that is a number, and none of at least 0 */
export function requireLearningRate(where: string, learningRate: Tensor<"f32"> | number): void {
  if (learningRate instanceof Tensor) return;
  requireNumbers(`${where}.update`, { learningRate }, { learningRate: numberRules.notNegative });
}

/** @throws OptionError unless both are from 0 to below 1 */
export function requireBetas(where: string, betas: readonly number[]): void {
  if (Array.isArray(betas) && betas.length === 2 && betas.every(numberRules.share.isFine)) return;
  throw new OptionError({
    where,
    expected: `two betas ${numberRules.share.range}`,
    received: JSON.stringify(betas, (_, value) => (Number.isNaN(value) ? "NaN" : value)) ?? "undefined",
    fix: "for example [0.9, 0.999]",
  });
}

/** @throws OptionError naming a value that is neither true nor false */
export function requireBooleans(where: string, values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) requireChoice(where, name, value, [true, false]);
}

/** @throws OptionError for a value that is none of the choices */
export function requireChoice(where: string, name: string, value: unknown, choices: readonly unknown[]): void {
  if (choices.includes(value)) return;
  throw new OptionError({
    where,
    expected: `${name} to be ${choices.map((choice) => JSON.stringify(choice)).join(" or ")}`,
    received: JSON.stringify(value) ?? String(value),
    fix: "choose one of them",
  });
}
