import { describe, type Size, type Value } from "../ir/index.ts";
import { arange } from "../ops/index.ts";
import { traceBody } from "./body.ts";
import { applyScan } from "./scan-gradient.ts";
import { misfit } from "./scan-op.ts";

/** What a `scan` starts from, and what it runs over. */
export interface ScanInputs {
  /** Values before the first step. */
  init: readonly Value[];
  /** Sequences: each step gets a slice of their first axis. */
  xs?: readonly Value[];
  /** Number of steps, when there are no sequences. */
  length?: Size;
  /** From the last slice to the first. @default false */
  reverse?: boolean;
}
/** What one step of a `scan` gives. */
export interface ScanStep {
  /** Values for the next step, of the same types. */
  carry: readonly Value[];
  /** Results of this step, which are stacked. */
  ys?: readonly Value[];
}

/**
 * A loop that is not unrolled: carry, y_t = body(carry, x_t). Gives the last carry and all y_t stacked along a new
 * first axis, at the place of their x_t. Gradients run back through the steps.
 */
export function scan(
  body: (carry: Value[], xs: Value[]) => ScanStep,
  { init, xs = [], length, reverse = false }: ScanInputs,
): { carry: Value[]; ys: Value[] } {
  if (xs.length === 0 && length === undefined) throw misfit("sequences, or a length", "neither");
  const sequences = xs.length > 0 ? xs : [arange(length as Size)];
  for (const x of sequences) if (x.shape.length === 0) throw misfit("sequences with a first axis", describe(x));
  const types = [...init, ...sequences.map((x) => ({ dtype: x.dtype, shape: x.shape.slice(1) }))];
  const { graph, captured } = traceBody(types, (...inputs) => {
    const { carry, ys = [] } = body(inputs.slice(0, init.length), xs.length > 0 ? inputs.slice(init.length) : []);
    if (carry.length !== init.length) throw misfit(`a carry of ${init.length} values`, String(carry.length));
    return [...carry, ...ys];
  });
  const layout = { carries: init.length, sequences: sequences.length, reverse };
  const { outputs } = applyScan(graph, layout, [...init, ...sequences, ...captured]);
  return { carry: outputs.slice(0, init.length), ys: outputs.slice(init.length) };
}
