/** What options of layers can be. */
import { OptionError } from "../base/index.ts";

const shown = (value: unknown) => (typeof value === "string" ? JSON.stringify(value) : String(value));

/** Sizes by the names of their options. @throws OptionError naming the first that is no positive integer */
export function requireSizes(where: string, sizes: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(sizes)) {
    if (Number.isSafeInteger(value) && value > 0) continue;
    throw new OptionError({
      where,
      expected: `${name} to be a positive integer`,
      received: shown(value),
      fix: `correct ${name}`,
    });
  }
}

/** @throws OptionError for what is no number from 0 to 1 */
export function requireProbability(where: string, probability: number): void {
  if (typeof probability === "number" && probability >= 0 && probability <= 1) return;
  throw new OptionError({
    where,
    expected: "a probability from 0 to 1",
    received: shown(probability),
    fix: "correct the probability",
  });
}
