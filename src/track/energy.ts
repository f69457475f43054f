import { checkOptions, numberRules, requireNumbers } from "../base/index.ts";

/** What an estimate of energy stands on. */
export interface EnergyAssumptions {
  /**
   * Of a logical core at work: its share of the processor's thermal design power. Servers have 2 to 4 (AMD EPYC 9654:
   * 360 W for 192), desktops and portables 4 to 8. @default 5
   */
  wattsPerCore?: number;
  /** Of accelerators at work, all together. @default 0 */
  acceleratorWatts?: number;
  /** Power usage effectiveness: what the building takes, over what the machine takes. @default 1, no data centre */
  pue?: number;
  /** Grams of CO2 for a kWh. @default 475, the world's mean of 2018 (International Energy Agency) */
  gramsPerKwh?: number;
  /** Of a kWh. @default 0.15 */
  pricePerKwh?: number;
  /** Of renting the machine for an hour; the price of energy is in it, and not counted. @default none */
  pricePerHour?: number;
  /** @default "USD" */
  currency?: string;
}

/** What a training took, by estimate. */
export interface EnergyEstimate {
  kwh: number;
  /** Of CO2. */
  grams: number;
  cost: number;
  currency: string;
  /** How it was computed, with all numbers. */
  formula: string;
}

const names: readonly (keyof EnergyAssumptions)[] = [
  ...(["wattsPerCore", "acceleratorWatts", "pue", "gramsPerKwh", "pricePerKwh", "pricePerHour", "currency"] as const),
];
const SECONDS_PER_HOUR = 3600;

/**
 * Energy, CO2 and cost of a computation by time and power: hours x (cores x watts of a core + watts of accelerators) x
 * PUE. Memory, disks and idle power are not counted, and cores count as fully at work: an estimate, right to a factor
 * of two or so. After Lacoste et al. 2019, arXiv:1910.09700.
 * @param work cores: logical cores that computed
 * @throws OptionError for wrong numbers
 *
 * @example
 * const { kwh } = estimateEnergy({ seconds: 3600, cores: 2 }, { wattsPerCore: 5 });
 * kwh; // 0.01
 */
export function estimateEnergy(
  { seconds, cores }: { seconds: number; cores: number },
  assumptions: EnergyAssumptions = {},
): EnergyEstimate {
  checkOptions("estimateEnergy", assumptions, names);
  const { wattsPerCore = 5, acceleratorWatts = 0, pue = 1, gramsPerKwh = 475, pricePerKwh = 0.15 } = assumptions;
  const { pricePerHour, currency = "USD" } = assumptions;
  const { notNegative, positive } = numberRules;
  requireNumbers(
    "estimateEnergy",
    {
      ...{ seconds, cores, wattsPerCore, acceleratorWatts, pue, gramsPerKwh, pricePerKwh },
      pricePerHour: pricePerHour ?? 0,
    },
    {
      seconds: notNegative,
      cores: notNegative,
      wattsPerCore: notNegative,
      acceleratorWatts: notNegative,
      pue: positive,
      gramsPerKwh: notNegative,
      pricePerKwh: notNegative,
      pricePerHour: notNegative,
    },
  );
  const hours = seconds / SECONDS_PER_HOUR;
  const kwh = (hours * (cores * wattsPerCore + acceleratorWatts) * pue) / 1000;
  const power = `${cores} cores x ${wattsPerCore} W${acceleratorWatts > 0 ? ` + ${acceleratorWatts} W` : ""}`;
  const price = pricePerHour === undefined ? `${pricePerKwh} ${currency}/kWh` : `${pricePerHour} ${currency}/h`;
  return {
    kwh,
    grams: kwh * gramsPerKwh,
    cost: pricePerHour === undefined ? kwh * pricePerKwh : hours * pricePerHour,
    currency,
    formula: `${Number(hours.toPrecision(3))} h x (${power}) x PUE ${pue}; ${gramsPerKwh} g of CO2/kWh; ${price}`,
  };
}
