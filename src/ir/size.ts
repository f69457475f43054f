import { ShapeError } from "../base/index.ts";

/**
 * One size of a shape: a number, or a symbolic size such as `B`, `2*T` or `P + T` that is known only when the graph
 * runs. A symbolic size is a polynomial with integer coefficients over named symbols, kept in canonical form, so two
 * sizes are equal exactly when they print the same.
 */
export type Size = number | SymbolicSize;
/** Sizes of a tensor, outermost axis first. */
export type Shape = readonly Size[];

/** A polynomial over symbols: monomial (sorted symbol names joined by "*", "" for the constant term) to coefficient. */
export class SymbolicSize {
  readonly terms: ReadonlyMap<string, number>;
  readonly text: string;

  constructor(terms: Iterable<[string, number]>) {
    const sorted = [...terms]
      .filter(([, coefficient]) => coefficient !== 0)
      .sort(([a], [b]) => (a === "" ? 1 : b === "" ? -1 : a < b ? -1 : 1));
    this.terms = new Map(sorted);
    this.text = sorted.map(([name, c]) => (name === "" ? `${c}` : c === 1 ? name : `${c}*${name}`)).join(" + ");
  }

  /** The polynomial in canonical form, such as "2*T + 1". */
  toString(): string {
    return this.text;
  }
}

/**
 * A named symbolic size.
 * @throws ShapeError when the name is not a plain identifier.
 */
export function symbol(name: string): SymbolicSize {
  if (!/^[A-Za-z_]\w*$/.test(name)) {
    throw new ShapeError({
      where: "symbol",
      expected: "an identifier such as B or T",
      received: `"${name}"`,
      fix: "use letters, digits and _",
    });
  }
  return new SymbolicSize([[name, 1]]);
}

function termsOf(size: Size): ReadonlyMap<string, number> {
  return typeof size === "number" ? new Map([["", size]]) : size.terms;
}

function normalise(terms: Map<string, number>): Size {
  const live = [...terms].filter(([, c]) => c !== 0);
  if (live.length === 0) return 0;
  if (live.length === 1 && live[0][0] === "") return live[0][1];
  return new SymbolicSize(live);
}

/** a + b. */
export function addSizes(a: Size, b: Size): Size {
  const out = new Map(termsOf(a));
  for (const [name, c] of termsOf(b)) out.set(name, (out.get(name) ?? 0) + c);
  return normalise(out);
}

/** a b. */
export function multiplySizes(a: Size, b: Size): Size {
  const out = new Map<string, number>();
  for (const [nameA, cA] of termsOf(a)) {
    for (const [nameB, cB] of termsOf(b)) {
      const name = [...nameA.split("*"), ...nameB.split("*")].filter(Boolean).sort().join("*");
      out.set(name, (out.get(name) ?? 0) + cA * cB);
    }
  }
  return normalise(out);
}

/** a / b when the division is exact for every value of the symbols; undefined otherwise. `b` must be a single term. */
export function divideSizes(a: Size, b: Size): Size | undefined {
  if (typeof a === "number" && typeof b === "number") return b !== 0 && a % b === 0 ? a / b : undefined;
  const divisor = [...termsOf(b)];
  if (divisor.length !== 1) return sizesEqual(a, b) ? 1 : undefined;
  const [divisorName, divisorCoefficient] = divisor[0];
  const out = new Map<string, number>();
  for (const [name, coefficient] of termsOf(a)) {
    const rest = name.split("*").filter(Boolean);
    for (const factor of divisorName.split("*").filter(Boolean)) {
      const at = rest.indexOf(factor);
      if (at < 0) return undefined;
      rest.splice(at, 1);
    }
    if (coefficient % divisorCoefficient !== 0) return undefined;
    out.set(rest.join("*"), coefficient / divisorCoefficient);
  }
  return normalise(out);
}

/** Whether a size of a shape can be so: an integer of at least 0, or symbolic. */
export function isSize(size: unknown): size is Size {
  return size instanceof SymbolicSize || (Number.isSafeInteger(size) && (size as number) >= 0);
}

/** Whether two sizes are equal for every value of their symbols. */
export function sizesEqual(a: Size, b: Size): boolean {
  return a === b || (typeof a !== "number" && typeof b !== "number" && a.text === b.text);
}

/** Whether two shapes have the same rank and equal sizes. */
export function shapesEqual(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, i) => sizesEqual(size, b[i]));
}

/** Number of elements. */
export function sizeOf(shape: Shape): Size {
  return shape.reduce<Size>(multiplySizes, 1);
}

/** Whether no size of a shape is symbolic. */
export function isStatic(shape: Shape): shape is readonly number[] {
  return shape.every((size) => typeof size === "number");
}

/** The symbols that occur in a size. */
export function symbolsOf(size: Size): string[] {
  if (typeof size === "number") return [];
  return [...new Set([...size.terms.keys()].flatMap((name) => name.split("*").filter(Boolean)))];
}

/** Value of a size for given symbol values. */
export function evaluateSize(size: Size, symbols: ReadonlyMap<string, number>): number {
  if (typeof size === "number") return size;
  let total = 0;
  for (const [name, coefficient] of size.terms) {
    let product = coefficient;
    for (const factor of name.split("*").filter(Boolean)) {
      const value = symbols.get(factor);
      if (value === undefined) {
        throw new ShapeError({
          where: "size",
          expected: `a value for symbol ${factor}`,
          received: "none",
          fix: "pass an input whose shape has this symbol",
        });
      }
      product *= value;
    }
    total += product;
  }
  return total;
}

/** @throws ShapeError when a size is symbolic. */
export function requireStatic(where: string, shape: Shape): readonly number[] {
  if (isStatic(shape)) return shape;
  throw new ShapeError({
    where,
    expected: "sizes that are known now",
    received: `[${shape.join(", ")}]`,
    fix: "give this tensor fixed sizes",
  });
}

/** Shape that `a` and `b` broadcast to, or undefined when they do not. Sizes are aligned at the right; 1 stretches. */
export function broadcastShapes(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const out: Size[] = [];
  for (let i = 0; i < rank; i++) {
    const sizeA = a[a.length - rank + i] ?? 1;
    const sizeB = b[b.length - rank + i] ?? 1;
    if (sizeA === 1) out.push(sizeB);
    else if (sizeB === 1 || sizesEqual(sizeA, sizeB)) out.push(sizeA);
    else return undefined;
  }
  return out;
}

/** Index of `axis` counted from the front. @throws ShapeError when out of range. */
export function normalizeAxis(where: string, axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis;
  if (Number.isInteger(axis) && positive >= 0 && positive < rank) return positive;
  throw new ShapeError({
    where,
    expected: rank === 0 ? "no axis, since the tensor is a scalar" : `an axis from ${-rank} to ${rank - 1}`,
    received: `axis ${axis}`,
    fix: "count the axes of the tensor's shape",
  });
}
