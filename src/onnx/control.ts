/** Branches, loops and recurrent layers. */
import { cond, scan, whileLoop } from "../autodiff/index.ts";
import { placeholder, substitute, type Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { type Converter, type Converters, constantNumbers, constantOf, type OnnxNode } from "./context.ts";

/** A condition that is known takes its branch; both may then have results of different shapes. */
const branch: Converter = (node) => {
  const condition = node.input(0);
  const known = constantNumbers(condition);
  if (known) return node.convertGraph(node.graph(known[0] ? "then_branch" : "else_branch"), []);
  const flat = condition.shape.length === 0 ? condition : ops.reshape(condition, []);
  return cond(
    flat,
    [],
    () => node.convertGraph(node.graph("then_branch"), []),
    () => node.convertGraph(node.graph("else_branch"), []),
  );
};

/** A loop over slices of the first axis of its last inputs. */
const scanNode: Converter = (node) => {
  const body = node.graph("body");
  const sequences = node.int("num_scan_inputs", 1);
  const carries = node.presentInputs.length - sequences;
  const directions = [...node.ints("scan_input_directions", []), ...node.ints("scan_output_directions", [])];
  const axes = [...node.ints("scan_input_axes", []), ...node.ints("scan_output_axes", [])];
  if (directions.some((direction) => direction !== directions[0]) || axes.some((axis) => axis !== 0)) {
    throw node.fail("sequences along axis 0, all in one direction", "others");
  }
  const { carry, ys } = scan(
    (state, xs) => {
      const results = node.convertGraph(body, [...state, ...xs]);
      return { carry: results.slice(0, carries), ys: results.slice(carries) };
    },
    { init: node.presentInputs.slice(0, carries), xs: node.presentInputs.slice(carries), reverse: directions[0] === 1 },
  );
  return [...carry, ...ys];
};

/**
 * A loop of a known number of steps is a scan, which can be trained; one that ends by a condition is for inference.
 * Inputs: most steps, condition, state. The body's: number of the step, condition, state.
 */
const loop: Converter = (node) => {
  const body = node.graph("body");
  const init = node.inputs.slice(2).map((_, i) => node.input(i + 2));
  const [most, first] = [node.inputs[0], node.inputs[1]];
  const steps = most && constantNumbers(most)?.[0];
  const yes = constantOf("bool", [], [1]);
  // converted once, for any step and state; where the body runs, the condition is true
  const formals = [
    placeholder("step", { dtype: "i64", shape: [] }),
    ...init.map((value, i) => placeholder(`state${i}`, value)),
  ];
  const converted = node.convertGraph(body, [formals[0], yes, ...formals.slice(1)]);
  const results = (step: Value, state: readonly Value[]) =>
    substitute(converted, new Map([step, ...state].map((value, i) => [formals[i], value] as const)));
  const isAlways = (value: Value | undefined) => !value || constantNumbers(value)?.[0] === 1;
  if (steps !== undefined && isAlways(first) && isAlways(converted[0])) {
    const { carry, ys } = scan(
      (state, [step]) => {
        const [, ...next] = results(step, state);
        return { carry: next.slice(0, init.length), ys: next.slice(init.length) };
      },
      { init, xs: [ops.arange(steps, "i64")] },
    );
    return [...carry, ...ys];
  }
  if (converted.length > 1 + init.length)
    throw node.fail("a known number of steps where the steps' results are collected", "one that depends on data");
  const scalarOf = (value: Value) => ops.reshape(value, []);
  const [, , ...last] = whileLoop(
    ([step, go]) => (most ? ops.logicalAnd(go, ops.less(step, scalarOf(most))) : go),
    ([step, , ...state]) => {
      const [next, ...carried] = results(step, state);
      return [ops.add(step, 1), scalarOf(next), ...carried];
    },
    [ops.scalar(0, "i64"), first ? scalarOf(first) : yes, ...init],
  );
  return last;
};

const activations: Readonly<Record<string, (x: Value) => Value>> = {
  sigmoid: ops.sigmoid,
  tanh: ops.tanh,
  relu: ops.relu,
};

interface Direction {
  /** [gates H, I], [gates H, H] and [gates H] twice: input and recurrent bias. */
  weight: Value;
  recurrent: Value;
  inputBias: Value;
  recurrentBias: Value;
  functions: ((x: Value) => Value)[];
  reverse: boolean;
  /** 0 for the forward, 1 for the backward one. */
  index: number;
}

/** What the three recurrent operators share: layouts, directions, biases and initial states. */
function recurrent(
  node: OnnxNode,
  gates: number,
  functions: string[],
  states: number,
  step: (d: Direction, projected: Value, state: Value[]) => Value[],
): Value[] {
  // layout 1 has the batch in front everywhere
  const isBatchFirst = node.int("layout", 0) === 1;
  if (node.float("clip", 0) !== 0) throw node.fail("no clip", "clip");
  const [weights, recurrents, biases] = [node.input(1), node.input(2), node.inputs[3]];
  const x = isBatchFirst ? ops.swapAxes(node.input(0), 0, 1) : node.input(0);
  const hidden = node.int("hidden_size", 0);
  const [steps, batch] = x.shape as number[];
  const lengths = node.inputs[4]; // i32 [B]
  const direction = node.text("direction", "forward");
  const count = direction === "bidirectional" ? 2 : 1;
  const names = node
    .texts("activations", Array.from({ length: count }, () => functions).flat())
    .map((name) => name.toLowerCase());
  const unknown = names.find((name) => !(name in activations));
  if (unknown) throw node.fail("sigmoid, tanh or relu", unknown);
  const initial = (index: number, d: number) => {
    const stored = node.inputs[index];
    const states = stored && isBatchFirst ? ops.swapAxes(stored, 0, 1) : stored;
    return states
      ? ops.squeeze(ops.slice(states, { axis: 0, start: d, end: d + 1 }), 0)
      : ops.broadcastTo(ops.scalar(0, x.dtype), [batch, hidden]);
  };
  const part = (value: Value, d: number) => ops.squeeze(ops.slice(value, { axis: 0, start: d, end: d + 1 }), 0);
  const runs = Array.from({ length: count }, (_, d) => {
    const bias = biases ? part(biases, d) : ops.broadcastTo(ops.scalar(0, x.dtype), [2 * gates * hidden]);
    const [inputBias, recurrentBias] = ops.split(bias, 2, 0);
    const direction_: Direction = {
      weight: part(weights, d),
      recurrent: part(recurrents, d),
      inputBias,
      recurrentBias,
      functions: names.slice(d * functions.length, (d + 1) * functions.length).map((name) => activations[name]),
      reverse: direction === "reverse" || d === 1,
      index: d,
    };
    // the inputs' part of all steps is one product
    const projected = ops.linear(x, direction_.weight, direction_.inputBias, { transposeB: true });
    const init = Array.from({ length: states }, (_, i) => initial(5 + i, d));
    const { carry, ys } = scan(
      (state, [input, time]) => {
        const next = step(direction_, input, state);
        if (!lengths) return { carry: next, ys: [next[0]] };
        // after the end of a sequence its state stays, and its output is 0
        const isInside = ops.unsqueeze(ops.less(time, lengths), 1);
        return {
          carry: next.map((value, i) => ops.where(isInside, value, state[i])),
          ys: [ops.where(isInside, next[0], 0)],
        };
      },
      { init, xs: [projected, ops.arange(steps, "i32")], reverse: direction_.reverse },
    );
    return { y: ys[0], last: carry };
  });
  // [T, directions, B, H], and [directions, B, H] of each state
  const y = ops.stack(
    runs.map((run) => run.y),
    1,
  );
  const last = Array.from({ length: states }, (_, i) => ops.stack(runs.map((run) => run.last[i])));
  return isBatchFirst
    ? [ops.transpose(y, [2, 0, 1, 3]), ...last.map((state) => ops.swapAxes(state, 0, 1))]
    : [y, ...last];
}

const recur = (d: Direction, h: Value) => ops.linear(h, d.recurrent, d.recurrentBias, { transposeB: true });

/** Gates in ONNX's order: input, output, forget, cell. Hochreiter and Schmidhuber 1997; Gers et al. 2000. */
const lstm: Converter = (node) => {
  const peepholes = node.inputs[7]; // [directions, 3 H]: how gates see the cell
  return recurrent(node, 4, ["sigmoid", "tanh", "tanh"], 2, (d, projected, [h, c]) => {
    const [input, output, forget, cell] = ops.split(ops.add(projected, recur(d, h)), 4, -1);
    const [gate, candidate, squash] = d.functions;
    const [pi, po, pf] = peepholes
      ? ops.split(ops.slice(peepholes, { axis: 0, start: d.index, end: d.index + 1 }), 3, -1)
      : [];
    const seen = (x: Value, weight: Value | undefined, state: Value) =>
      gate(weight ? ops.add(x, ops.mul(state, weight)) : x);
    const next = ops.add(ops.mul(seen(forget, pf, c), c), ops.mul(seen(input, pi, c), candidate(cell)));
    return [ops.mul(seen(output, po, next), squash(next)), next];
  });
};

/** Gates in ONNX's order: update, reset, hidden. Cho et al. 2014, arXiv:1406.1078. */
const gru: Converter = (node) => {
  const isLinearFirst = node.flag("linear_before_reset");
  return recurrent(node, 3, ["sigmoid", "tanh"], 1, (d, projected, [h]) => {
    const [gate, candidate] = d.functions;
    const [xz, xr, xh] = ops.split(projected, 3, -1);
    const [rz, rr, rh] = ops.split(d.recurrent, 3, 0);
    const [bz, br, bh] = ops.split(d.recurrentBias, 3, 0);
    const z = gate(ops.add(xz, ops.linear(h, rz, bz, { transposeB: true })));
    const r = gate(ops.add(xr, ops.linear(h, rr, br, { transposeB: true })));
    const memory = isLinearFirst
      ? ops.mul(r, ops.linear(h, rh, bh, { transposeB: true }))
      : ops.linear(ops.mul(r, h), rh, bh, { transposeB: true });
    const fresh = candidate(ops.add(xh, memory));
    return [ops.add(ops.mul(ops.sub(1, z), fresh), ops.mul(z, h))];
  });
};

const rnn: Converter = (node) =>
  recurrent(node, 1, ["tanh"], 1, (d, projected, [h]) => [d.functions[0](ops.add(projected, recur(d, h)))]);

export const control: Converters = { If: branch, Loop: loop, Scan: scanNode, LSTM: lstm, GRU: gru, RNN: rnn };
