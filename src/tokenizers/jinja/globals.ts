/** Names that every template has, and the scopes that names are in. */
import { printed } from "./costs.ts";
import { plain } from "./foreign.ts";
import { integer } from "./items.ts";
import type { Meter } from "./meter.ts";
import { strftime } from "./time.ts";
import { Callable, Dict, type Keywords, Namespace, str, TemplateError, Undefined, type Value } from "./values.ts";

/** Names in a part of a template; those of the parts around it show through. */
export class Scope {
  private readonly names = new Map<string, Value>();
  private readonly outer: Scope | undefined;

  constructor(outer?: Scope) {
    this.outer = outer;
  }

  get(name: string): Value {
    let scope: Scope | undefined = this;
    while (scope && !scope.names.has(name)) scope = scope.outer;
    return scope ? (scope.names.get(name) ?? null) : new Undefined(`'${name}' is undefined`);
  }

  set(name: string, value: Value): void {
    this.names.set(name, value);
  }
}

/** true, range, namespace and others. */
export function globals(now: Date, meter: Meter): Scope {
  const scope = new Scope();
  const define = (name: string, call: (args: readonly Value[], keywords: Keywords) => Value) =>
    scope.set(name, new Callable(call));
  for (const [name, value] of [
    ["true", true],
    ["True", true],
    ["false", false],
    ["False", false],
    ["none", null],
    ["None", null],
  ] as const)
    scope.set(name, value);
  define("raise_exception", ([message]) => {
    throw new TemplateError(str(message));
  });
  define("strftime_now", ([format]) => strftime(now, plain(printed(meter, format))));
  define("range", (args) => range(meter, args));
  define("dict", (_, keywords) => new Dict(keywords));
  define("namespace", ([first], keywords) => {
    const named =
      first instanceof Map ? [...first].map(([name, value]): [string, Value] => [plain(str(name)), value]) : [];
    return new Namespace(new Map([...named, ...keywords]));
  });
  define("joiner", ([separator = ", "]) => {
    let isFirst = true;
    return new Callable(() => {
      const text = isFirst ? "" : str(separator);
      isFirst = false;
      return text;
    });
  });
  define("cycler", (items) => {
    if (items.length === 0) throw new TemplateError("at least one item has to be provided");
    let at = 0;
    return new Namespace(new Map<string, Value>([["next", new Callable(() => items[at++ % items.length])]]));
  });
  define("lipsum", () => {
    throw new TemplateError("lipsum writes random text");
  });
  return scope;
}

function range(meter: Meter, args: readonly Value[]): Value[] {
  const numbers = args.map(integer);
  const [start, stop, step] = numbers.length === 1 ? [0, numbers[0], 1] : [numbers[0], numbers[1], numbers[2] ?? 1];
  if (step === 0) throw new TemplateError("range() arg 3 must not be zero");
  const count = Math.max(0, Math.ceil((stop - start) / step));
  meter.take(8 * count);
  return Array.from({ length: count }, (_, i) => start + i * step);
}
