import { ShapeError } from "../base/index.ts";
import {
  type Attributes,
  describe,
  Graph,
  type Node,
  shapesEqual,
  sizesEqual,
  type TensorType,
  type Value,
} from "../ir/index.ts";
import { evaluate, type HostTensor, hostTensor, type Lowering, type OpEntry } from "../ops/index.ts";

/** How the body's inputs and outputs are laid out: carries, then slices of the sequences; then captured values. */
export interface ScanLayout {
  carries: number;
  sequences: number;
  reverse: boolean;
}

/** The gradient of a scan, which is another scan (scan-gradient.ts). */
export type ScanGradient = (
  op: ScanOp,
  node: Node,
  dys: readonly (Value | undefined)[],
) => readonly (Value | undefined)[];

/** A loop over the first axis of sequences. Each application has an op of its own, since the op holds the body. */
export class ScanOp implements OpEntry {
  readonly name = "scan";
  readonly bodies: readonly [Graph];
  readonly layout: ScanLayout;
  readonly batch = "oneByOne";
  readonly precision = "f32";
  /** The scan of which this is a version with further outputs, which were needed for its gradient. */
  readonly extendsOp?: ScanOp;

  private readonly backward: ScanGradient;

  constructor(body: Graph, layout: ScanLayout, backward: ScanGradient, base?: ScanOp) {
    this.bodies = [body];
    this.layout = layout;
    this.backward = backward;
    this.extendsOp = base;
  }

  withBodies([body]: readonly Graph[]): ScanOp {
    return new ScanOp(body, this.layout, this.backward, this.extendsOp);
  }
  withCaptured(bodies: readonly Graph[], inputs: readonly Value[], captured: readonly Value[]) {
    return { op: this.withBodies(bodies), inputs: [...inputs, ...captured] };
  }

  withoutOutputs(unused: ReadonlySet<number>): { op: ScanOp; kept: number[] } | undefined {
    const [body] = this.bodies;
    const kept = body.outputs.flatMap((_, i) => (i < this.layout.carries || !unused.has(i) ? [i] : []));
    if (kept.length === body.outputs.length) return undefined;
    const smaller = new Graph(
      body.inputs,
      kept.map((i) => body.outputs[i]),
    );
    return { op: new ScanOp(smaller, this.layout, this.backward), kept };
  }

  inferTypes(inputs: readonly TensorType[]): readonly TensorType[] {
    const { carries, sequences } = this.layout;
    const [body] = this.bodies;
    const length = inputs[carries].shape[0];
    body.inputs.forEach((formal, i) => {
      const isSequence = i >= carries && i < carries + sequences;
      const shape = isSequence ? inputs[i].shape.slice(1) : inputs[i].shape;
      const fits =
        inputs[i].dtype === formal.dtype &&
        shapesEqual(shape, formal.shape) &&
        (!isSequence || sizesEqual(inputs[i].shape[0], length));
      if (!fits)
        throw misfit(
          `input ${i} to be ${isSequence ? `a sequence of ${length} times ` : ""}${describe(formal)}`,
          describe(inputs[i]),
        );
    });
    return body.outputs.map((output, i) => {
      if (i >= carries) return { dtype: output.dtype, shape: [length, ...output.shape] };
      const formal = body.inputs[i];
      if (output.dtype === formal.dtype && shapesEqual(output.shape, formal.shape))
        return { dtype: formal.dtype, shape: formal.shape };
      throw misfit(`carry ${i} to keep its type, ${describe(formal)}`, describe(output));
    });
  }

  lower(graph: Lowering, inputs: readonly string[], node: Node): readonly string[] {
    const { carries, sequences, reverse } = this.layout;
    const [body] = this.bodies;
    const firstCaptured = carries + sequences;
    const length = node.inputs[carries].shape[0];
    if (graph.isWebGpu && typeof length === "number" && length > 0 && length * body.nodes.length <= UNROLLED_NODES)
      return this.unroll(graph, inputs, length);
    const flags = (count: number) => (reverse && count > 0 ? new Array<number>(count).fill(1) : undefined);
    return graph.withBodies(
      "Scan",
      inputs.slice(0, firstCaptured),
      node.outputs.length,
      { body: { graph: body, captured: inputs.slice(firstCaptured) } },
      {
        num_scan_inputs: sequences,
        scan_input_directions: flags(sequences),
        scan_output_directions: flags(body.outputs.length - carries),
      },
    );
  }

  /** The steps one after another, as nodes of the graph around. */
  private unroll(graph: Lowering, inputs: readonly string[], length: number): string[] {
    const { carries, sequences, reverse } = this.layout;
    const [body] = this.bodies;
    const captured = inputs.slice(carries + sequences);
    let state = inputs.slice(0, carries);
    const rows = body.outputs.slice(carries).map(() => new Array<string>(length));
    for (let step = 0; step < length; step++) {
      const t = reverse ? length - 1 - step : step;
      const slices = inputs
        .slice(carries, carries + sequences)
        .map((sequence) => graph.node("Gather", [sequence, graph.constant("i64", [], [t])], { axis: 0 }));
      const results = graph.inline(body, [...state, ...slices, ...captured]);
      state = results.slice(0, carries);
      results.slice(carries).forEach((name, i) => {
        rows[i][t] = graph.node("Unsqueeze", [name, graph.constant("i64", [1], [0])]);
      });
    }
    return [...state, ...rows.map((parts) => joined(graph, parts))];
  }

  reference(inputs: readonly HostTensor[], _: Attributes, types: readonly TensorType[]): readonly HostTensor[] {
    const { carries, sequences, reverse } = this.layout;
    const [body] = this.bodies;
    const length = inputs[carries].shape[0];
    const state = [...inputs.slice(0, carries)];
    const stacked = types.slice(carries).map((type) => hostTensor(type.shape));
    for (let step = 0; step < length; step++) {
      const t = reverse ? length - 1 - step : step;
      const numbers = body.inputs.map((formal, i): HostTensor => {
        if (i < carries) return state[i];
        return i < carries + sequences ? sliceOf(inputs[i], t, formal.shape as number[]) : inputs[i];
      });
      const results = evaluate(body.outputs, new Map(body.inputs.map((formal, i) => [formal, numbers[i]])));
      results.slice(0, carries).forEach((value, i) => {
        state[i] = value;
      });
      results.slice(carries).forEach((value, i) => {
        stacked[i].data.set(value.data, t * value.data.length);
      });
    }
    return [...state, ...stacked];
  }

  gradient(node: Node, dys: readonly (Value | undefined)[]): readonly (Value | undefined)[] {
    return this.backward(this, node, dys);
  }
}

/**
 * So many nodes may take the place of a scan on WebGPU, where the loop itself runs on the CPU and copies what it
 * carries at every step.
 */
const UNROLLED_NODES = 10_000;
/** A shader of WebGPU has at most eight buffers where nothing else is asked for. */
const JOINED_AT_ONCE = 7;

/** Parts behind one another along the first axis. */
function joined(graph: Lowering, parts: readonly string[]): string {
  if (parts.length <= 1) return parts[0];
  const groups: string[] = [];
  for (let i = 0; i < parts.length; i += JOINED_AT_ONCE) {
    const group = parts.slice(i, i + JOINED_AT_ONCE);
    groups.push(group.length > 1 ? graph.node("Concat", group, { axis: 0 }) : group[0]);
  }
  return joined(graph, groups);
}

function sliceOf(sequence: HostTensor, t: number, shape: readonly number[]): HostTensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return hostTensor(shape, sequence.data.subarray(t * size, (t + 1) * size));
}

/** An error about what a scan is given. */
export function misfit(expected: string, received: string): ShapeError {
  return new ShapeError({
    where: "scan",
    expected,
    received,
    fix: "give the body's results the shapes and dtypes of what they replace",
  });
}
