import { stepOf } from "../scale.ts";
import type { Parameter, Scalar } from "../space.ts";

/** A number as it is read: four digits that matter. */
export function short(value: Scalar | undefined): string {
  if (typeof value !== "number") return value === undefined ? "" : String(value);
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return String(value);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

/** Where values are along a side of a chart. */
export interface Axis {
  /** From 0 to 1, also of what is beyond its ends. */
  place(value: number): number;
  ticks: { place: number; label: string }[];
}

const clamped = (share: number) => Math.min(1, Math.max(0, share));

/** An axis with round numbers, from low to high. */
export function linearAxis(low: number, high: number, count = 4): Axis {
  const [from, to] = low < high ? [low, high] : [low - 0.5, high + 0.5];
  const rough = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const place = (value: number) => clamped((value - from) / (to - from));
  const first = Math.ceil(from / step);
  const numbers = Array.from({ length: Math.floor(to / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
  return {
    place,
    ticks: numbers.map((value) => ({ place: place(value), label: short(Number(value.toPrecision(10))) })),
  };
}

/** Values of trials: what is far from most of them is at the edge, so that the rest can be seen. */
export function valueAxis(values: readonly number[], isLowGood: boolean): Axis {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  if (sorted.length === 0) return linearAxis(0, 1);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))];
  const reach = 2 * (at(0.9) - at(0.1));
  const [low, high] = [at(0), at(1)];
  return isLowGood
    ? linearAxis(low, reach > 0 ? Math.min(high, at(0.9) + reach) : high)
    : linearAxis(reach > 0 ? Math.max(low, at(0.1) - reach) : low, high);
}

/** The values of a parameter: a logarithm where it is searched so, a place for each choice. */
export function parameterAxis(parameter: Parameter): { place(value: Scalar): number; ticks: Axis["ticks"] } {
  if (parameter.type === "choice") {
    const { values } = parameter;
    const place = (value: Scalar) => (values.indexOf(value) + 0.5) / values.length;
    return { place, ticks: values.map((value) => ({ place: place(value), label: String(value) })) };
  }
  const { low, high, log } = parameter;
  if (!log) {
    const half = stepOf(parameter) / 2;
    const axis = linearAxis(low - half, high + half);
    return { ...axis, place: (value) => axis.place(value as number) };
  }
  const [from, to] = [Math.log10(low), Math.log10(high)];
  const place = (value: Scalar) => (to > from ? clamped((Math.log10(value as number) - from) / (to - from)) : 0.5);
  const powers = Array.from(
    { length: Math.floor(to + 1e-9) - Math.ceil(from - 1e-9) + 1 },
    (_, i) => 10 ** (Math.ceil(from - 1e-9) + i),
  );
  const sparse = powers.filter((_, i) => i % Math.ceil(powers.length / 5) === 0);
  const shown = sparse.length >= 2 ? sparse : [low, high];
  return { place, ticks: shown.map((value) => ({ place: place(value), label: short(Number(value.toPrecision(3))) })) };
}
