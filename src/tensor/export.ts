import { type DType, GraphError, type HostArray } from "../base/index.ts";
import { Graph, placeholder, type TensorType, type Value } from "../ir/index.ts";
import { capturedLeaves } from "./execute.ts";
import { readTensors, Tensor } from "./tensor.ts";
import { Trace, traced } from "./trace.ts";
import { type Variable, VariableLeaf } from "./variable.ts";

/** A function as a graph: its named inputs, then what it captured. */
export interface TracedGraph {
  graph: Graph;
  outputNames: string[];
  captured: CapturedWeight[];
}

/** A variable or a tensor that a function uses besides its arguments. */
export interface CapturedWeight {
  /** What stands for it in the graph. */
  value: Value;
  /** The variable that it is, if it is not a tensor. */
  variable: Variable | undefined;
  dtype: DType;
  shape: readonly number[];
  /** Its numbers, row-major. */
  read(): Promise<HostArray>;
}

/** Traces a function of named tensors, whose sizes may be symbolic. @throws GraphError when it assigns variables */
export function traceGraph(
  forward: (inputs: Record<string, Tensor>) => Record<string, Tensor>,
  inputs: Readonly<Record<string, TensorType>>,
): TracedGraph {
  const placeholders = Object.entries(inputs).map(([name, type]) => [name, placeholder(name, type)] as const);
  const trace = new Trace();
  const results = Object.entries(
    traced(trace, () => forward(Object.fromEntries(placeholders.map(([name, value]) => [name, new Tensor(value)])))),
  );
  if (trace.updates.size > 0) {
    throw new GraphError({
      where: "export",
      expected: "a function that changes nothing",
      received: "one that assigns variables",
      fix: "export the forward pass alone",
    });
  }
  const outputs = results.map(([, tensor]) => tensor.ir);
  const captured = capturedLeaves(outputs).map((leaf): CapturedWeight => {
    const { value } = leaf;
    const { dtype, shape } = value;
    const variable = leaf instanceof VariableLeaf ? leaf.variable : undefined;
    return {
      value,
      variable,
      dtype,
      shape: shape as readonly number[],
      read: async () => (await readTensors([new Tensor(value)]))[0],
    };
  });
  const graph = new Graph([...placeholders.map(([, value]) => value), ...captured.map(({ value }) => value)], outputs);
  return { graph, outputNames: results.map(([name]) => name), captured };
}
