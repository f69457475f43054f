import { permutationImportance } from "./forest.ts";
import { loss, type StudyView } from "./records.ts";
import { shareOf } from "./scale.ts";
import type { Space } from "./space.ts";

/** Fewer complete trials say nothing. */
const LEAST_TRIALS = 10;
/** Where a parameter does not exist. */
const ABSENT = -1;

/**
 * How much each parameter matters for the order of the complete trials, as shares of 1: by how much the predictions
 * of a random forest get worse when its values are shuffled. Undefined while there are fewer than ten trials.
 */
export function parameterImportance(study: StudyView & { space: Space }): Record<string, number> | undefined {
  const trials = study.trials.flatMap(({ state, value, values }) =>
    state === "complete" && value !== undefined ? [{ value: loss(study.direction, value), values }] : [],
  );
  if (trials.length < LEAST_TRIALS) return undefined;
  const parameters = Object.entries(study.space);
  const features = trials.map(({ values }) =>
    parameters.map(([name, parameter]) => (name in values ? shareOf(parameter, values[name]) : ABSENT)),
  );
  const shares = permutationImportance({ features, targets: ranksOf(trials.map(({ value }) => value)) }, 0);
  return Object.fromEntries(parameters.map(([name], i) => [name, shares[i]]));
}

/** Places in order, so that one trial that went astray does not count for all; equal values have equal ones. */
function ranksOf(values: readonly number[]): number[] {
  const sorted = values.toSorted((a, b) => a - b);
  const places = new Map<number, number>();
  for (const [place, value] of sorted.entries()) if (!places.has(value)) places.set(value, place);
  return values.map((value) => places.get(value) as number);
}
