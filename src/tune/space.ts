import { checkOptions, isObject, nearest, OptionError } from "../base/index.ts";

/** A value of a parameter. */
export type Scalar = number | string | boolean;

/** A parameter exists only where an earlier one has one of these values. */
export interface Condition {
  readonly when: { readonly parameter: string; readonly values: readonly Scalar[] };
}

/** A real number. */
export interface FloatParameter {
  readonly type: "float";
  readonly low: number;
  readonly high: number;
  /** Searched on a logarithmic scale. */
  readonly log?: boolean;
  /** Values are low, low + step, ... */
  readonly step?: number;
}

/** A whole number, both ends included. */
export interface IntegerParameter {
  readonly type: "integer";
  readonly low: number;
  readonly high: number;
  readonly log?: boolean;
  /** @default 1 */
  readonly step?: number;
}

/** One of some values without an order. */
export interface ChoiceParameter<V extends Scalar = Scalar> {
  readonly type: "choice";
  readonly values: readonly V[];
}

/** What a parameter may be. */
export type Parameter = (FloatParameter | IntegerParameter | ChoiceParameter) & Partial<Condition>;

/** Parameters by name; those of a condition come after the one that they depend on. */
export type Space = Readonly<Record<string, Parameter>>;

type Plain<P> = P extends { type: "choice"; values: readonly (infer V)[] } ? V : number;

/** What a trial has of a parameter: undefined where it does not exist. */
export type ValueOf<P extends Parameter> = P extends Condition ? Plain<P> | undefined : Plain<P>;

/** What a trial has of a space. */
export type Values<S extends Space = Space> = { readonly [K in keyof S]: ValueOf<S[K]> };

/** A real number from low to high. @param options step: values are low, low + step, ... @default any value */
export const uniform = (low: number, high: number, { step }: { step?: number } = {}): FloatParameter => ({
  type: "float",
  low,
  high,
  ...(step !== undefined && { step }),
});

/** A real number from low to high, searched by its logarithm: a learning rate. */
export const logUniform = (low: number, high: number): FloatParameter => ({ type: "float", low, high, log: true });

/** A whole number from low to high. @param options step, which `log` excludes @default 1 */
export const integer = (low: number, high: number, { step, log }: { step?: number; log?: boolean } = {}) =>
  ({
    type: "integer",
    low,
    high,
    ...(log && { log }),
    ...(step !== undefined && { step }),
  }) satisfies IntegerParameter as IntegerParameter;

/** One of some values, between which there is no order. */
export const choice = <const V extends Scalar>(values: readonly V[]): ChoiceParameter<V> => ({
  type: "choice",
  values,
});

/** A parameter that exists only while an earlier one has this value, or one of these. */
export const when = <P extends Parameter>(
  name: string,
  values: Scalar | readonly Scalar[],
  parameter: P,
): P & Condition => ({
  ...parameter,
  when: { parameter: name, values: [values].flat() as Scalar[] },
});

/**
 * A space to search in.
 * @throws OptionError for a range that is none, a step that does not fit, a condition that can never hold
 */
export function space<const S extends Space>(parameters: S): S {
  const names = Object.keys(parameters);
  if (names.length === 0) throw wrong("space", "at least one parameter", "none", "name what is to be searched");
  for (const [name, parameter] of Object.entries(parameters)) {
    checkParameter(`space: ${name}`, parameter);
    if (parameter.when) checkCondition(name, parameter.when, parameters);
  }
  return parameters;
}

const wrong = (where: string, expected: string, received: string, fix: string) =>
  new OptionError({ where, expected, received, fix });

function checkParameter(where: string, parameter: Parameter): void {
  const { type } = parameter;
  if (type === "choice") {
    checkOptions(where, parameter, ["type", "values", "when"]);
    checkChoice(where, parameter.values);
  } else if (type === "float" || type === "integer") {
    checkOptions(where, parameter, ["type", "low", "high", "log", "step", "when"]);
    checkRange(where, parameter);
  } else throw wrong(where, "a type of float, integer, choice", JSON.stringify(type) ?? "none", "name one of them");
}

function checkChoice(where: string, values: unknown): void {
  const isScalar = (value: unknown) => ["string", "boolean"].includes(typeof value) || Number.isFinite(value);
  if (!Array.isArray(values) || values.length === 0 || !values.every(isScalar)) {
    const fix = "list numbers, texts, true or false";
    throw wrong(where, "a list of values", JSON.stringify(values)?.slice(0, 60) ?? "nothing", fix);
  }
  if (new Set(values).size < values.length)
    throw wrong(where, "values that differ", values.join(", "), "name each value once");
}

/** Of the rounding when a range is divided by a step such as 0.1. */
const STEP_TOLERANCE = 1e-8;

function checkRange(where: string, { type, low, high, log = false, step }: FloatParameter | IntegerParameter): void {
  const received = `low ${low}, high ${high}`;
  const isFine = type === "integer" ? Number.isSafeInteger : Number.isFinite;
  if (!isFine(low) || !isFine(high) || low > high) {
    const numbers = type === "integer" ? "whole numbers" : "numbers";
    throw wrong(where, `${numbers} low and high, low at most high`, received, "correct the range");
  }
  if (typeof log !== "boolean") throw wrong(where, "log to be true or false", String(log), "correct it");
  if (log && low <= 0) throw wrong(where, "a low above 0 for a logarithm", received, "raise low, or leave out log");
  if (step === undefined) return;
  if (log) throw wrong(where, "a step or a logarithm", "both", "leave one out");
  const steps = (high - low) / step;
  if (!isFine(step) || step <= 0 || Math.abs(steps - Math.round(steps)) > STEP_TOLERANCE * Math.max(1, steps))
    throw wrong(
      where,
      "a step above 0 that leads from low to high",
      `${step} for ${received}`,
      "choose one that divides the range",
    );
}

function checkCondition(name: string, { parameter, values }: Condition["when"], parameters: Space): void {
  const where = `space: ${name}: when`;
  const before = Object.keys(parameters).slice(0, Object.keys(parameters).indexOf(name));
  if (!before.includes(parameter)) {
    const near = nearest(parameter, before);
    const fix = near ? `did you mean "${near}"?` : "name a parameter that stands before it";
    throw wrong(where, `one of the parameters before it: ${before.join(", ") || "there is none"}`, parameter, fix);
  }
  for (const value of values) {
    if (isPossible(parameters[parameter], value)) continue;
    throw wrong(
      where,
      `a value that ${parameter} may have`,
      JSON.stringify(value) ?? "nothing",
      "correct the condition",
    );
  }
}

/** Whether a parameter may have this value. */
function isPossible(parameter: Parameter, value: Scalar): boolean {
  if (parameter.type === "choice") return parameter.values.includes(value);
  if (typeof value !== "number" || !(value >= parameter.low && value <= parameter.high)) return false;
  return parameter.type === "float" || Number.isInteger(value);
}

/** Whether a parameter exists beside the values that were chosen before. */
export function exists(parameter: Parameter, values: Readonly<Record<string, Scalar | undefined>>): boolean {
  if (!parameter.when) return true;
  const value = values[parameter.when.parameter];
  return value !== undefined && parameter.when.values.includes(value);
}

/** Chooses a value for each parameter that exists, one after another. */
export function choose(space: Space, pick: (name: string, parameter: Parameter) => Scalar): Record<string, Scalar> {
  const values: Record<string, Scalar> = {};
  for (const [name, parameter] of Object.entries(space))
    if (exists(parameter, values)) values[name] = pick(name, parameter);
  return values;
}

/**
 * A space from a file: parameters as `{ type: float, low: 1e-5, high: 0.01, log: true, when: { optimizer: sgd } }`; a
 * list is a choice.
 * @throws OptionError
 */
export function parseSpace(where: string, json: unknown): Space {
  const fix = "write a line for each, as rate: { type: float, low: 0.1, high: 1 }";
  if (!isObject(json)) throw wrong(where, "parameters by name", JSON.stringify(json) ?? "nothing", fix);
  const parameters = Object.entries(json).map(([name, value]) => [name, parseParameter(`${where}: ${name}`, value)]);
  return space(Object.fromEntries(parameters) as Space);
}

function parseParameter(where: string, json: unknown): Parameter {
  if (Array.isArray(json)) return choice(json);
  if (!isObject(json)) {
    const received = JSON.stringify(json) ?? "nothing";
    throw wrong(where, "a parameter", received, "write { type: integer, low: 1, high: 4 }, or a list of values");
  }
  const { when: condition, ...parameter } = json;
  if (condition === undefined) return parameter as unknown as Parameter;
  const entries = isObject(condition) ? Object.entries(condition) : [];
  if (entries.length !== 1) {
    const received = JSON.stringify(condition);
    throw wrong(`${where}: when`, "one parameter and its values", received, "write when: { optimizer: sgd }");
  }
  const [[name, values]] = entries;
  return when(name, values as Scalar | Scalar[], parameter as unknown as Parameter);
}
