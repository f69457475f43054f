import { isFloat, ShapeError } from "../base/index.ts";
import { describe, type Graph, Node, PlaceholderOp, type TensorType, type Value } from "../ir/index.ts";
import {
  apply,
  currentScope,
  defineOp,
  evaluate,
  type HostTensor,
  hostTensor,
  type Lowering,
  type OpEntry,
} from "../ops/index.ts";
import { inlineGraph, traceBody } from "./body.ts";
import { pullBack } from "./reverse.ts";

type CallGradient = (op: CallOp, node: Node, dys: readonly (Value | undefined)[]) => readonly (Value | undefined)[];

/** A graph as one op with a gradient of its own. It is inlined before lowering. */
class CallOp implements OpEntry {
  readonly name: string;
  readonly bodies: readonly [Graph];
  private readonly backward: CallGradient;
  readonly batch = "oneByOne";
  readonly precision = "f32";

  constructor(name: string, body: Graph, backward: CallGradient) {
    this.name = name;
    this.bodies = [body];
    this.backward = backward;
  }
  withBodies([body]: readonly Graph[]): CallOp {
    return new CallOp(this.name, body, this.backward);
  }
  withCaptured(bodies: readonly Graph[], inputs: readonly Value[], captured: readonly Value[]) {
    return { op: this.withBodies(bodies), inputs: [...inputs, ...captured] };
  }
  inferTypes(): readonly TensorType[] {
    return this.bodies[0].outputs;
  }
  expand(inputs: readonly Value[]): readonly Value[] {
    return inlineGraph(this.bodies[0], inputs);
  }
  lower(graph: Lowering, inputs: readonly string[]): readonly string[] {
    return graph.inline(this.bodies[0], inputs);
  }
  reference(inputs: readonly HostTensor[]): readonly HostTensor[] {
    const [body] = this.bodies;
    return evaluate(body.outputs, new Map(body.inputs.map((formal, i) => [formal, inputs[i]] as const)));
  }
  gradient(node: Node, dys: readonly (Value | undefined)[]): readonly (Value | undefined)[] {
    return this.backward(this, node, dys);
  }
}

function call(
  name: string,
  inputs: readonly Value[],
  fn: (...inputs: Value[]) => readonly Value[],
  backward: CallGradient,
): Value[] {
  const { graph, captured } = traceBody(inputs, fn);
  const op = new CallOp(name, graph, backward);
  return [...new Node(op, [...inputs, ...captured], {}, op.inferTypes(), currentScope()).outputs];
}

/**
 * x, to be had only after `after` is computed. The runtime would otherwise compute again right away and keep the
 * results.
 */
const afterEntry: OpEntry = defineOp({
  name: "after",
  precision: "f32",
  batch: "axes",
  inputs: ["x", "after"],
  infer: ({ x }) => x,
  gradient: ({ dy }) => ({ x: dy }),
  // a reshape to a shape that, formally, depends on `after`: none of its elements joins the sizes
  lower: (graph, { x, after }, _, node) => {
    const i64 = (values: readonly number[]) => graph.constant("i64", [values.length], values);
    const flat = graph.node("Reshape", [after, i64([-1])]);
    const nothing = graph.node("Cast", [graph.node("Slice", [flat, i64([0]), i64([0]), i64([0])])], { to: 7 });
    return graph.node("Reshape", [x, graph.node("Concat", [nothing, graph.sizes(node.inputs[0].shape)], { axis: 0 })], {
      allowzero: 1,
    });
  },
  isView: true,
  reference: ({ x }) => hostTensor(x.shape, x.data),
});

/**
 * The same values as fn(...inputs), but what fn computes inside is not kept for the gradient: it is computed again when
 * the gradient is. Costs another forward pass of fn, saves its memory. Chen et al. 2016, arXiv:1604.06174.
 */
export function checkpoint(fn: (...inputs: Value[]) => readonly Value[], inputs: readonly Value[]): Value[] {
  return call("checkpoint", inputs, fn, (op, node, dys) => {
    const trigger = dys.find((dy) => dy !== undefined) as Value;
    const late = node.inputs.map((input) => (isFloat(input.dtype) ? apply(afterEntry, [input, trigger]) : input));
    return leavesFirst(node, pullBack(inlineGraph(op.bodies[0], late), dys, late));
  });
}

/**
 * The gradients of what was computed before, to be had only after those of leaves such as weights: what was computed
 * again is then needed no longer. The runtime would otherwise go back through all of the graph first.
 */
function leavesFirst({ inputs }: Node, gradients: readonly (Value | undefined)[]): readonly (Value | undefined)[] {
  const isLeaf = (i: number) => inputs[i].node.op instanceof PlaceholderOp;
  const ofLeaves = gradients.filter((gradient, i): gradient is Value => gradient !== undefined && isLeaf(i));
  return gradients.map((gradient, i) =>
    gradient && !isLeaf(i) ? ofLeaves.reduce((x, leaf) => apply(afterEntry, [x, leaf]), gradient) : gradient,
  );
}

/** What the gradient of a `customGradient` is computed from. */
export interface CustomGradient {
  /** The function's inputs. */
  inputs: readonly Value[];
  /** Its results. */
  outputs: readonly Value[];
  /** Cotangents of the outputs; undefined for those that do not influence the loss. */
  dys: readonly (Value | undefined)[];
}

/**
 * The values of fn(...inputs) with a gradient given by hand: one for each input, undefined for none. Tensors that fn
 * uses without their being inputs get no gradient.
 */
export function customGradient(
  fn: (...inputs: Value[]) => readonly Value[],
  inputs: readonly Value[],
  backward: (values: CustomGradient) => readonly (Value | undefined)[],
): Value[] {
  return call("customGradient", inputs, fn, (_, node, dys) => {
    const operands = node.inputs.slice(0, inputs.length);
    const gradients = backward({ inputs: operands, outputs: node.outputs, dys });
    gradients.forEach((gradient, i) => {
      if (!gradient || String(gradient.shape) === String(operands[i].shape)) return;
      throw new ShapeError({
        where: "customGradient",
        expected: `gradient ${i} of ${describe(operands[i])}`,
        received: describe(gradient),
        fix: "sum over broadcast axes",
      });
    });
    return gradients;
  });
}
