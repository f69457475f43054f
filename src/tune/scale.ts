import type { FloatParameter, IntegerParameter, Parameter, Scalar } from "./space.ts";

type NumberParameter = FloatParameter | IntegerParameter;

/** The distance between two values; 0 where there is none. Whole numbers have 1. */
export const stepOf = ({ type, step }: NumberParameter): number => step ?? (type === "integer" ? 1 : 0);

/**
 * The range in which a parameter is searched: half a step wider at both ends, so that rounding reaches the ends as
 * often as what is between, and in logarithms.
 */
export function searchRange(parameter: NumberParameter): [low: number, high: number] {
  const half = stepOf(parameter) / 2;
  const [low, high] = [parameter.low - half, parameter.high + half];
  return parameter.log ? [Math.log(low), Math.log(high)] : [low, high];
}

/** A value on the scale in which it is searched. */
export const toScale = (parameter: NumberParameter, value: number): number => (parameter.log ? Math.log(value) : value);

/** The value at a place of the scale: rounded to a step, and in the range. */
export function fromScale(parameter: NumberParameter, place: number): number {
  const { low, high } = parameter;
  const value = parameter.log ? Math.exp(place) : place;
  const step = stepOf(parameter);
  const rounded = step === 0 ? value : tidy(low + Math.round((value - low) / step) * step, step);
  return Math.min(high, Math.max(low, rounded));
}

/** 0.30000000000000004 is 0.3 where steps are 0.1. */
export function tidy(value: number, step: number): number {
  const digits = Math.min(15, Math.max(0, 12 - Math.floor(Math.log10(step))));
  return Number(value.toFixed(digits));
}

/** The value at a share of the way from low to high, from 0 to below 1. */
export function atShare(parameter: Parameter, share: number): Scalar {
  if (parameter.type === "choice") return parameter.values[Math.floor(share * parameter.values.length)];
  const [low, high] = searchRange(parameter);
  return fromScale(parameter, low + share * (high - low));
}

/** Where a value is between low and high, from 0 to 1. */
export function shareOf(parameter: Parameter, value: Scalar): number {
  if (parameter.type === "choice") {
    const last = parameter.values.length - 1;
    return last === 0 ? 0.5 : parameter.values.indexOf(value) / last;
  }
  const [low, high] = [toScale(parameter, parameter.low), toScale(parameter, parameter.high)];
  return high === low ? 0.5 : (toScale(parameter, value as number) - low) / (high - low);
}
