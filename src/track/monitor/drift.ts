import { countsOf, type FeatureOptions, type Features, featuresOf, OTHER, type Profile } from "./profile.ts";
import type { MonitorRecord } from "./record.ts";
import { chiSquare, jensenShannon, kolmogorovSmirnov, populationStability, type TestResult } from "./statistics.ts";

/** How far a feature of a window is from the reference. */
export interface DriftResult {
  /** Such as "inputCharacters". */
  feature: string;
  /** Values in the window. */
  count: number;
  /** Population stability index. */
  psi: number;
  /** Jensen-Shannon distance, base 2. */
  jensenShannon: number;
  /** Kolmogorov-Smirnov for numbers, chi-square for categories. */
  test: TestResult & { name: "kolmogorov-smirnov" | "chi-square" };
}

/** Fewer values say nothing. */
const LEAST_VALUES = 20;
/** Categories that are expected more rarely are put together: chi-square needs about five. */
const LEAST_EXPECTED = 5;

/** Measures a window against a profile: each feature that both have, in the order of the profile. */
export async function measureDrift(
  records: readonly MonitorRecord[],
  profile: Profile,
  options: FeatureOptions = {},
): Promise<DriftResult[]> {
  const vocabulary = new Set(profile.vocabulary);
  const features: Features[] = [];
  for (const record of records) features.push(await featuresOf(record, options, vocabulary));
  const numeric = Object.entries(profile.numeric).flatMap(([feature, reference]) => {
    const values = features.flatMap((entry) => entry.numeric[feature] ?? []);
    if (values.length < LEAST_VALUES) return [];
    const actual = countsOf(values, reference.edges);
    const test = { name: "kolmogorov-smirnov" as const, ...kolmogorovSmirnov(reference.values, values) };
    return resultOf(feature, { expected: reference.counts, actual, test });
  });
  const categories = Object.entries(profile.categories).flatMap(([feature, reference]) => {
    const values = features.flatMap((entry) => entry.categories[feature] ?? []);
    if (values.length < LEAST_VALUES) return [];
    const { expected, actual } = categoryCounts(reference, values);
    return resultOf(feature, { expected, actual, test: { name: "chi-square", ...chiSquare(expected, actual) } });
  });
  return [...numeric, ...categories];
}

interface Measured {
  expected: readonly number[];
  actual: readonly number[];
  test: DriftResult["test"];
}

const resultOf = (feature: string, { expected, actual, test }: Measured): DriftResult => ({
  feature,
  count: actual.reduce((sum, count) => sum + count, 0),
  psi: populationStability(expected, actual),
  jensenShannon: jensenShannon(expected, actual),
  test,
});

/** Counts of the categories; what is unknown or expected too rarely in a window of this size is one category. */
function categoryCounts(
  reference: Readonly<Record<string, number>>,
  values: readonly string[],
): { expected: number[]; actual: number[] } {
  const all = Object.values(reference).reduce((sum, count) => sum + count, 0);
  const isFrequent = ([name, count]: [string, number]) =>
    name !== OTHER && (count / all) * values.length >= LEAST_EXPECTED;
  const names = Object.entries(reference)
    .filter(isFrequent)
    .map(([name]) => name);
  const expected = names.map((name) => reference[name]);
  const actual = names.map((name) => values.filter((value) => value === name).length);
  const rest = (counts: readonly number[], sum: number) => sum - counts.reduce((total, count) => total + count, 0);
  return { expected: [...expected, rest(expected, all)], actual: [...actual, rest(actual, values.length)] };
}
