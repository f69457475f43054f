/** Parameters that are trained from a step on. */
import { OptionError } from "../../base/index.ts";
import { matchesKey, type Parameter } from "../../nn/index.ts";
import type { SharedConfig } from "../config/schema.ts";

/**
 * The steps before which parameters stay as they are, by the `unfreeze` of a config: of several entries that mean a
 * parameter, the first.
 * @throws OptionError for a pattern that no trained parameter fits
 */
export function frozenUntil(
  { unfreeze = [] }: Pick<SharedConfig, "unfreeze">,
  trained: ReadonlyMap<string, Parameter>,
): ReadonlyMap<string, number> | undefined {
  if (unfreeze.length === 0) return undefined;
  const starts = new Map<string, number>();
  for (const { step, parameters } of unfreeze)
    for (const pattern of parameters) {
      const names = [...trained].flatMap(([key, parameter]) => (matchesKey(pattern, key, parameter) ? [key] : []));
      for (const name of names) starts.set(name, starts.get(name) ?? step);
      if (names.length > 0) continue;
      throw new OptionError({
        where: `config, unfreeze: ${pattern}`,
        expected: "a pattern for parameters that are trained",
        received: "one that fits none",
        fix: 'write whole names, with * for any characters, and do not freeze them: "bert.embeddings.*"',
      });
    }
  return starts;
}
