import { type DType, dtypes } from "./dtype.ts";
import { checkOptions, DTypeError, nearest, OptionError } from "./errors.ts";

/** Options by their names, all of them: TypeScript complains about one that is left out. */
export type OptionNames<O> = { readonly [K in keyof Required<NonNullable<O>>]: true };

/**
 * The options, when they are an object with nothing but these names.
 * @throws OptionError naming the nearest known option
 */
export function known<O extends object | undefined>(where: string, options: O, names: NoInfer<OptionNames<O>>): O {
  if (options === undefined) return options;
  const list = Object.keys(names);
  if (options === null || typeof options !== "object" || Array.isArray(options)) {
    const received = JSON.stringify(options) ?? typeof options;
    throw new OptionError({
      where,
      expected: `an object of the options ${list.join(", ")}`,
      received,
      fix: `write { ${list[0]}: ... }`,
    });
  }
  checkOptions(where, options, list);
  return options;
}

/** What other programs call our dtypes. */
const foreignNames: Readonly<Record<string, DType>> = {
  float: "f32",
  float32: "f32",
  float16: "f16",
  half: "f16",
  bfloat16: "bf16",
  int: "i32",
  int8: "i8",
  int32: "i32",
  int64: "i64",
  long: "i64",
  uint8: "u8",
  boolean: "bool",
};

/** @throws DTypeError for a name that is no dtype, with the one that is meant */
export function requireDType<D extends DType>(where: string, dtype: D): D {
  if (dtypes.includes(dtype)) return dtype;
  const meant = foreignNames[String(dtype).toLowerCase()] ?? nearest(String(dtype), dtypes);
  const fix = meant ? `did you mean "${meant}"?` : `choose a dtype of ${dtypes.join(", ")}`;
  throw new DTypeError({
    where,
    expected: `a dtype of ${dtypes.join(", ")}`,
    received: JSON.stringify(dtype) ?? String(dtype),
    fix,
  });
}

/** What the number of an option may be. */
export interface NumberRule {
  /** In words that follow the option's name. */
  range: string;
  isFine(value: number): boolean;
}

const isWhole = (value: number) => Number.isSafeInteger(value);
const rule = (range: string, isFine: (value: number) => boolean): NumberRule => ({ range, isFine });

/** The ranges of numbers that options have; none of them takes NaN, and infinity only those that say so. */
export const numberRules = {
  finite: rule("to be a finite number", Number.isFinite),
  integer: rule("to be an integer", isWhole),
  positiveInteger: rule("to be a positive integer", (value) => isWhole(value) && value > 0),
  /** Of a distance between events. */
  interval: rule(
    "to be a positive integer, or Infinity for never",
    (value) => value === Number.POSITIVE_INFINITY || (isWhole(value) && value > 0),
  ),
  wholeNumber: rule("to be an integer of at least 0", (value) => isWhole(value) && value >= 0),
  positive: rule("above 0", (value) => Number.isFinite(value) && value > 0),
  /** Of a limit. */
  limit: rule("above 0, or Infinity for no limit", (value) => value > 0),
  notNegative: rule("of at least 0", (value) => Number.isFinite(value) && value >= 0),
  aboveOne: rule("above 1", (value) => Number.isFinite(value) && value > 1),
  /** Of a share that is not the whole. */
  share: rule("from 0 to below 1", (value) => Number.isFinite(value) && value >= 0 && value < 1),
  fraction: rule("from 0 to 1", (value) => value >= 0 && value <= 1),
  /** Of a share that is neither nothing nor the whole. */
  innerShare: rule("above 0 and below 1", (value) => Number.isFinite(value) && value > 0 && value < 1),
} as const satisfies Readonly<Record<string, NumberRule>>;

/**
 * Checks the numbers of options, defaults included: one that is left out is refused too.
 * @throws OptionError naming the option
 */
export function requireNumbers<K extends string>(
  where: string,
  values: Readonly<Record<NoInfer<K>, unknown>>,
  rules: Readonly<Record<K, NumberRule>>,
  fix = "choose a value in the range",
): void {
  for (const [name, { range, isFine }] of Object.entries<NumberRule>(rules)) {
    const value = values[name as K];
    if (typeof value === "number" && isFine(value)) continue;
    const received = typeof value === "string" ? JSON.stringify(value) : String(value);
    throw new OptionError({ where, expected: `${name} ${range}`, received, fix });
  }
}
