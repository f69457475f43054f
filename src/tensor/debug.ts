import { type DType, type HostArray, known, toNumbers } from "../base/index.ts";
import { describe, nameNode, type Value } from "../ir/index.ts";
import type { Probe } from "./probe.ts";
import type { Tensor } from "./tensor.ts";
import { watch } from "./watch.ts";

/** The numbers of a tensor in a run. */
export interface DebugReport {
  name: string;
  dtype: DType;
  shape: readonly number[];
  /** All of them, row-major, in the host form of the dtype. */
  data: HostArray;
  /** Of those that are not NaN; NaN when there are none. */
  min: number;
  max: number;
  mean: number;
  /** How many are NaN. */
  nanCount: number;
}

/** What `debug` does with the numbers that it sees. */
export interface DebugOptions {
  /** What is done with the numbers of each run. @default a line on console.error */
  report?: (report: DebugReport) => void;
}

/**
 * Shows the numbers of a tensor whenever a compiled function has computed them: name (here the operation and module
 * that make it), shape, smallest, largest and mean number, and the first. Gives the tensor itself, and changes no
 * result but by what rounding differs where operations are not fused around it. Outside of compiled functions it
 * computes the tensor now.
 *
 * In a function for `grad` it shows the forward pass; in `vmap`, `scan` and `checkpoint` all examples or steps at once,
 * as one tensor with a further axis for those of vmap and scan. In branches of `cond` and in `whileLoop` numbers cannot
 * be seen: it says so. Under `autocast` it shows the numbers without it. All numbers are copied to the host.
 *
 * @example
 * const f = compile((x: Tensor<"f32">) => sum(debug("squares", mul(x, x))));
 * await f(tensor([1, 2, 3])).item(); // squares f32[3]: min 1, max 9, mean 4.66667; 1, 4, 9
 */
export function debug<T extends Tensor>(x: T, options?: DebugOptions): T;
/** The same, under a name that the report gives the tensor. */
export function debug<T extends Tensor>(name: string, x: T, options?: DebugOptions): T;
export function debug(...args: [Tensor, DebugOptions?] | [string, Tensor, DebugOptions?]): Tensor {
  const [name, x, options = {}] = isNamed(args) ? args : [nameNode(args[0].ir.node), ...args];
  const { report = printReport } = known("debug", options, { report: true });
  watch({ value: x.ir, name, probe: (value) => debugProbe(name, value, report) });
  return x;
}

const isNamed = (args: readonly unknown[]): args is [string, Tensor, DebugOptions?] => typeof args[0] === "string";

function debugProbe(name: string, value: Value, report: (report: DebugReport) => void): Probe {
  const { dtype } = value;
  return {
    values: [value],
    look: ([data], [shape]) => {
      try {
        report({ name, dtype, shape, data, ...statistics(toNumbers(dtype, data)) });
      } catch (cause) {
        console.error(`debug ${name}:`, cause); // the run has changed state by now, and does not fail
      }
    },
  };
}

function statistics(numbers: ArrayLike<number>): Pick<DebugReport, "min" | "max" | "mean" | "nanCount"> {
  let [min, max, sum, nanCount] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0];
  for (let i = 0; i < numbers.length; i++) {
    const x = numbers[i];
    if (Number.isNaN(x)) nanCount++;
    else {
      if (x < min) min = x;
      if (x > max) max = x;
      sum += x;
    }
  }
  const count = numbers.length - nanCount;
  return count > 0 ? { min, max, mean: sum / count, nanCount } : { min: NaN, max: NaN, mean: NaN, nanCount };
}

/** How many numbers a line shows. */
const FIRST = 8;

function printReport({ name, dtype, shape, data, min, max, mean, nanCount }: DebugReport): void {
  const short = (x: number) => String(Number(x.toPrecision(6)));
  const first = Array.from(toNumbers(dtype, data.slice(0, FIRST)), short).join(", ");
  const nans = nanCount > 0 ? `, ${nanCount} NaN` : "";
  const rest = data.length > FIRST ? ", ..." : "";
  const range = `min ${short(min)}, max ${short(max)}, mean ${short(mean)}${nans}`;
  console.error(`${name} ${describe({ dtype, shape })}: ${range}; ${first}${rest}`);
}
