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
