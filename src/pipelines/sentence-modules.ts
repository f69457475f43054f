import { DataError, toNumbers } from "../base/index.ts";
import { type Folder, readJson, readJsonList, readSafetensors, readTorch } from "../files/index.ts";
import { sigmoid } from "./common.ts";

/** States of a text's tokens: values [T, D], and which count. */
export interface TokenStates {
  values: Float32Array;
  width: number;
  counts: readonly boolean[];
}

/** The weights by which a text's states are summed up. counts: which tokens count -> [T] */
export type TokenWeights = (counts: readonly boolean[]) => Float32Array;

/** From the states of tokens to one vector. */
export interface PoolingModule {
  kind: "pooling";
  includePrompt: boolean;
  /** What the vector is joined of: sums of the states by weights, or the largest of them. */
  parts: readonly (TokenWeights | "max")[];
  /** Weights of the tokens for each sum of states that the vector is made of; undefined where it is made otherwise. */
  weights: ((counts: readonly boolean[]) => Float32Array[]) | undefined;
  /** One vector of the states of a text. */
  pool(states: TokenStates): number[];
}

/** A linear layer behind the pooling, and its activation by the last part of its class. */
export interface DenseModule {
  /** Its folder beside modules.json. */
  place: string;
  inFeatures: number;
  outFeatures: number;
  /** [outFeatures, inFeatures] */
  weight: readonly number[];
  /** [outFeatures]; undefined for none */
  bias: readonly number[] | undefined;
  activation: ActivationName;
}

/** From a vector to the next: by a linear layer, or to length 1. */
export interface VectorModule {
  kind: "vector";
  /** Undefined for one that normalizes. */
  dense?: DenseModule;
  /** The next vector. */
  apply(vector: number[]): number[];
}

/** A step from the states of tokens to one vector, or from a vector to the next. */
export type SentenceModule = PoolingModule | VectorModule;

type Json = Record<string, unknown>;

/** The weight of the token at a place, the n-th of `count` tokens that count, whose places have the sum `total`. */
type Weight = (at: { n: number; place: number; count: number; total: number }) => number;

/** The modes that sum up a text's states by weights, in the order in which older configs join them; max is none. */
const pools: Readonly<Record<string, Weight | null>> = {
  cls: ({ n }) => (n === 0 ? 1 : 0),
  max: null,
  mean: ({ count }) => 1 / count,
  mean_sqrt_len_tokens: ({ count }) => 1 / Math.sqrt(count),
  weightedmean: ({ place, total }) => (place + 1) / total,
  lasttoken: ({ n, count }) => (n === count - 1 ? 1 : 0),
};

const places = (counts: readonly boolean[]): number[] => counts.flatMap((isCounted, i) => (isCounted ? [i] : []));

function weightsOf(weight: Weight, counts: readonly boolean[]): Float32Array {
  const counted = places(counts);
  const total = counted.reduce((sum, place) => sum + place + 1, 0);
  const weights = new Float32Array(counts.length);
  for (const [n, place] of counted.entries()) weights[place] = weight({ n, place, count: counted.length, total });
  return weights;
}

/** Sum of the states by weights. */
function weighted({ values, width, counts }: TokenStates, weight: Weight): number[] {
  const sum = new Array<number>(width).fill(0);
  for (const [i, share] of weightsOf(weight, counts).entries())
    if (share !== 0) for (let d = 0; d < width; d++) sum[d] += share * values[i * width + d];
  return sum;
}

const largestOf = ({ values, width, counts }: TokenStates): number[] =>
  Array.from({ length: width }, (_, d) => Math.max(...places(counts).map((i) => values[i * width + d])));

/** Names of the modes in older configs. */
const oldModes: Readonly<Record<string, string>> = {
  pooling_mode_cls_token: "cls",
  pooling_mode_max_tokens: "max",
  pooling_mode_mean_tokens: "mean",
  pooling_mode_mean_sqrt_len_tokens: "mean_sqrt_len_tokens",
  pooling_mode_weightedmean_tokens: "weightedmean",
  pooling_mode_lasttoken: "lasttoken",
};

/** Pooling by a config.json; with none the mean. @throws DataError for a mode that is not known */
export function poolingOf(path: string, config: Json): PoolingModule {
  const poolingMode = config.pooling_mode;
  const old = Object.keys(oldModes).filter((key) => config[key] === true);
  const modes = poolingMode === undefined ? old.map((key) => oldModes[key]) : ([poolingMode].flat() as string[]);
  for (const mode of modes) {
    if (Object.hasOwn(pools, mode)) continue;
    throw new DataError({
      where: `${path}, pooling_mode`,
      expected: `one of ${Object.keys(pools).join(", ")}`,
      received: JSON.stringify(mode),
      fix: "check the file",
    });
  }
  const used = (modes.length > 0 ? modes : ["mean"]).map((mode) => pools[mode]);
  const sums = used.filter((weight) => weight !== null);
  return {
    kind: "pooling",
    includePrompt: config.include_prompt !== false,
    parts: used.map((weight) => (weight ? (counts) => weightsOf(weight, counts) : "max")),
    weights: sums.length === used.length ? (counts) => sums.map((weight) => weightsOf(weight, counts)) : undefined,
    pool: (states) => used.flatMap((weight) => (weight ? weighted(states, weight) : largestOf(states))),
  };
}

/** Activations by the last part of their class. */
const activations = {
  Identity: (value: number) => value,
  Tanh: Math.tanh,
  Sigmoid: sigmoid,
  ReLU: (value: number) => Math.max(value, 0),
} as const;
/** The last part of an activation's class. */
export type ActivationName = keyof typeof activations;

/** @throws DataError for an activation that is not known */
export const activationOf = (path: string, name: unknown): ((value: number) => number) =>
  activations[activationName(path, name)];

function activationName(path: string, name: unknown): ActivationName {
  const short = String(name).split(".").at(-1) as ActivationName;
  if (Object.hasOwn(activations, short)) return short;
  throw new DataError({
    where: `${path}, activation`,
    expected: `one of ${Object.keys(activations).join(", ")}`,
    received: String(name),
    fix: "use another model",
  });
}

export function unit(vector: readonly number[]): number[] {
  let squares = 0;
  for (const value of vector) squares += value * value;
  const norm = Math.max(Math.sqrt(squares), 1e-12);
  return vector.map((value) => value / norm);
}

/** A linear layer after the pooling. */
async function denseOf(folder: Folder, place: string): Promise<VectorModule> {
  const config = folder.file("config.json");
  const { in_features: inputs, out_features: outputs, bias, activation_function: name } = await readJson(config);
  const file = folder.file("model.safetensors");
  const tensors = (await folder.has(file.base))
    ? (await readSafetensors(file)).tensors
    : await readTorch(folder.file("pytorch_model.bin"));
  const numbers = (key: string, length: number): number[] => {
    const tensor = tensors.get(key);
    if (tensor && tensor.data.length === length) return toNumbers(tensor.dtype, tensor.data);
    throw new DataError({
      where: folder.name,
      expected: `${key} of ${length} numbers, as config.json says`,
      received: tensor ? `${tensor.data.length}` : "none",
      fix: "fetch the files again",
    });
  };
  const [width, height] = [Number(inputs), Number(outputs)];
  const weight = numbers("linear.weight", width * height);
  const stored = bias === false ? undefined : numbers("linear.bias", height);
  const shift = stored ?? new Array<number>(height).fill(0);
  const activation = activationOf(config.name, name ?? "Tanh");
  const apply = (vector: number[]) =>
    shift.map((start, row) =>
      activation(vector.reduce((sum, value, d) => sum + value * weight[row * width + d], start)),
    );
  const dense: DenseModule = {
    ...{ place, inFeatures: width, outFeatures: height, weight, bias: stored },
    activation: activationName(config.name, name ?? "Tanh"),
  };
  return { kind: "vector", dense, apply };
}

/**
 * The steps of a folder's modules.json, and where in it the transformer is. @throws DataError for a module that is not
 * known
 */
export async function readModules(folder: Folder): Promise<{ transformer: Folder; modules: SentenceModule[] }> {
  const list = folder.file("modules.json");
  if (!(await folder.has(list.base))) return { transformer: folder, modules: [poolingOf(folder.name, {})] };
  let transformer = folder;
  const modules: SentenceModule[] = [];
  for (const { path: place, type } of (await readJsonList(list)) as { path: string; type: string }[]) {
    const inside = place === "" ? folder : folder.folder(place);
    const kind = type.split(".").at(-1);
    if (kind === "Transformer") transformer = inside;
    else if (kind === "Pooling") modules.push(poolingOf(inside.name, await readJson(inside.file("config.json"))));
    else if (kind === "Dense") modules.push(await denseOf(inside, place));
    else if (kind === "Normalize") modules.push({ kind: "vector", apply: unit });
    else if (kind !== "Dropout")
      throw new DataError({
        where: list.name,
        expected: "Transformer, Pooling, Dense, Normalize or Dropout",
        received: type,
        fix: "use another model",
      });
  }
  if (!modules.some((each) => each.kind === "pooling")) modules.unshift(poolingOf(folder.name, {}));
  return { transformer, modules };
}
