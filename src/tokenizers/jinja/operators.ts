/** Python's operators. */
import { percent } from "./strings.ts";
import { contains } from "./tests.ts";
import {
  compare,
  defined,
  Float,
  isEqual,
  iterate,
  numeric,
  str,
  TemplateError,
  Tuple,
  typeName,
  type Value,
} from "./values.ts";

const isList = (value: Value): value is Value[] | Tuple => Array.isArray(value) || value instanceof Tuple;

const unsupported = (operator: string, a: Value, b: Value) =>
  new TemplateError(`unsupported operand type(s) for ${operator}: '${typeName(a)}' and '${typeName(b)}'`);

const arithmetic: Readonly<Record<string, (a: number, b: number) => number>> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
  "//": (a, b) => Math.floor(a / b),
  "%": (a, b) => a - b * Math.floor(a / b),
  "**": (a, b) => a ** b,
};

/** @throws TemplateError where Python raises an error */
export function binary(operator: string, a: Value, b: Value): Value {
  if (operator === "~") return str(a) + str(b);
  if (operator === "==") return isEqual(a, b);
  if (operator === "!=") return !isEqual(a, b);
  if (operator === "in") return contains(b, a);
  if (operator === "not in") return !contains(b, a);
  if (operator === "<") return compare(a, b) < 0;
  if (operator === "<=") return compare(a, b) <= 0;
  if (operator === ">") return compare(a, b) > 0;
  if (operator === ">=") return compare(a, b) >= 0;
  return calculate(operator, defined(a), defined(b));
}

function calculate(operator: string, a: Value, b: Value): Value {
  const run = arithmetic[operator];
  const [x, y] = [numeric(a), numeric(b)];
  if (run && x !== undefined && y !== undefined) {
    if (y === 0 && ["/", "//", "%"].includes(operator)) throw new TemplateError("division by zero");
    const isFloat = operator === "/" || a instanceof Float || b instanceof Float || (operator === "**" && y < 0);
    return isFloat ? new Float(run(x, y)) : run(x, y);
  }
  if (operator === "+") return sum(a, b);
  if (operator === "*") {
    const [repeated, times] = x === undefined ? [a, y] : [b, x];
    if (typeof repeated === "string" && times !== undefined) return repeated.repeat(Math.max(0, times));
    if (Array.isArray(repeated) && times !== undefined)
      return Array.from({ length: Math.max(0, times) }, () => repeated).flat(1);
  }
  if (operator === "%" && typeof a === "string") return percent(a, b instanceof Tuple ? b.items : [b]);
  throw unsupported(operator, a, b);
}

function sum(a: Value, b: Value): Value {
  if (typeof a === "string") {
    if (typeof b === "string") return a + b;
    throw new TemplateError(`can only concatenate str (not "${typeName(b)}") to str`);
  }
  if (isList(a)) {
    if (isList(b) && Array.isArray(a) === Array.isArray(b))
      return Array.isArray(a) ? [...a, ...iterate(b)] : new Tuple([...a.items, ...iterate(b)]);
    throw new TemplateError(`can only concatenate ${typeName(a)} (not "${typeName(b)}") to ${typeName(a)}`);
  }
  throw unsupported("+", a, b);
}
