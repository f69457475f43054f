import { isFloat, ShapeError } from "../base/index.ts";
import { describe, type Graph, Node, shapesEqual, type TensorType, type Value } from "../ir/index.ts";
import {
  broadcastTo,
  currentScope,
  evaluate,
  type HostTensor,
  type Lowering,
  type OpEntry,
  scalar,
} from "../ops/index.ts";
import { inlineGraph, traceBody } from "./body.ts";
import { pullBack } from "./reverse.ts";

function misfit(where: string, expected: string, received: string): ShapeError {
  return new ShapeError({ where, expected, received, fix: "check the functions that are passed" });
}

const sameTypes = (a: readonly TensorType[], b: readonly TensorType[]) =>
  a.length === b.length && a.every((type, i) => type.dtype === b[i].dtype && shapesEqual(type.shape, b[i].shape));

type Pair<T> = readonly [T, T];

/** A choice between two graphs. Inputs: the condition, the operands of both, what each captures besides. */
class CondOp implements OpEntry {
  readonly name = "cond";
  readonly bodies: Pair<Graph>;
  readonly operands: number;
  readonly batch = "oneByOne";
  readonly precision = "f32";

  constructor(bodies: Pair<Graph>, operands: number) {
    this.bodies = bodies;
    this.operands = operands;
  }
  withBodies([thenBody, elseBody]: readonly Graph[]): CondOp {
    return new CondOp([thenBody, elseBody], this.operands);
  }
  withCaptured(bodies: readonly Graph[], inputs: readonly Value[], captured: readonly Value[]) {
    const middle = 1 + this.bodies[0].inputs.length;
    return {
      op: this.withBodies(bodies),
      inputs: [...inputs.slice(0, middle), ...captured, ...inputs.slice(middle), ...captured],
    };
  }

  inferTypes([condition]: readonly TensorType[]): readonly TensorType[] {
    if (condition.dtype !== "bool" || condition.shape.length !== 0)
      throw misfit("cond", "a bool scalar as the condition", describe(condition));
    const [a, b] = this.bodies.map(({ outputs }) => outputs);
    if (!sameTypes(a, b))
      throw misfit(
        "cond",
        "both branches to give values of the same types",
        `${a.map(describe)} and ${b.map(describe)}`,
      );
    return a;
  }

  /** What each branch is given, of a list with one element for each input. */
  private inputsOf<T>(inputs: readonly T[]): Pair<T[]> {
    const shared = inputs.slice(1, 1 + this.operands);
    const middle = 1 + this.bodies[0].inputs.length;
    return [inputs.slice(1, middle), [...shared, ...inputs.slice(middle)]];
  }

  lower(graph: Lowering, inputs: readonly string[], node: Node): readonly string[] {
    const [thenNames, elseNames] = this.inputsOf(inputs);
    const bodies = {
      then_branch: { graph: this.bodies[0], captured: thenNames },
      else_branch: { graph: this.bodies[1], captured: elseNames },
    };
    return graph.withBodies("If", [inputs[0]], node.outputs.length, bodies);
  }

  reference(inputs: readonly HostTensor[]): readonly HostTensor[] {
    const branch = inputs[0].data[0] !== 0 ? 0 : 1;
    const body = this.bodies[branch];
    return evaluate(
      body.outputs,
      new Map(this.inputsOf(inputs)[branch].map((value, i) => [body.inputs[i], value] as const)),
    );
  }

  /** The chosen branch is computed again and differentiated; what only the other one uses gets 0. */
  gradient(node: Node, dys: readonly (Value | undefined)[]): readonly (Value | undefined)[] {
    const [condition, ...sources] = node.inputs;
    const targets = sources.flatMap((source, i) => (isFloat(source.dtype) ? [i] : []));
    const definedDys = dys.filter((dy) => dy !== undefined);
    const branch = (chosen: 0 | 1) => (operands: readonly Value[]) => {
      const upstream = operands.slice(sources.length).values();
      const cotangents = dys.map((dy) => dy && (upstream.next().value as Value));
      const inputs = this.inputsOf([condition, ...operands.slice(0, sources.length)])[chosen];
      const inputIndices = new Map(inputs.map((input, i) => [input, i] as const));
      const gradients = pullBack(inlineGraph(this.bodies[chosen], inputs), cotangents, inputs);
      return targets.map((i) => {
        const at = inputIndices.get(operands[i]);
        return (
          (at === undefined ? undefined : gradients[at]) ?? broadcastTo(scalar(0, operands[i].dtype), operands[i].shape)
        );
      });
    };
    const gradients = cond(condition, [...sources, ...definedDys], branch(0), branch(1)).values();
    return [
      undefined,
      ...sources.map((source) => (isFloat(source.dtype) ? (gradients.next().value as Value) : undefined)),
    ];
  }
}

/**
 * The values of one of two functions of the operands; only the chosen one runs. condition: bool []. Both give values of
 * the same types. What does not depend on the operands is computed before. For a choice between elements use `where`.
 */
export function cond(
  condition: Value,
  operands: readonly Value[],
  thenBranch: (operands: Value[]) => readonly Value[],
  elseBranch: (operands: Value[]) => readonly Value[],
): Value[] {
  const [thenBody, elseBody] = [thenBranch, elseBranch].map((branch) =>
    traceBody(operands, (...inputs) => branch(inputs)),
  );
  const op = new CondOp([thenBody.graph, elseBody.graph], operands.length);
  const inputs = [condition, ...operands, ...thenBody.captured, ...elseBody.captured];
  return [...new Node(op, inputs, {}, op.inferTypes(inputs), currentScope()).outputs];
}

/** A loop with a condition. Inputs: the initial state, what the condition captures, what the body captures. */
class WhileOp implements OpEntry {
  readonly name = "whileLoop";
  /** The condition, then the body. */
  readonly bodies: Pair<Graph>;
  readonly state: number;
  readonly batch = "oneByOne";
  readonly precision = "f32";

  constructor(bodies: Pair<Graph>, state: number) {
    this.bodies = bodies;
    this.state = state;
  }
  withBodies([condition, body]: readonly Graph[]): WhileOp {
    return new WhileOp([condition, body], this.state);
  }
  withCaptured(bodies: readonly Graph[], inputs: readonly Value[], captured: readonly Value[]) {
    const middle = this.bodies[0].inputs.length;
    return {
      op: this.withBodies(bodies),
      inputs: [...inputs.slice(0, middle), ...captured, ...inputs.slice(middle), ...captured],
    };
  }

  inferTypes(inputs: readonly TensorType[]): readonly TensorType[] {
    const state = inputs.slice(0, this.state);
    const [condition, body] = this.bodies;
    const [answer] = condition.outputs;
    if (answer.dtype !== "bool" || answer.shape.length !== 0)
      throw misfit("whileLoop", "a bool scalar from the condition", describe(answer));
    if (!sameTypes(state, body.outputs))
      throw misfit(
        "whileLoop",
        `the body to keep the types ${state.map(describe)}`,
        String(body.outputs.map(describe)),
      );
    return state;
  }

  private split<T>(inputs: readonly T[]): { state: T[]; captured: Pair<T[]> } {
    const middle = this.bodies[0].inputs.length;
    return { state: inputs.slice(0, this.state), captured: [inputs.slice(this.state, middle), inputs.slice(middle)] };
  }

  // ONNX's Loop asks its condition once before the first step, and then takes it from the body
  lower(graph: Lowering, inputs: readonly string[]): readonly string[] {
    const { state, captured } = this.split(inputs);
    const [condition, body] = this.bodies;
    const [first] = graph.inline(condition, [...state, ...captured[0]]);
    const lowered = {
      graph: body,
      captured: captured[1],
      extraInputs: ["i64", "bool"] as const,
      condition: (outputs: readonly string[]) => graph.inline(condition, [...outputs, ...captured[0]])[0],
    };
    return graph.withBodies("Loop", ["", first, ...state], this.state, { body: lowered });
  }

  reference(inputs: readonly HostTensor[]): readonly HostTensor[] {
    const { state, captured } = this.split(inputs);
    const run = (which: 0 | 1) => {
      const graph = this.bodies[which];
      return evaluate(
        graph.outputs,
        new Map([...state, ...captured[which]].map((value, i) => [graph.inputs[i], value] as const)),
      );
    };
    while (run(0)[0].data[0] !== 0) state.splice(0, state.length, ...run(1));
    return state;
  }

  gradient(): never {
    throw misfit(
      "gradient of whileLoop",
      "a loop whose number of steps is known",
      "whileLoop, for inference only; use scan to train",
    );
  }
}

/** Repeats state = body(state) while condition(state), which gives a bool []. For inference: it has no gradient. */
export function whileLoop(
  condition: (state: Value[]) => Value,
  body: (state: Value[]) => readonly Value[],
  init: readonly Value[],
): Value[] {
  const asked = traceBody(init, (...state) => [condition(state)]);
  const step = traceBody(init, (...state) => body(state));
  const op = new WhileOp([asked.graph, step.graph], init.length);
  const inputs = [...init, ...asked.captured, ...step.captured];
  return [...new Node(op, inputs, {}, op.inferTypes(inputs), currentScope()).outputs];
}
