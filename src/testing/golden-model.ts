/** Golden files of models: what golden/make_models.py wrote of transformers' answers. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { DType } from "../base/index.ts";
import { readJson } from "../files/index.ts";
import { type Tensor, tensor } from "../tensor/index.ts";

export const goldenModels = fileURLToPath(new URL("../../golden/models/", import.meta.url));

interface Packed {
  dtype: DType;
  shape: number[];
  data: number[];
}
type Batch = Record<string, Packed>;

export interface GoldenModel {
  folder: string;
  runs: { inputs: Batch; outputs: Batch }[];
  loss?: { inputs: Batch; value: number };
  greedy?: { inputs: Batch; outputIds: number[] }[];
}

export async function readGoldenModel(name: string): Promise<GoldenModel> {
  const folder = join(goldenModels, name);
  return { folder, ...((await readJson(join(folder, "expected.json"))) as unknown as Omit<GoldenModel, "folder">) };
}

const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

/** Inputs under our names; masks are bool here. */
export function inputsOf(batch: Batch): Record<string, Tensor> {
  const convert = ([name, { dtype, shape, data }]: [string, Packed]): [string, Tensor | boolean] => {
    if (dtype === "bool" && shape.length === 0) return [camel(name), data[0] === 1];
    const type = name.endsWith("mask") ? "bool" : dtype;
    return [
      camel(name),
      tensor(type === "f32" ? Float32Array.from(data) : Int32Array.from(data), { dtype: type, shape }),
    ];
  };
  return Object.fromEntries(Object.entries(batch).map(convert)) as Record<string, Tensor>;
}

/** The output that transformers calls "last_hidden_state" or "hidden_states.1". */
export function outputOf(outputs: object, path: string): Tensor<"f32"> | undefined {
  return path
    .split(".")
    .reduce<unknown>((value, part) => (value as Record<string, unknown> | undefined)?.[camel(part)], outputs) as
    | Tensor<"f32">
    | undefined;
}

/** Which numbers of an output of shape [B, T, ...] count: not those at padding. */
export function isCounted(
  { attention_mask: mask }: Batch,
  shape: readonly number[],
): (_: unknown, i: number) => boolean {
  if (!mask || shape.length < 2 || shape[0] !== mask.shape[0] || shape[1] !== mask.shape[1]) return () => true;
  const width = shape.slice(2).reduce((a, b) => a * b, 1);
  return (_, i) => mask.data[Math.floor(i / width)] === 1;
}
