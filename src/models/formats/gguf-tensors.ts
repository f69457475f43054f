/** Weights as GGUF files have them: under other names, stacked, and some with their rows in another order. */
import { blockFormats, type GgufTensorInfo, type GgufType } from "../../files/index.ts";
import { CheckpointError } from "../../nn/index.ts";
import type { GgufArchitecture } from "./gguf-architectures.ts";

/** What tells the rows of heads apart. */
export interface Heads {
  numHeads: number;
  numKeyHeads: number;
  headDim: number;
}

/** A weight of ours in a tensor of a file. */
export interface GgufPart {
  /** Its name here. */
  key: string;
  /** Shape in the file. */
  shape: readonly number[];
  /** Its first row in the file's tensor, where a vector's rows are its numbers. */
  firstRow: number;
}

/** Tensors with which llama.cpp computes positions, and those that older files carry and nothing reads. */
export const ropeTensors = {
  factors: "rope_freqs.weight",
  long: "rope_factors_long.weight",
  short: "rope_factors_short.weight",
} as const;
/** Whether a tensor of a file is of the positions, and no weight of a layer. */
export const isNoWeight = (name: string): boolean =>
  Object.values<string>(ropeTensors).includes(name) || /(^rope_freqs|\.attn_rot_embd)(\.|$)/.test(name);

const product = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1);

/**
 * The weights that a tensor of a file holds: several where experts are stacked, or queries, keys and values are one.
 */
export function partsOf(
  path: string,
  architecture: GgufArchitecture,
  heads: Heads,
  name: string,
  { shape }: GgufTensorInfo,
): GgufPart[] {
  const [, layer, module = "", expert, kind] = /^(?:blk\.(\d+)\.)?(\w+)(?:\.(\d+))?\.(weight|bias)$/.exec(name) ?? [];
  const names = layer === undefined ? architecture.outer : architecture.layer;
  const keyOf = (ours: string) => `${layer === undefined ? "" : `${architecture.layers}${layer}.`}${ours}.${kind}`;
  if (expert !== undefined) {
    const stacked = names[`${module}_exps`]; // older files have each expert by itself
    if (stacked) return [{ key: keyOf(stacked.replace("*", expert)), shape, firstRow: 0 }];
  } else if (module === "ffn_gate_up_exps" && names.ffn_gate_exps) {
    return halves(names, shape).map(({ ours, ...place }) => ({ ...place, key: keyOf(ours) }));
  } else if (module === "attn_qkv" && !names.attn_qkv && names.attn_q) {
    return splitQkv(heads, shape).map(({ theirs, ...place }) => ({ ...place, key: keyOf(names[theirs]) }));
  } else if (names[module]) {
    const ours = names[module];
    if (!ours.includes("*")) return [{ key: keyOf(ours), shape, firstRow: 0 }];
    const [count, ...rest] = shape;
    const rows = product(rest.slice(0, -1));
    return Array.from({ length: count }, (_, e) => ({
      key: keyOf(ours.replace("*", String(e))),
      shape: rest,
      firstRow: e * rows,
    }));
  }
  throw new CheckpointError({
    where: path,
    expected: `the tensors of ${architecture.name}: ${[...Object.keys(architecture.outer), ...Object.keys(architecture.layer)].join(", ")}`,
    received: name,
    fix: "load the original model instead",
  });
}

/** Gate and up of all experts in one tensor: [E, 2 F, D]. */
function halves(names: Readonly<Record<string, string>>, [count, rows, width]: readonly number[]) {
  return Array.from({ length: count }, (_, e) =>
    [names.ffn_gate_exps, names.ffn_up_exps].map((ours, half) => ({
      ours: ours.replace("*", String(e)),
      shape: [rows / 2, width],
      firstRow: e * rows + (half * rows) / 2,
    })),
  ).flat();
}

/** Queries, keys and values one after another: [(H + 2 K) Dh, D] */
function splitQkv({ numHeads, numKeyHeads, headDim }: Heads, shape: readonly number[]) {
  const rows = [numHeads, numKeyHeads, numKeyHeads].map((count) => count * headDim);
  return ["attn_q", "attn_k", "attn_v"].map((theirs, i) => ({
    theirs,
    shape: [rows[i], ...shape.slice(1)],
    firstRow: rows.slice(0, i).reduce((a, b) => a + b, 0),
  }));
}

/** llama.cpp's name of a weight of ours, and which of the experts stacked in it; undefined where it has none. */
export function ggufNameOf(architecture: GgufArchitecture, key: string): { name: string; expert?: number } | undefined {
  const [, layer, ours, kind] =
    new RegExp(`^(?:${architecture.layers.replaceAll(".", "\\.")}(\\d+)\\.)?(.+)\\.(weight|bias)$`).exec(key) ?? [];
  const [, expert] = /\.experts\.(\d+)\./.exec(ours ?? "") ?? [];
  const wanted = ours?.replace(/\.experts\.\d+\./, ".experts.*.");
  const names = layer === undefined ? architecture.outer : architecture.layer;
  const theirs = Object.entries(names).find(([, name]) => name === wanted)?.[0];
  if (theirs === undefined) return undefined;
  return {
    name: `${layer === undefined ? "" : `blk.${layer}.`}${theirs}.${kind}`,
    ...(expert !== undefined && { expert: Number(expert) }),
  };
}

/** The row of the file that is row i of ours, where they are in another order. */
export function rowOrder(
  { turnsNeighbours, splitsQkv }: GgufArchitecture,
  { numHeads, numKeyHeads }: Heads,
  key: string,
  rows: number,
): Int32Array | undefined {
  if (turnsNeighbours && /\.[qk]_proj\./.test(key)) {
    const width = rows / (key.includes(".q_proj.") ? numHeads : numKeyHeads);
    const order = new Int32Array(rows);
    for (let row = 0; row < rows; row++) {
      const feature = row % width;
      // within a head the file has our rows 0, half, 1, half + 1, ...
      order[row - feature + (feature % 2) * (width / 2) + (feature >> 1)] = row;
    }
    return order;
  }
  if (!splitsQkv || !key.includes(".query_key_value.")) return undefined;
  const width = rows / (3 * numHeads);
  return Int32Array.from({ length: rows }, (_, row) => {
    const [head, part] = [Math.floor(row / (3 * width)), Math.floor(row / width) % 3];
    return (part * numHeads + head) * width + (row % width);
  });
}

/** Rows of a part of a tensor's bytes, in our order. */
export function rowsOf(
  bytes: Uint8Array,
  type: GgufType,
  { shape, firstRow }: GgufPart,
  order: Int32Array | undefined,
): Uint8Array {
  const rows = shape.length === 1 ? shape[0] : product(shape.slice(0, -1));
  const { size, bytes: blockBytes } = blockFormats[type];
  const rowBytes = ((product(shape) / size) * blockBytes) / rows;
  const part = bytes.subarray(firstRow * rowBytes, (firstRow + rows) * rowBytes);
  if (!order) return part;
  const out = new Uint8Array(part.length);
  for (const [ours, theirs] of order.entries())
    out.set(part.subarray(theirs * rowBytes, (theirs + 1) * rowBytes), ours * rowBytes);
  return out;
}

/** Our rows in the file's order. */
export function inFileOrder(data: Float32Array, order: Int32Array | undefined): Float32Array {
  if (!order) return data;
  const width = data.length / order.length;
  const out = new Float32Array(data.length);
  for (const [ours, theirs] of order.entries())
    out.set(data.subarray(ours * width, (ours + 1) * width), theirs * width);
  return out;
}

/** [rows, columns] -> [columns, rows] */
export function transpose(data: Float32Array, [rows, columns]: readonly number[]): Float32Array {
  const out = new Float32Array(data.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) out[column * rows + row] = data[row * columns + column];
  return out;
}
