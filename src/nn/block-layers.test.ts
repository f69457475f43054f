import { expect, test } from "vitest";
import type { BlockMatrix, BlockSource } from "../base/index.ts";
import { optimize } from "../lower/index.ts";
import { compile, randomKey, type Tensor, tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { BlockEmbedding, BlockLinear, Embedding, Linear, Module, useBlocks } from "./index.ts";

const COLUMNS = 96;
const BLOCK = 32;
const BLOCKS = COLUMNS / BLOCK;

/** Integers and factors that follow from a seed, and the numbers that they stand for. */
function blocksOf(rows: number, bits: 4 | 8, hasMinimums: boolean): { matrix: BlockMatrix; numbers: Float32Array } {
  const integers = Uint8Array.from({ length: rows * COLUMNS }, (_, i) => (i * 37 + (i >> 3) * 11) % 2 ** bits);
  const scales = Float32Array.from({ length: rows * BLOCKS }, (_, i) => (0.1 + (i % 5) / 10) / 2 ** bits);
  const minimums = hasMinimums ? Float32Array.from(scales, (_, i) => Math.sin(i)) : undefined;
  const zero = hasMinimums ? 0 : 2 ** (bits - 1);
  const packed =
    bits === 8
      ? integers
      : Uint8Array.from({ length: integers.length / 2 }, (_, i) => integers[2 * i] | (integers[2 * i + 1] << 4));
  const numbers = Float32Array.from(
    integers,
    (q, i) => (q - zero) * scales[Math.floor(i / BLOCK)] + (minimums?.[Math.floor(i / BLOCK)] ?? 0),
  );
  return { matrix: { bits, blockSize: BLOCK, packed, scales, zero, minimums }, numbers };
}

const rowsOf = { q: 8, k: 4, v: 6, other: 5, table: 7 };
const weights = {
  "q.weight": blocksOf(rowsOf.q, 4, true),
  "k.weight": blocksOf(rowsOf.k, 4, true),
  "v.weight": blocksOf(rowsOf.v, 8, false), // of another kind, as where a file keeps some weights in more bits
  "other.weight": blocksOf(rowsOf.other, 4, false),
  "table.weight": blocksOf(rowsOf.table, 8, true),
};

class Model extends Module {
  override readonly sharedInputs = [["q", "k", "v"]];
  readonly q = new Linear({ inFeatures: COLUMNS, outFeatures: rowsOf.q }, randomKey(1));
  readonly k = new Linear({ inFeatures: COLUMNS, outFeatures: rowsOf.k, bias: false }, randomKey(2));
  readonly v = new Linear({ inFeatures: COLUMNS, outFeatures: rowsOf.v, bias: false }, randomKey(3));
  readonly other = new Linear({ inFeatures: COLUMNS, outFeatures: rowsOf.other, bias: false }, randomKey(4));
  readonly table = new Embedding({ numEmbeddings: rowsOf.table, embeddingDim: COLUMNS }, randomKey(5));
}

function sourceOf({ packed, scales, minimums, ...kind }: BlockMatrix): BlockSource {
  const pack = (into: BlockMatrix, first: number) => {
    into.packed.set(packed, (first * kind.bits) / 8);
    into.scales.set(scales, first / BLOCK);
    if (minimums) into.minimums?.set(minimums, first / BLOCK);
  };
  return { kind: { ...kind, hasMinimums: minimums !== undefined }, pack };
}

function modelInBlocks(activations: "f32" | "int8"): Model {
  const model = new Model();
  model.q.bias?.set(Float32Array.from({ length: rowsOf.q }, (_, i) => i));
  useBlocks(model, (key) => sourceOf(weights[key as keyof typeof weights].matrix), { activations });
  return model;
}

/** x [R, 96] times the transpose of a weight. */
function product(x: Float32Array, name: keyof typeof rowsOf): Float32Array {
  const { numbers } = weights[`${name}.weight`];
  const bias = name === "q" ? 1 : 0;
  return Float32Array.from({ length: (x.length / COLUMNS) * rowsOf[name] }, (_, at) => {
    const [row, n] = [Math.floor(at / rowsOf[name]), at % rowsOf[name]];
    return x
      .subarray(row * COLUMNS, (row + 1) * COLUMNS)
      .reduce((total, value, i) => total + value * numbers[n * COLUMNS + i], bias * n);
  });
}

/** What a product with one row becomes: in two planes where the input stays f32, which are added. */
const fusedOf = { f32: "blockMatmulMinimums blockMatmulPlus", int8: "blockMatmulMinimums" };
const numbers = (rows: number) => Float32Array.from({ length: rows * COLUMNS }, (_, i) => Math.sin(i * i));

// one row is what a token of generation is: what is added to a product then is added by the kernel
test.each([
  [1, "f32", 1e-5],
  [3, "f32", 1e-5],
  [1, "int8", 1e-2],
  [3, "int8", 1e-2],
] as const)(
  "layers with the same input compute one product together: %i rows, %s activations",
  async (rows, activations, tolerance) => {
    const model = modelInBlocks(activations);
    expect([model.q, model.k, model.v, model.other].every((layer) => (layer as unknown) instanceof BlockLinear)).toBe(
      true,
    );
    expect(model.table as unknown).toBeInstanceOf(BlockEmbedding);
    const forward = compile((x: Tensor<"f32">) => ({
      q: model.q.forward(x),
      k: model.k.forward(x),
      v: model.v.forward(x),
      other: model.other.forward(x),
      table: model.table.project(x),
    }));
    const x = numbers(rows);
    const results = await forward(tensor(x, { shape: [1, rows, COLUMNS] }));
    for (const [name, result] of Object.entries(results)) {
      const expected = product(x, name as keyof typeof rowsOf);
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(result.shape).toEqual([1, rows, rowsOf[name as keyof typeof rowsOf]]);
      expectClose(
        name,
        (await result.read()).map((value) => value / largest) as Float32Array,
        expected.map((value) => value / largest),
        tolerance,
      );
    }
    const products = optimize(forward.graph(tensor(x, { shape: [1, rows, COLUMNS] }))).nodes.filter(({ op }) =>
      op.name.startsWith("blockMatmul"),
    );
    // q and k, v, other, table: 8 bits are two products with 4 where the input stays f32
    expect(products).toHaveLength(activations === "f32" ? 6 : 4);
    const fused = products.filter(({ op }) => op.name !== "blockMatmul").map(({ op }) => op.name);
    expect(new Set(fused)).toEqual(new Set(rows > 1 ? [] : fusedOf[activations].split(" ")));
  },
);

test.each(["f32", "int8"] as const)("rows of a table in blocks are its numbers (%s)", async (activations) => {
  const { table } = modelInBlocks(activations);
  const rows = await table.forward(tensor(Int32Array.of(6, 0, 3), { shape: [1, 3] })).read();
  const expected = [6, 0, 3].flatMap((id) => [
    ...weights["table.weight"].numbers.subarray(id * COLUMNS, (id + 1) * COLUMNS),
  ]);
  expectClose("rows", rows as Float32Array, Float32Array.from(expected), 1e-6);
});
