/** Shapes, parts, positions and reductions. */
import { normalizeAxis, type Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { type Converter, type Converters, constantOf, constantTensor, type OnnxNode, shapeOf } from "./context.ts";
import { dtypeOf } from "./tensors.ts";

/** Numbers that are an attribute in old versions and an input in newer ones. */
function listed(node: OnnxNode, name: string, index: number): number[] | undefined {
  return node.ints(name, undefined) ?? node.constant(index);
}

type Reduce = (x: Value, options: ops.ReduceOptions) => Value;
const reduction =
  (op: Reduce): Converter =>
  (node) => {
    const axes = listed(node, "axes", 1);
    if ((axes === undefined || axes.length === 0) && node.flag("noop_with_empty_axes"))
      return op(node.input(0), { axes: [] });
    return op(node.input(0), { axes: axes?.length ? axes : undefined, keepDims: node.flag("keepdims", 1) });
  };
const logSum: Reduce = (x, options) => ops.log(ops.sum(x, options));
const sumSquare: Reduce = (x, options) => ops.sum(ops.square(x), options);
const boolean =
  (op: Reduce, ofBools: Reduce): Reduce =>
  (x, options) =>
    (x.dtype === "bool" ? ofBools : op)(x, options);

const argReduction =
  (op: (x: Value, options: ops.ArgOptions) => Value): Converter =>
  (node) => {
    const x = node.input(0);
    const axis = normalizeAxis(node.name, node.int("axis", 0), x.shape.length);
    const options = { axis, keepDims: node.flag("keepdims", 1) };
    if (!node.flag("select_last_index")) return op(x, options);
    return ops.sub(shapeOf(x)[axis] - 1, op(ops.flip(x, axis), options));
  };

const reshape: Converter = (node) => {
  const [x, target] = [node.input(0), node.ints("shape", undefined) ?? node.required(1)];
  const keepsZero = node.flag("allowzero");
  return ops.reshape(
    x,
    target.map((size, i) => (size === 0 && !keepsZero ? shapeOf(x)[i] : size)),
  );
};

const flatten: Converter = (node) => {
  const x = node.input(0);
  const signed = node.int("axis", 1);
  const axis = signed < 0 ? signed + x.shape.length : signed;
  const rows = shapeOf(x)
    .slice(0, axis)
    .reduce((a, b) => a * b, 1);
  return ops.reshape(x, [
    rows,
    shapeOf(x)
      .slice(axis)
      .reduce((a, b) => a * b, 1),
  ]);
};

const slice: Converter = (node) => {
  const x = node.input(0);
  const [starts, ends] = [listed(node, "starts", 1) ?? [], listed(node, "ends", 2) ?? []];
  const axes = listed(node, "axes", 3) ?? starts.map((_, i) => i);
  const steps = node.constant(4) ?? starts.map(() => 1);
  return axes.reduce((cut, signed, i) => {
    const axis = normalizeAxis(node.name, signed, x.shape.length);
    const size = shapeOf(cut)[axis];
    const clamp = (index: number, low: number, high: number) =>
      Math.min(high, Math.max(low, index < 0 ? index + size : index));
    const step = steps[i];
    if (step > 0) return ops.slice(cut, { axis, start: clamp(starts[i], 0, size), end: clamp(ends[i], 0, size), step });
    // an end before the first element is -size - 1 to us
    const end = clamp(ends[i], -1, size - 1);
    return ops.slice(cut, { axis, start: clamp(starts[i], 0, size - 1), end: end < 0 ? -size - 1 : end, step });
  }, x);
};

const split: Converter = (node) => {
  const x = node.input(0);
  const axis = normalizeAxis(node.name, node.int("axis", 0), x.shape.length);
  const sizes = listed(node, "split", 1);
  if (sizes) return ops.splitSizes(x, sizes, axis);
  const parts = node.within("onnxParts", node.int("num_outputs", node.proto.output.length), "outputs");
  if (parts < 1) throw node.fail("num_outputs of at least 1", `${parts}`);
  const size = Math.ceil(shapeOf(x)[axis] / parts);
  return ops.splitSizes(
    x,
    Array.from({ length: parts }, (_, i) => Math.max(0, Math.min(size, shapeOf(x)[axis] - i * size))),
    axis,
  );
};

const expand: Converter = (node) => {
  const [x, target] = [node.input(0), node.required(1)];
  const rank = Math.max(x.shape.length, target.length);
  const at = (shape: readonly number[], i: number) => shape[shape.length - rank + i] ?? 1;
  return ops.broadcastTo(
    x,
    Array.from({ length: rank }, (_, i) => (at(target, i) === 1 ? at(shapeOf(x), i) : at(target, i))),
  );
};

const modes = { constant: "constant", reflect: "reflect", edge: "replicate", wrap: "circular" } as const;
const pad: Converter = (node) => {
  const x = node.input(0);
  const pads = listed(node, "pads", 1) ?? [];
  const axes = (node.constant(3) ?? x.shape.map((_, i) => i)).map((axis) =>
    normalizeAxis(node.name, axis, x.shape.length),
  );
  const value = node.opset < 11 ? node.float("value", 0) : (node.constant(2)?.[0] ?? 0);
  const mode = modes[node.text("mode", "constant") as keyof typeof modes];
  if (!mode) throw node.fail("a mode of constant, reflect, edge or wrap", node.text("mode", ""));
  const pairs = x.shape.map(
    (_, axis) => [pads[axes.indexOf(axis)] ?? 0, pads[axes.indexOf(axis) + axes.length] ?? 0] as const,
  );
  const used = pairs.map((pair, axis) => (axes.includes(axis) ? pair : ([0, 0] as const)));
  // negative pads cut away
  const cut = used.reduce(
    (rest, [before, after], axis) =>
      ops.slice(rest, { axis, start: Math.max(0, -before), end: shapeOf(x)[axis] - Math.max(0, -after) }),
    x,
  );
  return ops.pad(
    cut,
    used.map(([before, after]) => [Math.max(0, before), Math.max(0, after)] as const),
    { mode, value },
  );
};

/** Positions in the first axes, flattened. */
function flatPositions(x: Value, indices: Value): { flat: Value; positions: Value } {
  const depth = shapeOf(indices)[indices.shape.length - 1];
  const [outer, inner] = [shapeOf(x).slice(0, depth), shapeOf(x).slice(depth)];
  const strides = outer.map((_, i) => outer.slice(i + 1).reduce((a, b) => a * b, 1));
  const wrapped = ops.where(
    ops.less(indices, 0),
    ops.add(indices, ops.cast(ops.vector(outer), indices.dtype)),
    indices,
  );
  const positions = ops.sum(ops.mul(wrapped, ops.cast(ops.vector(strides), indices.dtype)), { axes: -1 });
  return { flat: ops.reshape(x, [outer.reduce((a, b) => a * b, 1), ...inner]), positions };
}

const gatherNd: Converter = (node) => {
  const batch = node.int("batch_dims", 0);
  const gather = (x: Value, indices: Value) => {
    const { flat, positions } = flatPositions(x, indices);
    return ops.gather(flat, positions, 0);
  };
  const [x, indices] = [node.input(0), node.input(1)];
  if (batch === 0) return gather(x, indices);
  const lead = shapeOf(x).slice(0, batch);
  const count = lead.reduce((a, b) => a * b, 1);
  node.within("onnxParts", count, "batches");
  const [xs, is] = [x, indices].map((value) =>
    ops.unstack(ops.reshape(value, [count, ...shapeOf(value).slice(batch)])),
  );
  const rows = ops.stack(xs.map((row, i) => gather(row, is[i])));
  return ops.reshape(rows, [...lead, ...shapeOf(rows).slice(1)]);
};

const scatterNd: Converter = (node) => {
  const [x, indices, updates] = [node.input(0), node.input(1), node.input(2)];
  const { flat, positions } = flatPositions(x, indices);
  const reduction = node.text("reduction", "none");
  const rows = ops.reshape(positions, [-1]);
  const values = ops.reshape(updates, [shapeOf(rows)[0], ...shapeOf(flat).slice(1)]);
  if (reduction === "add") return ops.reshape(ops.indexAdd(flat, rows, values), x.shape);
  if (reduction !== "none") throw node.fail("reduction none or add", reduction);
  const column = ops.reshape(rows, [
    shapeOf(rows)[0],
    ...shapeOf(flat)
      .slice(1)
      .map(() => 1),
  ]);
  return ops.reshape(ops.scatter(flat, ops.broadcastTo(column, values.shape), values, 0), x.shape);
};

const scatterElements: Converter = (node) => {
  const [x, indices, updates] = [node.input(0), node.input(1), node.input(2)];
  const reduction = node.text("reduction", "none");
  if (reduction !== "none" && reduction !== "add") throw node.fail("reduction none or add", reduction);
  const part = indices.shape.reduce((rest, size, axis) => ops.slice(rest, { axis, end: size as number }), updates);
  return (reduction === "add" ? ops.scatterAddAlong : ops.scatter)(x, indices, part, node.int("axis", 0));
};

const oneHot: Converter = (node) => {
  const [indices, [depth], values] = [node.input(0), node.required(1), node.input(2)];
  const axis = node.int("axis", -1);
  const whole = ops.cast(indices, "i64");
  const wrapped = ops.where(ops.less(whole, 0), ops.add(whole, depth), whole);
  const hot = ops.cast(ops.oneHot(wrapped, depth, "f32"), "bool");
  if (values.shape.length !== 1 || values.shape[0] !== 2)
    throw node.fail("two values, off and on", `a shape of [${values.shape}]`);
  const [off, on] = ops.unstack(values);
  return ops.moveAxis(ops.where(hot, on, off), -1, axis);
};

const depthToSpace: Converter = (node) => {
  const [n, c, h, w] = shapeOf(node.input(0));
  const r = node.int("blocksize", 1);
  if (node.text("mode", "DCR") === "CRD") return ops.pixelShuffle(node.input(0), r);
  const cut = ops.reshape(node.input(0), [n, r, r, c / (r * r), h, w]);
  return ops.reshape(ops.transpose(cut, [0, 3, 4, 1, 5, 2]), [n, c / (r * r), h * r, w * r]);
};
const spaceToDepth: Converter = (node) => {
  const [n, c, h, w] = shapeOf(node.input(0));
  const r = node.int("blocksize", 1);
  if (node.text("mode", "DCR") === "CRD") return ops.pixelUnshuffle(node.input(0), r);
  const cut = ops.reshape(node.input(0), [n, c, h / r, r, w / r, r]);
  return ops.reshape(ops.transpose(cut, [0, 3, 5, 1, 2, 4]), [n, c * r * r, h / r, w / r]);
};

const range: Converter = (node) => {
  const [[start], [limit], [delta]] = [node.required(0), node.required(1), node.required(2)];
  const count = node.within("onnxConstantElements", Math.max(0, Math.ceil((limit - start) / delta)), "elements");
  return constantOf(
    node.input(0).dtype,
    [count],
    Array.from({ length: count }, (_, i) => start + i * delta),
  );
};

const constant: Converter = (node) => {
  const tensor = node.tensor("value");
  if (tensor) return constantTensor(node, tensor);
  const [float, floats] = [node.float("value_float", undefined), node.floats("value_floats", undefined)];
  if (float !== undefined) return constantOf("f32", [], [float]);
  if (floats) return constantOf("f32", [floats.length], floats);
  const [int, ints] = [node.int("value_int", undefined), node.ints("value_ints", undefined)];
  if (int !== undefined) return constantOf("i64", [], [int]);
  if (ints) return constantOf("i64", [ints.length], ints);
  throw node.fail("a value that is a tensor or numbers", "another");
};

const constantOfShape: Converter = (node) => {
  const proto = node.tensor("value");
  const value = proto ? ops.reshape(constantTensor(node, proto), []) : constantOf("f32", [], [0]);
  return ops.broadcastTo(value, node.required(0));
};

const eyeLike: Converter = (node) => {
  const x = node.input(0);
  const [rows, columns] = shapeOf(x);
  const code = node.int("dtype", undefined);
  const offset = node.int("k", 0);
  const mask = ops.equal(ops.sub(ops.arange(columns), ops.reshape(ops.arange(rows), [rows, 1])), offset);
  return ops.cast(mask, code === undefined ? x.dtype : dtypeOf(code, node.name));
};

const shape: Converter = (node) => {
  const sizes = shapeOf(node.input(0));
  const end = node.int("end", sizes.length);
  const part = sizes.slice(node.int("start", 0), end);
  return constantOf("i64", [part.length], part);
};

const trilu: Converter = (node) => {
  const diagonal = node.constant(1)?.[0] ?? 0;
  return (node.flag("upper", 1) ? ops.triu : ops.tril)(node.input(0), diagonal);
};

const axesOf = (node: OnnxNode) => listed(node, "axes", 1);

export const structure: Converters = {
  ReduceSum: reduction(ops.sum),
  ReduceMean: reduction(ops.mean),
  ReduceMax: reduction(boolean(ops.max, ops.any)),
  ReduceMin: reduction(boolean(ops.min, ops.all)),
  ReduceProd: reduction(ops.prod),
  ReduceL1: reduction((x, options) => ops.sum(ops.abs(x), options)),
  ReduceL2: reduction(ops.norm),
  ReduceLogSum: reduction(logSum),
  ReduceLogSumExp: reduction(ops.logSumExp),
  ReduceSumSquare: reduction(sumSquare),
  ArgMax: argReduction(ops.argmax),
  ArgMin: argReduction(ops.argmin),
  CumSum: (node) =>
    ops.cumsum(node.input(0), {
      axis: node.required(1)[0],
      exclusive: node.flag("exclusive"),
      reverse: node.flag("reverse"),
    }),
  TopK: (node) =>
    Object.values(
      ops.topk(node.input(0), node.int("k", undefined) ?? node.required(1)[0], {
        axis: node.int("axis", -1),
        largest: node.flag("largest", 1),
      }),
    ),
  Reshape: reshape,
  Flatten: flatten,
  Slice: slice,
  Split: split,
  Expand: expand,
  Pad: pad,
  GatherND: gatherNd,
  ScatterND: scatterNd,
  ScatterElements: scatterElements,
  Scatter: scatterElements,
  OneHot: oneHot,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  Range: range,
  Constant: constant,
  ConstantOfShape: constantOfShape,
  EyeLike: eyeLike,
  Shape: shape,
  Trilu: trilu,
  Size: (node) => constantOf("i64", [], [shapeOf(node.input(0)).reduce((a, b) => a * b, 1)]),
  Transpose: (node) => ops.transpose(node.input(0), node.ints("perm", undefined)),
  Squeeze: (node) => ops.squeeze(node.input(0), axesOf(node)),
  Unsqueeze: (node) => ops.unsqueeze(node.input(0), axesOf(node) ?? []),
  Concat: (node) => ops.concat(node.presentInputs, node.int("axis", 0)),
  Tile: (node) => ops.tile(node.input(0), node.required(1)),
  Gather: (node) => ops.gather(node.input(0), node.input(1), node.int("axis", 0)),
  GatherElements: (node) => ops.takeAlong(node.input(0), node.input(1), node.int("axis", 0)),
};
