/** What may stand after "is". */
import { plain } from "./foreign.ts";
import { isLower, isUpper } from "./strings.ts";
import {
  Callable,
  compare,
  Float,
  isEqual,
  iterate,
  numeric,
  str,
  TemplateError,
  Tuple,
  Undefined,
  type Value,
} from "./values.ts";

type Test = (value: Value, args: readonly Value[]) => boolean;

const isSequence = (value: Value) =>
  typeof value === "string" || Array.isArray(value) || value instanceof Tuple || value instanceof Map;
const isIn: Test = (value, [holder]) => contains(holder, value);
const isSame: Test = (value, [other]) => isEqual(value, other);
const order =
  (isFine: (order: number) => boolean): Test =>
  (value, [other]) =>
    isFine(compare(value, other));
const [greater, atLeast, less, atMost] = [
  order((n) => n > 0),
  order((n) => n >= 0),
  order((n) => n < 0),
  order((n) => n <= 0),
];

const tests: Readonly<Record<string, Test>> = {
  boolean: (value) => typeof value === "boolean",
  callable: (value) => value instanceof Callable,
  defined: (value) => !(value instanceof Undefined),
  undefined: (value) => value instanceof Undefined,
  divisibleby: (value, [by]) => (numeric(value) as number) % (numeric(by) as number) === 0,
  even: (value) => Math.abs((numeric(value) as number) % 2) === 0,
  odd: (value) => Math.abs((numeric(value) as number) % 2) === 1,
  false: (value) => value === false,
  true: (value) => value === true,
  none: (value) => value === null,
  float: (value) => value instanceof Float,
  integer: (value) => typeof value === "number",
  number: (value) => numeric(value) !== undefined,
  iterable: (value) => isSequence(value) || value instanceof Undefined,
  sequence: isSequence,
  mapping: (value) => value instanceof Map,
  string: (value) => typeof value === "string",
  lower: (value) => isLower(str(value)),
  upper: (value) => isUpper(str(value)),
  sameas: (value, [other]) => value === other,
  in: isIn,
  eq: isSame,
  equalto: isSame,
  "==": isSame,
  ne: (value, args) => !isSame(value, args),
  "!=": (value, args) => !isSame(value, args),
  gt: greater,
  greaterthan: greater,
  ">": greater,
  ge: atLeast,
  ">=": atLeast,
  lt: less,
  lessthan: less,
  "<": less,
  le: atMost,
  "<=": atMost,
};

/** @throws TemplateError for a test that is not known */
export function runTest(name: string, value: Value, args: readonly Value[]): boolean {
  if (!Object.hasOwn(tests, name)) throw new TemplateError(`No test named '${name}'.`);
  return tests[name](value, args);
}

/** value in holder */
export function contains(holder: Value, value: Value): boolean {
  if (typeof holder === "string") {
    if (typeof value === "string") return plain(holder).includes(plain(value));
    throw new TemplateError("'in <string>' requires string as left operand");
  }
  if (holder instanceof Map) return holder.has(value);
  return iterate(holder).some((item) => isEqual(item, value));
}
