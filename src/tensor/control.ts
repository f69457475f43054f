/** Control flow and differentiation as functions of tensors, and of arrays and objects of tensors. */
import * as autodiff from "../autodiff/index.ts";
import { type FloatDType, known } from "../base/index.ts";
import type { Size, Value } from "../ir/index.ts";
import { takeApart } from "./structure.ts";
import { Tensor } from "./tensor.ts";
import { currentTrace } from "./trace.ts";
import { Body } from "./watch.ts";

const valuesOf = (tensors: readonly Tensor[]): Value[] => tensors.map(({ ir: value }) => value);
const tensorsOf = (values: readonly Value[]): Tensor[] => values.map((value) => new Tensor(value));

/** What a `scan` starts from, and what it runs over. */
export interface ScanOptions<C, X> {
  /** The carry before the first step. */
  init: C;
  /** Tensors whose first axes are the steps; each step gets a slice of each. @default none */
  xs?: X;
  /** Number of steps, when there are no xs. */
  length?: Size;
  /** From the last slice to the first. @default false */
  reverse?: boolean;
}

/**
 * A loop inside the graph: `carry, y = step(carry, x)` for each slice x of the first axis of xs. Gives the last carry,
 * and the y of all steps stacked along a new first axis. It is not unrolled: the graph has one copy of the step.
 * Gradients run back through all steps.
 *
 * @example
 * const xs = tensor([1, 2, 3, 4]);
 * const step = (total, x: Tensor<"f32">) => ({ carry: add(total, x), y: add(total, x) });
 * const { ys } = scan(step, { init: zeros([]), xs });
 * await ys.toArray(); // [1, 3, 6, 10]
 */
export function scan<C, X = undefined, Y = undefined>(
  step: (carry: C, x: X) => { carry: C; y?: Y },
  options: ScanOptions<C, X>,
): { carry: C; ys: Y } {
  const { init, xs, length, reverse } = known("scan", options, { init: true, xs: true, length: true, reverse: true });
  const carry = takeApart("scan", init);
  const sequences = takeApart("scan", xs);
  const body = new Body<Y>("scan");
  const run = autodiff.scan(
    (state, slices) => {
      let next: { carry: C; y?: Y } | undefined;
      const ys = body.values(() => {
        next = step(carry.rebuild(tensorsOf(state)) as C, sequences.rebuild(tensorsOf(slices)) as X);
        return next.y as Y;
      });
      return { carry: valuesOf(takeApart("scan", next?.carry).tensors), ys };
    },
    { init: valuesOf(carry.tensors), xs: valuesOf(sequences.tensors), length, reverse },
  );
  return { carry: carry.rebuild(tensorsOf(run.carry)) as C, ys: body.rebuild(run.ys) };
}

/**
 * The result of one of two functions of the operands; only the chosen one runs. Both give tensors of the same shapes.
 * For a choice between elements use `where`.
 *
 * @example
 * const x = tensor(-2);
 * await cond(less(x, 0), x, (x) => neg(x), (x) => x).item(); // 2
 */
export function cond<T, R>(
  condition: Tensor<"bool">,
  operands: T,
  thenBranch: (operands: T) => R,
  elseBranch: (operands: T) => R,
): R {
  const inputs = takeApart("cond", operands);
  const body = new Body<R>("cond");
  const branch = (fn: (operands: T) => R) => (values: readonly Value[]) =>
    body.hiddenValues(() => fn(inputs.rebuild(tensorsOf(values)) as T));
  return body.rebuild(autodiff.cond(condition.ir, valuesOf(inputs.tensors), branch(thenBranch), branch(elseBranch)));
}

/**
 * Repeats `state = body(state)` while `condition(state)` is true. For inference: it has no gradient.
 *
 * @example
 * await whileLoop((x) => less(x, 100), (x) => mul(x, 2), tensor(3)).item(); // 192
 */
export function whileLoop<S>(condition: (state: S) => Tensor<"bool">, body: (state: S) => S, init: S): S {
  const state = takeApart("whileLoop", init);
  const rebuild = (values: readonly Value[]) => state.rebuild(tensorsOf(values)) as S;
  const values = autodiff.whileLoop(
    (now) => new Body("whileLoop").hiddenValues(() => condition(rebuild(now)))[0],
    (now) => new Body("whileLoop").hiddenValues(() => body(rebuild(now))),
    valuesOf(state.tensors),
  );
  return rebuild(values);
}

/**
 * fn, but what it computes inside is not kept for the gradient: the gradient computes it again. Costs one more forward
 * pass of fn, saves its memory. Chen et al. 2016, arXiv:1604.06174.
 */
export function checkpoint<A extends readonly unknown[], R>(fn: (...args: A) => R): (...args: A) => R {
  return (...args) => {
    const inputs = takeApart("checkpoint", args);
    const body = new Body<R>("checkpoint");
    const values = autodiff.checkpoint(
      (...values) => body.values(() => fn(...(inputs.rebuild(tensorsOf(values)) as unknown as A))),
      valuesOf(inputs.tensors),
    );
    return body.rebuild(values);
  };
}

/**
 * The same tensors, but what is computed inside of each layer of a model is not kept for their gradients: these compute
 * it again, for about a third more time and the memory of one layer. A layer is what lies in a scope with a number, as
 * "h.3" does. In a traced function, what was assigned to variables by then counts too. Use it on a loss before `grad`.
 * Chen et al. 2016, arXiv:1604.06174.
 */
export function checkpointLayers<const T extends readonly Tensor[]>(tensors: T): T {
  const trace = currentTrace();
  const updates = [...(trace?.updates ?? [])];
  const values = autodiff.checkpointScopes([...valuesOf(tensors), ...updates.map(([, value]) => value)]);
  updates.forEach(([leaf], i) => {
    trace?.assign(leaf, values[tensors.length + i]);
  });
  return tensorsOf(values.slice(0, tensors.length)) as readonly Tensor[] as T;
}

/**
 * fn with a gradient given by hand: `backward(dy, args, y)` gives one gradient for each argument. The result of fn is
 * one tensor, the arguments are tensors. Other tensors that fn uses get no gradient.
 *
 * @example
 * const clamped = customGradient((x: Tensor<"f32">) => minimum(x, 1), (dy) => [dy]);
 * const x = tensor([0, 5]);
 * await grad(sum(clamped(x)), [x])[0].toArray(); // [1, 1]
 */
export function customGradient<A extends readonly Tensor[], R extends Tensor>(
  fn: (...args: A) => R,
  backward: (dy: R, args: A, y: R) => { [K in keyof A]: A[K] | undefined },
): (...args: A) => R {
  return (...args) => {
    const body = new Body<R>("customGradient");
    const values = autodiff.customGradient(
      (...inputs) => body.values(() => fn(...(tensorsOf(inputs) as unknown as A))),
      valuesOf(args),
      ({ inputs, outputs: [y], dys: [dy] }) =>
        backward(new Tensor(dy as Value) as R, tensorsOf(inputs) as unknown as A, new Tensor(y) as R).map(
          (gradient) => (gradient as Tensor | undefined)?.ir,
        ),
    );
    return body.rebuild(values);
  };
}

/**
 * Forward mode: the value of fn and its directional derivative when the arguments move along the tangents. One pass,
 * whatever the number of results. With `grad` inside fn it gives Hessian-vector products.
 *
 * @example
 * const x = tensor([1, 2, 3]);
 * const v = tensor([1, 0, 0]);
 * const { tangent } = jvp((x) => sum(mul(x, mul(x, x))), [x], [v]);
 * await tangent.item(); // 3
 */
export function jvp<A extends readonly Tensor<FloatDType>[], R>(
  fn: (...args: A) => R,
  args: A,
  tangents: NoInfer<A>,
): { value: R; tangent: R } {
  const result = takeApart("jvp", fn(...args));
  const derivatives = autodiff.pushForward(valuesOf(result.tensors), valuesOf(args), valuesOf(tangents));
  return { value: result.rebuild(result.tensors) as R, tangent: result.rebuild(tensorsOf(derivatives)) as R };
}

/**
 * fn for every example of a batch at once. fn is written for one example; the arguments of the result have the batch as
 * a further axis, the results as their axis 0. inAxes says which axis, for each argument: null for one that is the same
 * for all.
 * @default axis 0 of every argument
 *
 * @example
 * const lengths = vmap((x: Tensor<"f32">) => norm(x));
 * await lengths(tensor([[3, 4], [6, 8]])).toArray(); // [5, 10]
 */
export function vmap<A extends readonly Tensor[], R>(
  fn: (...args: A) => R,
  options: { inAxes?: { readonly [K in keyof A]: number | null } } = {},
): (...args: A) => R {
  const { inAxes } = known("vmap", options, { inAxes: true });
  return (...args) => {
    const body = new Body<R>("vmap");
    const values = autodiff.vmap(
      (...inputs) => body.values(() => fn(...(tensorsOf(inputs) as unknown as A))),
      valuesOf(args),
      inAxes ?? args.map(() => 0),
    );
    return body.rebuild(values);
  };
}
