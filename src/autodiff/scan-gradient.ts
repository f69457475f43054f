import { isFloat } from "../base/index.ts";
import {
  dependents,
  Graph,
  Node,
  placeholder,
  shapesEqual,
  substitute,
  type TensorType,
  topologicalOrder,
  type Value,
} from "../ir/index.ts";
import { add, arange, broadcastTo, currentScope, matmul, reshape, scalar, sum } from "../ops/index.ts";
import { closeOver } from "./body.ts";
import { pullBack } from "./reverse.ts";
import { type ScanLayout, ScanOp } from "./scan-op.ts";

/*
 * The gradient of a scan is a scan in the other direction. What it needs of the forward steps is stacked by a version
 * of the forward scan with more outputs; a pass puts that version in the place of the original. (JAX does the same;
 * Bradbury et al.)
 */

const isTrained = (value: Value) => isFloat(value.dtype);
const zerosLike = (type: TensorType) => broadcastTo(scalar(0, type.dtype), type.shape);

/** The backward work of one step, in terms of the forward body's values and of new placeholders. */
interface StepGradient {
  /** For each output of the body: the cotangent that the backward step is given. */
  upstream: readonly (Value | undefined)[];
  /** For each carry that has a gradient: its index and the cotangent that goes to the step before. */
  carried: readonly { index: number; step: Value }[];
  /** For each sequence: the gradient of its slice. */
  slices: readonly (Value | undefined)[];
  captured: readonly SplitSum[];
}

function differentiateStep({ layout, bodies: [body] }: ScanOp, dys: readonly (Value | undefined)[]): StepGradient {
  const upstream = body.outputs.map((output, i) => {
    const isNeeded = isTrained(output) && (i < layout.carries || dys[i] !== undefined);
    return isNeeded ? placeholder(`cotangent ${i}`, output) : undefined;
  });
  const gradients = pullBack(body.outputs, upstream, body.inputs);
  const firstCaptured = layout.carries + layout.sequences;
  return {
    upstream,
    carried: body.inputs
      .slice(0, layout.carries)
      .flatMap((formal, index) => (isTrained(formal) ? [{ index, step: gradients[index] ?? zerosLike(formal) }] : [])),
    slices: gradients.slice(layout.carries, firstCaptured),
    captured: gradients.slice(firstCaptured).map(splitSum),
  };
}

/** Applies a new scan, of which `base` is a version with fewer outputs. @internal */
export function applyScan(body: Graph, layout: ScanLayout, inputs: readonly Value[], base?: ScanOp): Node {
  const op = new ScanOp(body, layout, scanGradient, base);
  return new Node(op, inputs, {}, op.inferTypes(inputs), currentScope());
}

function scanGradient(op: ScanOp, node: Node, dys: readonly (Value | undefined)[]): readonly (Value | undefined)[] {
  const { layout } = op;
  const [body] = op.bodies;
  const { upstream, carried, slices, captured } = differentiateStep(op, dys);

  // results of the backward body: cotangents of carries, running totals for captured values, then what is stacked
  const perStep = captured.flatMap((sum) => sum.perStep ?? []);
  const totals = perStep.map((value, i) => placeholder(`total ${i}`, value));
  const results = [
    ...carried.map(({ step }) => step),
    ...perStep.map((value, i) => add(totals[i], value)),
    ...slices.filter((step) => step !== undefined),
    ...captured.flatMap(({ deferred }) => deferred.flatMap(({ operands }) => operands)),
  ];
  const cotangents = upstream.filter((value) => value !== undefined);
  const { residuals, sequences } = forwardValues(op, results, [...cotangents, ...totals]);
  const full = applyScan(new Graph(body.inputs, [...body.outputs, ...residuals]), layout, node.inputs, op);

  const length = node.inputs[layout.carries].shape[0];
  const inputs = [
    ...upstream.flatMap((value, i) =>
      value && i >= layout.carries ? [{ formal: value, outer: dys[i] as Value }] : [],
    ),
    ...sequences.map((formal) => ({ formal, outer: node.inputs[body.inputs.indexOf(formal)] })),
    ...residuals.map((value, i) => ({
      formal: placeholder(`residual ${i}`, value),
      outer: full.outputs[body.outputs.length + i],
      value,
    })),
  ];
  if (inputs.length === 0)
    inputs.push({ formal: placeholder("step", { dtype: "i32", shape: [] }), outer: arange(length) });
  const stands = new Map(
    inputs.flatMap((input) => ("value" in input ? [[input.value as Value, input.formal] as const] : [])),
  );
  const formals = [
    ...carried.map(({ index }) => upstream[index] as Value),
    ...totals,
    ...inputs.map(({ formal }) => formal),
  ];
  const backward = closeOver(formals, substitute(results, stands));

  // what the backward body captures is made of what the forward body captured
  const firstCaptured = layout.carries + layout.sequences;
  const outside = new Map(
    body.inputs.slice(firstCaptured).map((formal, i) => [formal, node.inputs[firstCaptured + i]] as const),
  );
  const init = [...carried.map(({ index }) => dys[index] ?? zerosLike(body.inputs[index])), ...perStep.map(zerosLike)];
  const run = applyScan(backward.graph, { carries: init.length, sequences: inputs.length, reverse: !layout.reverse }, [
    ...init,
    ...inputs.map(({ outer }) => outer),
    ...substitute(backward.captured, outside),
  ]);

  // handed out in the order of `results`
  const outputs = run.outputs.values();
  const next = () => outputs.next().value as Value;
  const carryGradients = new Map(carried.map(({ index }) => [index, next()] as const));
  const sums = captured.map((sum) => sum.perStep && next());
  const sequenceGradients = slices.map((step) => step && next());
  const capturedGradients = captured.map(({ deferred }, i) => {
    const terms = [
      ...(sums[i] ? [sums[i]] : []),
      ...deferred.map(({ finish, operands }) => finish(operands.map(next))),
    ];
    return terms.length > 0 ? terms.reduce((a, b) => add(a, b)) : undefined;
  });
  return [
    ...body.inputs.slice(0, layout.carries).map((_, i) => carryGradients.get(i)),
    ...sequenceGradients,
    ...capturedGradients,
  ];
}

/**
 * Values of the forward step that the backward step uses: those to be stacked, and slices of sequences that exist
 * already.
 */
function forwardValues(
  { layout, bodies: [body] }: ScanOp,
  results: readonly Value[],
  backwardInputs: readonly Value[],
): { residuals: Value[]; sequences: Value[] } {
  const order = topologicalOrder([...body.outputs, ...results]);
  const backwardNodes = dependents(order, backwardInputs);
  const carries = body.inputs.slice(0, layout.carries);
  const slices = body.inputs.slice(layout.carries, layout.carries + layout.sequences);
  const varying = dependents(order, [...carries, ...slices]);
  const residuals = new Set<Value>();
  const sequences = new Set<Value>();
  for (const value of [...results, ...[...backwardNodes].flatMap(({ inputs }) => inputs)]) {
    if (backwardNodes.has(value.node) || backwardInputs.includes(value)) continue;
    if (slices.includes(value)) sequences.add(value);
    else if (carries.includes(value) || varying.has(value.node)) residuals.add(value);
  }
  return { residuals: [...residuals], sequences: [...sequences] };
}

/**
 * A sum over all steps: of `perStep`, added up as the scan runs, and of terms that are worked out once from stacked
 * operands.
 */
interface SplitSum {
  perStep?: Value;
  deferred: readonly { operands: readonly Value[]; finish: (stacked: readonly Value[]) => Value }[];
}

/**
 * The sum over steps of aᵀ b is one product of the stacked a and b, and the sum of sums one sum: far better than step
 * by step.
 */
function splitSum(gradient: Value | undefined): SplitSum {
  if (!gradient) return { deferred: [] };
  const { op, inputs, attributes } = gradient.node;
  if (op === add.entry && inputs.every((input) => shapesEqual(input.shape, gradient.shape))) {
    const parts = inputs.map(splitSum);
    const perStep = parts.flatMap((part) => part.perStep ?? []);
    return {
      perStep: perStep.length > 0 ? perStep.reduce((a, b) => add(a, b)) : undefined,
      deferred: parts.flatMap(({ deferred }) => deferred),
    };
  }
  if (op === reshape.entry) {
    const { perStep, deferred } = splitSum(inputs[0]);
    const back = (value: Value) => reshape(value, gradient.shape);
    return {
      perStep: perStep && back(perStep),
      deferred: deferred.map(({ operands, finish }) => ({ operands, finish: (stacked) => back(finish(stacked)) })),
    };
  }
  const { transposeA, transposeB, scale } = attributes;
  if (
    op === matmul.entry &&
    transposeA === true &&
    transposeB === false &&
    inputs.every(({ shape }) => shape.length === 2)
  ) {
    const rows = (x: Value) => reshape(x, [-1, x.shape[2]]);
    return {
      deferred: [
        {
          operands: inputs,
          finish: ([a, b]) => matmul(rows(a), rows(b), { transposeA: true, scale: scale as number }),
        },
      ],
    };
  }
  if (op === sum.entry) {
    const axes = [0, ...(attributes.axes as readonly number[]).map((axis) => axis + 1)];
    return { deferred: [{ operands: inputs, finish: ([x]) => reshape(sum(x, { axes }), gradient.shape) }] };
  }
  return { perStep: gradient, deferred: [] };
}
