import { DataError, type LimitName, limits, nearest, OptionError } from "../base/index.ts";
import { JsonReal } from "../files/index.ts";
import { activationNames } from "../nn/index.ts";

type Json = Record<string, unknown>;

/** A field of a config: its key in config.json, its default, and what it may be. */
export interface FieldSpec<T = unknown> {
  key: string;
  default: T;
  /** What it may be, in words. */
  expected: string;
  /** Whether it may be this value. */
  isFine(value: unknown): boolean;
  /** Whether it is a real number, or a list of them: transformers takes 1.0 for it and may refuse 1. @default false */
  isReal?: boolean;
  /** Whether config.json has no such key when it is null. @default false: null is written */
  isLeftOut?: boolean;
}

/** Every field of a config, by its name here. */
export type Fields<C> = { readonly [K in keyof C]-?: FieldSpec<C[K]> };

const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
const isSize = (value: unknown) => Number.isSafeInteger(value) && (value as number) > 0;
const spec = <T>(
  key: string,
  fallback: unknown,
  expected: string,
  isFine: (value: unknown) => boolean,
): FieldSpec<T> => ({
  key,
  default: fallback as T,
  expected,
  isFine,
});

/** Keys of how many layers there are, one after another or one within another. */
const layerKeys =
  /^(num_(hidden|decoder)?_?layers|(encoder|decoder|n)_layers?|num_hidden_groups|inner_group_num|depths?)$/;
/** Keys of how many modules of other kinds there are. */
const partKeys = /^(num_(local_)?experts|n_(routed|shared)_experts|n_group|num_(hidden_)?groups|conv_groups)$/;
/** The largest value of a key for which modules are made before a weight is read. */
const limitOf = (key: string): LimitName | undefined =>
  layerKeys.test(key) ? "modelLayers" : partKeys.test(key) ? "modelParts" : undefined;

function bounded(
  key: string,
  fallback: number,
  expected: string,
  isFine: (value: unknown) => boolean,
): FieldSpec<number> {
  const limit = limitOf(key);
  if (limit === undefined) return spec(key, fallback, expected, isFine);
  return spec(
    key,
    fallback,
    `${expected}, of at most ${limits[limit]} (limit ${limit})`,
    (value) => isFine(value) && (value as number) <= limits[limit],
  );
}

/** A positive integer; of layers and modules no more than a limit. */
export const size = (key: string, fallback: number) => bounded(key, fallback, "a positive integer", isSize);
/** An integer of at least 0; as `size`. */
export const count = (key: string, fallback: number) =>
  bounded(key, fallback, "an integer of at least 0", (value) => Number.isSafeInteger(value) && (value as number) >= 0);
const real = (key: string, fallback: number, expected: string, isFine: (value: number) => boolean) => ({
  ...spec<number>(key, fallback, expected, (value) => isNumber(value) && isFine(value)),
  isReal: true,
});
/** Any number. */
export const number = (key: string, fallback: number) => real(key, fallback, "a number", () => true);
/** A number above 0. */
export const positive = (key: string, fallback: number) =>
  real(key, fallback, "a number above 0", (value) => value > 0);
/** From 0 to below 1. */
export const probability = (key: string, fallback: number) =>
  real(key, fallback, "a number from 0 to below 1", (value) => value >= 0 && value < 1);
/** A real number that transformers' config takes for an integer, and refuses as 1.0. */
export const writtenWhole = <T>(field: FieldSpec<T>): FieldSpec<T> => ({ ...field, isReal: false });
/** True or false. */
export const flag = (key: string, fallback: boolean) =>
  spec<boolean>(key, fallback, "true or false", (value) => typeof value === "boolean");
/** One of several words. */
export const choice = <T extends string>(key: string, values: readonly T[], fallback: NoInfer<T>) =>
  spec<T>(key, fallback, `one of ${values.join(", ")}`, (value) => values.includes(value as T));
/** The name of an activation. */
export const activation = (key: string, fallback: (typeof activationNames)[number]) =>
  choice(key, activationNames, fallback);
/** A list whose elements fit a field. */
export const list = <T>(of: FieldSpec<T>, fallback: readonly T[]): FieldSpec<readonly T[]> => ({
  key: of.key,
  default: fallback,
  expected: `a list, each ${of.expected}`,
  isFine: (value) => Array.isArray(value) && value.every(of.isFine),
  isReal: of.isReal,
});
/** A field that may be null, and is by default. */
export const optional = <T>(field: FieldSpec<T>): FieldSpec<T | null> => ({
  ...field,
  default: null,
  expected: `${field.expected}, or null`,
  isFine: (value) => value === null || field.isFine(value),
});
/** An optional field that transformers' config has not, or cannot have as null. */
export const absentable = <T>(field: FieldSpec<T>): FieldSpec<T | null> => ({ ...optional(field), isLeftOut: true });
/** Anything; checked where it is used. */
export const anything = <T>(key: string, fallback: T) => spec<T>(key, fallback, "any value", () => true);
/** Token ids: one, several or none. */
export const tokenIds = (key: string, fallback: number | null = null) =>
  spec<number | readonly number[] | null>(
    key,
    fallback,
    "a token id, a list of them, or null",
    (value) => value === null || [value].flat().every((id) => Number.isSafeInteger(id) && (id as number) >= 0),
  );
/** One token id or none. */
export const tokenId = (key: string, fallback: number | null = null) =>
  spec<number | null>(
    key,
    fallback,
    "a token id or null",
    (value) => value === null || (Number.isSafeInteger(value) && (value as number) >= 0),
  );

/**
 * A config from options, with defaults for those not given.
 * @throws OptionError naming the field, for a value that it cannot be and for a field that does not exist
 */
export function makeConfig<C extends object>(where: string, fields: Fields<C>, options: Partial<C>): C {
  const known = fields as Readonly<Record<string, FieldSpec>>;
  const unknown = Object.keys(options).find((field) => !Object.hasOwn(known, field));
  if (unknown !== undefined) {
    const near = nearest(unknown, Object.keys(known));
    throw new OptionError({
      where,
      expected: `some of ${Object.keys(known).join(", ")}`,
      received: unknown,
      fix: near ? `did you mean "${near}"?` : `remove ${unknown}`,
    });
  }
  const values = options as Json;
  const config: Json = {};
  for (const [field, { default: fallback, expected, isFine }] of Object.entries(known)) {
    const value = values[field] === undefined ? fallback : values[field];
    requireField(where, isFine(value), `${field} to be ${expected}`, value);
    config[field] = value;
  }
  return config as C;
}

/** @throws OptionError when a config contradicts itself */
export function requireField(where: string, isFine: boolean, expected: string, received: unknown): void {
  if (!isFine)
    throw new OptionError({
      where,
      expected,
      received: JSON.stringify(received) ?? "nothing",
      fix: "correct the config",
    });
}

/** Values under the names of config.json. */
export function toJson<C extends object>(config: C, fields: Fields<C>): Json {
  return Object.fromEntries(
    Object.entries<FieldSpec>(fields).flatMap(([field, { key, isLeftOut }]) => {
      const value = (config as Json)[field];
      return isLeftOut && value === null ? [] : [[key, value]];
    }),
  );
}

/** Numbers of rotary parameters that are real; they stand in objects of their own, for each kind of layer perhaps. */
const ropeReals: ReadonlySet<string> = new Set([
  ...["rope_theta", "factor", "low_freq_factor", "high_freq_factor", "partial_rotary_factor"],
  ...["mscale", "mscale_all_dim"],
]);

/** A config.json to be written: real numbers have a decimal point also where they are whole. */
export function withReals(json: Json, fields: Readonly<Record<string, FieldSpec>>): Json {
  const keys = Object.values(fields).flatMap(({ key, isReal }) => (isReal ? [key] : []));
  const written = (value: unknown, isReal: boolean): unknown => {
    if (Array.isArray(value)) return value.map((each) => written(each, isReal));
    if (value !== null && typeof value === "object" && !(value instanceof JsonReal))
      return writtenObject(value, ropeReals);
    return isReal && typeof value === "number" ? new JsonReal(value) : value;
  };
  const writtenObject = (object: object, reals: ReadonlySet<string>): Json =>
    Object.fromEntries(Object.entries(object).map(([key, value]) => [key, written(value, reals.has(key))]));
  return writtenObject(json, new Set([...keys, ...ropeReals]));
}

/**
 * Reads the fields of a config.json; absent ones, and null where it is not allowed, are left to their defaults. Where
 * null may stand, so may -1.
 * @throws DataError naming the key, for a value that it cannot be
 */
export function fromJson<C extends object>(path: string, json: Json, fields: Fields<C>): Partial<C> {
  const config: Json = {};
  for (const [field, { key, expected, isFine }] of Object.entries<FieldSpec>(fields)) {
    const value = json[key] === -1 && isFine(null) && !isFine(-1) ? null : json[key];
    if (value === undefined || (value === null && !isFine(null))) continue;
    if (!isFine(value))
      throw new DataError({
        where: `${path}, ${key}`,
        expected,
        received: JSON.stringify(value),
        fix: "correct config.json",
      });
    config[field] = value;
  }
  return config as Partial<C>;
}

/**
 * Refuses values that would change the result and are not supported: for each key the values that are, the first of
 * which is the default.
 * @throws DataError naming the key
 */
export function requireJson(path: string, json: Json, supported: Readonly<Record<string, readonly unknown[]>>): void {
  for (const [key, values] of Object.entries(supported)) {
    const value = json[key] ?? values[0];
    if (values.some((allowed) => JSON.stringify(allowed) === JSON.stringify(value))) continue;
    const expected = values.map((allowed) => JSON.stringify(allowed)).join(" or ");
    throw new DataError({
      where: `${path}, ${key}`,
      expected,
      received: JSON.stringify(value),
      fix: "this variant of the model is not supported: use another",
    });
  }
}
