import { OptionError } from "../base/index.ts";

/** The least and the most that options may be, by their names. */
export type Ranges<K extends string> = Readonly<Record<K, readonly [least: number, most: number]>>;

/**
 * Checks options of a server that are whole numbers; what is left out has a default.
 * @throws OptionError for one that is out of its range
 */
export function requireWholeNumbers<K extends string>(
  options: Readonly<Partial<Record<NoInfer<K>, number | undefined>>>,
  ranges: Ranges<K>,
): void {
  for (const [name, [least, most]] of Object.entries<Ranges<K>[K]>(ranges)) {
    const value = options[name as K];
    if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) continue;
    throw new OptionError({
      where: "serve",
      expected: `${name} from ${least} to ${most}`,
      received: String(value),
      fix: "choose a whole number in the range",
    });
  }
}
