import { GraphError, hostArrayFrom, toNumbers } from "../base/index.ts";
import type { Attributes, Node, TensorType, Value } from "../ir/index.ts";
import type { BatchRule, HostFunction, OpEntry } from "./entry.ts";
import { type ExactTensor, type HostTensor, hostTensor } from "./host-tensor.ts";
import type { Lowering } from "./lowering.ts";

/** What an op's definition says, whether it has one output or several: `Output<T>` is one T or a list of them. */
interface Definition<In extends string, A extends Attributes, Several extends boolean> {
  name: string;
  inputs: readonly In[];
  infer: (inputs: Record<In, TensorType>, attributes: A) => Output<TensorType, Several>;
  /** Gradients of the inputs; those that have none are left out. */
  gradient:
    | ((values: Record<In, Value> & Upstream<Several>, attributes: A) => Partial<Record<In, Value | undefined>>)
    | NotDifferentiable;
  /** Where there is no such operator: `onHost(...)`, or "reference", which then computes it in double precision. */
  lower:
    | ((graph: Lowering, inputs: Record<In, string>, attributes: A, node: Node) => Output<string, Several>)
    | OnHost
    | "reference";
  reference: (
    inputs: Record<In, HostTensor>,
    attributes: A,
    types: readonly TensorType[],
  ) => Output<HostTensor, Several>;
  batch: BatchRule;
  precision: OpEntry["precision"];
  exact?: (
    inputs: Record<In, ExactTensor>,
    attributes: A,
    types: readonly TensorType[],
  ) => Output<ExactTensor, Several>;
  carries?: readonly In[];
  inPlace?: OpEntry["inPlace"];
  isView?: boolean;
  acceptsBfloat16?: boolean;
  indexBound?: OpEntry["indexBound"];
  withoutOutputs?: OpEntry["withoutOutputs"];
  simplify?: (inputs: Record<In, Value>, attributes: A) => Value | undefined;
}
type Output<T, Several extends boolean> = Several extends true ? readonly T[] : T;

/** The output y and its gradient dy; of several outputs those that influence the result have a gradient. */
type Upstream<Several extends boolean> = Several extends true
  ? { ys: readonly Value[]; dys: readonly (Value | undefined)[] }
  : { y: Value; dy: Value };

class NotDifferentiable {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

/** For `gradient` of an op that has none: a gradient through it is an error that gives this reason. */
export function notDifferentiable(reason: string): NotDifferentiable {
  return new NotDifferentiable(reason);
}

class OnHost {
  readonly compute: HostFunction;
  constructor(compute: HostFunction) {
    this.compute = compute;
  }
}

/** For `lower` of an op that ONNX has not: it is computed by this function, in the program, which may take its time. */
export function onHost(compute: HostFunction): OnHost {
  return new OnHost(compute);
}

function named<In extends string, T>(names: readonly In[], values: readonly T[]): Record<In, T> {
  return Object.fromEntries(names.map((name, i) => [name, values[i]])) as Record<In, T>;
}

const asArray = <T>(x: T | readonly T[]): readonly T[] => (Array.isArray(x) ? x : [x as T]);

/** Makes the entry of an op with a fixed list of named inputs and one output. */
export function defineOp<const In extends string, A extends Attributes = Attributes>(
  definition: Definition<In, A, false>,
): OpEntry {
  const { inputs, gradient } = definition;
  return entryOf(definition, gradient, (node, [dy]) => ({
    ...named(inputs, node.inputs),
    y: node.outputs[0],
    dy: dy as Value,
  }));
}

/** Makes the entry of an op with a fixed list of named inputs and several outputs. */
export function defineMultiOp<const In extends string, A extends Attributes = Attributes>(
  definition: Definition<In, A, true>,
): OpEntry {
  const { inputs, gradient } = definition;
  return entryOf(definition, gradient, (node, dys) => ({ ...named(inputs, node.inputs), ys: node.outputs, dys }));
}

/** The entry; `valuesOf` gives what the definition's gradient is called with. */
function entryOf<In extends string, A extends Attributes, Several extends boolean, Values>(
  definition: Definition<In, A, Several>,
  gradient: ((values: Values, attributes: A) => Partial<Record<In, Value | undefined>>) | NotDifferentiable,
  valuesOf: (node: Node, dys: readonly (Value | undefined)[]) => Values,
): OpEntry {
  const { name, inputs, infer, lower, reference, exact, carries, simplify } = definition;
  const { inPlace, isView, acceptsBfloat16, indexBound, withoutOutputs, batch, precision } = definition;
  const entry: OpEntry = {
    name,
    inPlace,
    isView,
    acceptsBfloat16,
    indexBound,
    withoutOutputs,
    batch,
    precision,
    simplify: simplify && ((values, attributes) => simplify(named(inputs, values), attributes as A)),
    inferTypes: (types, attributes) => asArray<TensorType>(infer(named(inputs, types), attributes as A)),
    gradient(node, dys) {
      if (gradient instanceof NotDifferentiable) throw notDifferentiableError(name, gradient.reason);
      if (dys.every((dy) => dy === undefined)) return [];
      const result = gradient(valuesOf(node, dys), node.attributes as A);
      return inputs.map((input) => result[input]);
    },
    lower(graph, names, node) {
      if (typeof lower !== "function") throw hostOnlyError(name);
      return asArray<string>(lower(graph, named(inputs, names), node.attributes as A, node));
    },
    reference: (hostInputs, attributes, types) =>
      asArray<HostTensor>(reference(named(inputs, hostInputs), attributes as A, types)),
    exact:
      exact &&
      ((exactInputs, attributes, types) =>
        asArray<ExactTensor>(exact(named(inputs, exactInputs), attributes as A, types))),
    carries: carries?.map((input) => inputs.indexOf(input)),
    computeOnHost: lower instanceof OnHost ? lower.compute : undefined,
  };
  return lower === "reference" ? { ...entry, computeOnHost: byReference(entry.reference) } : entry;
}

/** A reference as a computation on the host: numbers become doubles, and the results the numbers of their dtypes. */
const byReference =
  (reference: OpEntry["reference"]): HostFunction =>
  (inputs, { attributes, types }) => {
    const doubles = inputs.map(({ dtype, shape, data }) => hostTensor(shape, toNumbers(dtype, data)));
    return reference(doubles, attributes, types).map(({ shape, data }, i) => {
      const { dtype } = types[i];
      return { dtype, shape, data: hostArrayFrom(dtype, data) };
    });
  };

function notDifferentiableError(op: string, reason: string): GraphError {
  return new GraphError({
    where: `gradient of ${op}`,
    expected: "an operation with a derivative",
    received: `${op}, which has none: it ${reason}`,
    fix: "use stopGradient on its result, or a differentiable operation instead",
  });
}

function hostOnlyError(op: string): GraphError {
  return new GraphError({
    where: "onnx",
    expected: "operations that ONNX has",
    received: `${op}, which is computed on the host`,
    fix: "leave it out of what is exported, and of loops and branches",
  });
}
