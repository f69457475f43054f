import { requireFloatDType, ShapeError } from "../base/index.ts";
import { describe, isStatic, requireStatic, type Shape, sizesEqual, type Value } from "../ir/index.ts";
import { apply } from "./apply.ts";
import { add, mul, neg, sub } from "./arithmetic.ts";
import { defineOp } from "./define.ts";
import type { OpEntry } from "./entry.ts";
import { hostTensor } from "./host-tensor.ts";
import type { Lowering } from "./lowering.ts";
import { stack, unstack } from "./movement.ts";
import { sum } from "./reduce.ts";
import { reshape } from "./shape.ts";
import { concat, slice } from "./slice.ts";

/** Which two features `rotaryEmbedding` turns together. */
export interface RotaryOptions {
  /** Pairs are neighbours (0, 1), (2, 3), ... as in GPT-J, and not (i, i + half) as in Llama. @default false */
  interleaved?: boolean;
}

/**
 * Rotary position embedding: pairs of features turn by an angle that grows with the position.
 * x: [B, H, T, Dh], cos and sin: [T, R / 2] or broadcastable to [B, H, T, R / 2]; the first R features are turned. With
 * x [B, T, H, Dh], cos and sin [B, T, 1, R / 2] or [1, T, 1, R / 2] it is one kernel. Su et al. 2021, arXiv:2104.09864,
 * section 3.4.
 */
export function rotaryEmbedding(x: Value, cos: Value, sin: Value, { interleaved = false }: RotaryOptions = {}): Value {
  const [half, width] = requireStatic("rotaryEmbedding", [
    cos.shape[cos.shape.length - 1],
    x.shape[x.shape.length - 1],
  ]);
  if (2 * half > width) {
    throw new ShapeError({
      where: "rotaryEmbedding",
      expected: `at most ${width / 2} angles`,
      received: describe(cos),
      fix: "make them for this headDim",
    });
  }
  if (!hasKernel(x, cos, sin)) return plainRotaryEmbedding(x, cos, sin, { interleaved });
  const [batch, length, numHeads] = x.shape;
  const flat = reshape(x, [batch, length, (numHeads as number) * width]);
  const [flatCos, flatSin] = [cos, sin].map((angles) => reshape(angles, [angles.shape[0], length, half]));
  return reshape(apply(rotaryEntry, [flat, flatCos, flatSin], { numHeads: numHeads as number, interleaved }), x.shape);
}

/**
 * Angles that are the same for all heads of a position, which are side by side; if each row of a batch has its own,
 * their number is known.
 */
function hasKernel(x: Value, cos: Value, sin: Value): boolean {
  if (x.shape.length !== 4 || cos.shape.length !== 4 || cos.dtype !== x.dtype || sin.dtype !== x.dtype) return false;
  const [batch, length, heads] = x.shape;
  const [rows, positions, one] = cos.shape;
  const isSame =
    cos.shape.every((size, i) => sizesEqual(size, sin.shape[i])) && sizesEqual(positions, length) && one === 1;
  return (
    isSame &&
    ![...x.shape, ...cos.shape].includes(0) &&
    typeof heads === "number" &&
    (rows === 1 || (isStatic([batch, length]) && rows === batch))
  );
}

/** Rotary position embedding from its parts; the kernel is tested against it. */
export function plainRotaryEmbedding(
  x: Value,
  cos: Value,
  sin: Value,
  { interleaved = false }: RotaryOptions = {},
): Value {
  const [half, width] = requireStatic("rotaryEmbedding", [
    cos.shape[cos.shape.length - 1],
    x.shape[x.shape.length - 1],
  ]);
  const [a, b] = pairsOf(x, half, interleaved);
  const pair = [sub(mul(a, cos), mul(b, sin)), add(mul(b, cos), mul(a, sin))];
  const result = interleaved ? reshape(stack(pair, -1), [...pair[0].shape.slice(0, -1), 2 * half]) : concat(pair, -1);
  return 2 * half === width ? result : concat([result, slice(x, { axis: -1, start: 2 * half })], -1);
}

/** The first and the second of each pair of the features that turn: [..., R / 2] each. */
function pairsOf(x: Value, half: number, interleaved: boolean): Value[] {
  const turned = 2 * half === x.shape[x.shape.length - 1] ? x : slice(x, { axis: -1, end: 2 * half });
  if (interleaved) return unstack(reshape(turned, [...turned.shape.slice(0, -1), half, 2]), -1);
  return [slice(turned, { axis: -1, end: half }), slice(turned, { axis: -1, start: half })];
}

type RotaryAttributes = { numHeads: number; interleaved: boolean };

/** x: [B, T, H Dh], cos and sin: [B, T, R / 2] or [1, T, R / 2]. */
const rotaryEntry: OpEntry = defineOp<"x" | "cos" | "sin", RotaryAttributes>({
  name: "rotaryEmbedding",
  precision: "any",
  batch: ({ inputs: [, cos] }) => (cos.shape[0] === 1 ? { fold: 1 } : "oneByOne"),
  inputs: ["x", "cos", "sin"],
  infer: ({ x }) => {
    requireFloatDType("rotaryEmbedding", x.dtype);
    return x;
  },
  gradient: ({ x, cos, sin, dy }, attributes) => {
    const { numHeads, interleaved } = attributes;
    const half = cos.shape[2] as number;
    const byHead = (y: Value) => reshape(y, [...y.shape.slice(0, 2), numHeads, (y.shape[2] as number) / numHeads]);
    const [[a, b], [dA, dB]] = [x, dy].map((y) => pairsOf(byHead(y), half, interleaved)); // [B, T, H, R / 2]
    const ofAngle = (y: Value) => sum(y, { axes: 2 }); // over the heads
    return {
      x: apply(rotaryEntry, [dy, cos, neg(sin)], attributes), // turned back
      cos: ofAngle(add(mul(a, dA), mul(b, dB))),
      sin: ofAngle(sub(mul(a, dB), mul(b, dA))),
    };
  },
  lower: (graph, { x, cos, sin }, { numHeads, interleaved }, node) => {
    const [{ shape }, { shape: angles }] = node.inputs;
    const [rows, length, half] = angles;
    const headDim = (shape[2] as number) / numHeads;
    // the kernel looks angles up in a table: all of one row, or each row's own
    const table: Shape = rows === 1 ? [length, half] : [(rows as number) * (length as number), half];
    const [cosTable, sinTable] = [cos, sin].map((name) => graph.node("Reshape", [name, graph.sizes(table)]));
    const attributes = {
      interleaved: Number(interleaved),
      num_heads: numHeads,
      rotary_embedding_dim: 2 * (half as number) === headDim ? 0 : 2 * (half as number),
    };
    return graph.node(
      "RotaryEmbedding",
      [x, placesInTable(graph, angles), cosTable, sinTable],
      attributes,
      "com.microsoft",
    );
  },
  reference: ({ x, cos, sin }, { numHeads, interleaved }) => {
    const [batch, length, width] = x.shape;
    const [rows, , half] = cos.shape;
    const out = hostTensor(x.shape, x.data);
    const headDim = width / numHeads;
    for (let row = 0; row < batch * length * numHeads; row++) {
      const position = Math.floor(row / numHeads) % (rows * length);
      for (let i = 0; i < half; i++) {
        const [first, second] = interleaved ? [2 * i, 2 * i + 1] : [i, i + half];
        const [a, b] = [x.data[row * headDim + first], x.data[row * headDim + second]];
        const [c, s] = [cos.data[position * half + i], sin.data[position * half + i]];
        out.data[row * headDim + first] = a * c - b * s;
        out.data[row * headDim + second] = b * c + a * s;
      }
    }
    return out;
  },
});

/** Where the angles of each position are in the table: from 0 on for all rows, or [B, T] places. */
function placesInTable(graph: Lowering, [rows, length]: Shape): string {
  if (rows === 1) return graph.constant("i64", [1], [0]);
  const [batch, positions] = requireStatic("rotaryEmbedding", [rows, length]);
  return graph.constant(
    "i64",
    [batch, positions],
    Array.from({ length: batch * positions }, (_, i) => i),
  );
}
