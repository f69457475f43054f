/** Which of a file's tensors is which weight of a model, and what there is too much or too little of. */

import { DataError, HalfArray, isFloat, ShapeError } from "../base/index.ts";
import { readSafetensorsHeader, type StoredFile, type StoredTensor } from "../files/index.ts";
import {
  CheckpointError,
  loadStateDict,
  type ModelBuffer,
  type Module,
  mapParameters,
  Parameter,
  type StateTensor,
} from "../nn/index.ts";
import type { PretrainedModel } from "./model.ts";
import { isOwnOnnx, tensorsIn } from "./weight-files.ts";

/** The tensors of a checkpoint that a model may use, and the names of all others. */
export interface StoredWeights {
  files: readonly StoredFile[];
  tensors: ReadonlyMap<string, StoredTensor>;
  others: readonly string[];
  /**
   * Of an ONNX graph, which has constants besides: whether it may lack weights, being ours, without what its task has
   * no use for.
   */
  graph?: { mayLack: boolean };
}

/**
 * Reads the tensors of files that are weights of a model or repeat one; what is left over is not read where the format
 * allows it.
 */
export async function readWeights(
  files: readonly StoredFile[],
  model: PretrainedModel,
  mmap = true,
): Promise<StoredWeights> {
  const places = new Places(model);
  const isUsed = (name: string) => places.keyOf(name) !== undefined;
  const tensors = new Map<string, StoredTensor>();
  const others: string[] = [];
  for (const file of files) {
    const names = file.base.endsWith(".safetensors") ? await namesInOrder(file) : undefined;
    if (names) others.push(...names.filter((name) => !isUsed(name)));
    for await (const [name, tensor] of tensorsIn(file, { names: names?.filter(isUsed), mayMap: mmap })) {
      if (isUsed(name)) tensors.set(name, tensor);
      else others.push(name);
    }
  }
  const [first] = files;
  if (!first.base.endsWith(".onnx")) return { files, tensors, others };
  return { files, tensors, others, graph: { mayLack: tensors.size < places.wanted.size && (await isOwnOnnx(first)) } };
}

/** The names in a file by their place in it, so that it is read from its start to its end. */
async function namesInOrder(file: StoredFile): Promise<string[]> {
  const { tensors } = await readSafetensorsHeader(file);
  return [...tensors].sort(([, a], [, b]) => a.begin - b.begin).map(([name]) => name);
}

/** Finds the weight of a model that a stored name means. */
class Places {
  readonly wanted: ReadonlyMap<string, Parameter | ModelBuffer>;
  readonly tied: Readonly<Record<string, string>>;
  private readonly model: PretrainedModel;

  constructor(model: PretrainedModel) {
    this.model = model;
    this.wanted = model.namedState();
    this.tied = model.family.tied?.(model) ?? {};
  }

  /**
   * The key of a weight, or of a tied name; undefined for what is neither. A base model's names may have the prefix of
   * models with a head, or lack it.
   */
  keyOf(name: string): string | undefined {
    const { prefix, tensorName } = this.model.family;
    const present = withoutOldNames(name);
    const key = tensorName?.(present, this.model) ?? present;
    if (this.has(key)) return key;
    if (prefix === undefined) return undefined;
    const without = key.startsWith(`${prefix}.`) ? key.slice(prefix.length + 1) : undefined;
    return [without, `${prefix}.${key}`].find((other) => other !== undefined && this.has(other));
  }

  /** Whether a name that is no weight is passed over without a word. */
  isSilent(name: string): boolean {
    if (BATCH_COUNT.test(name)) return this.keyOf(name.replace(BATCH_COUNT, ".running_mean")) !== undefined;
    const { ignored } = this.model.family;
    return (typeof ignored === "function" ? ignored(this.model) : ignored)?.test(name) ?? false;
  }

  private has(key: string): boolean {
    return this.wanted.has(key) || Object.hasOwn(this.tied, key);
  }
}

/** How many batches a batch norm has seen, which matters to none that averages at a fixed rate. */
const BATCH_COUNT = /\.num_batches_tracked$/;

/** The oldest checkpoints, converted from TensorFlow, call the weights of norms so. */
const withoutOldNames = (name: string) =>
  name.replace(/LayerNorm\.gamma$/, "LayerNorm.weight").replace(/LayerNorm\.beta$/, "LayerNorm.bias");

/** How stored weights fit a model. */
export interface Fit {
  /** The stored weights by their keys. */
  state: ReadonlyMap<string, StateTensor>;
  /** Stored tensors that the model has no place for, by their names in the file. */
  unused: string[];
  /** Weights that are not stored. */
  missing: string[];
  /** Weights of another shape in the file. */
  misshapen: string[];
  /** Tied names, and the weights whose numbers are others although the config says that they are one. */
  untied: [name: string, source: string][];
}

/** Compares the stored weights with a model's; nothing is set yet. @throws DataError for weights in integers */
export function fitWeights({ files, tensors, others, graph }: StoredWeights, model: PretrainedModel): Fit {
  const { mayLack } = model.family;
  const places = new Places(model);
  const { wanted, tied } = places;
  const state = new Map<string, StateTensor>();
  for (const [name, tensor] of tensors)
    state.set(places.keyOf(name) as string, floats(`${files[0].name}, tensor ${name}`, tensor));
  const untied = joinTied(state, tied);
  const missing = [...wanted.keys()].filter((key) => !state.has(key) && !mayLack?.test(key) && !graph?.mayLack);
  const differs = (key: string, { shape }: Parameter | ModelBuffer) =>
    state.has(key) && String(state.get(key)?.shape) !== String(shape);
  const misshapen = [...wanted].filter(([key, variable]) => differs(key, variable)).map(([key]) => key);
  return { state, unused: graph ? [] : others.filter((name) => !places.isSilent(name)), missing, misshapen, untied };
}

/** @throws DataError for weights in integers */
function floats(where: string, { dtype, shape, data }: StoredTensor): StateTensor {
  if (!isFloat(dtype))
    throw new DataError({
      where,
      expected: "float weights",
      received: dtype,
      fix: "convert the checkpoint to f32, f16 or bf16",
    });
  return {
    dtype: "f32",
    shape,
    data: dtype === "f32" ? (data as Float32Array) : new HalfArray(dtype, data as Uint16Array),
  };
}

/**
 * Weights that a checkpoint repeats under another name: equal to their source they are passed over; without their
 * source they are it. @returns those that differ
 */
function joinTied(
  state: Map<string, StateTensor>,
  tied: Readonly<Record<string, string>>,
): [name: string, source: string][] {
  const untied: [name: string, source: string][] = [];
  for (const [name, source] of Object.entries(tied)) {
    const [repeated, sourceTensor] = [state.get(name), state.get(source)];
    if (!repeated) continue;
    if (sourceTensor && !areEqual(repeated.data, sourceTensor.data)) {
      untied.push([name, source]);
      continue;
    }
    state.set(source, sourceTensor ?? repeated);
    state.delete(name);
  }
  return untied;
}

function areEqual(a: StateTensor["data"], b: StateTensor["data"]): boolean {
  if (a.length !== b.length) return false;
  const [first, second] =
    a instanceof HalfArray && b instanceof HalfArray && a.dtype === b.dtype ? [a.bits, b.bits] : [wide(a), wide(b)];
  return first.every((value, i) => value === second[i]);
}
const wide = (data: StateTensor["data"]) => (data instanceof HalfArray ? data.widened() : data);

/** Which differences between a file and a model are allowed. */
export interface Leniency {
  /** The file's weights must be those of the model, no more and no less. */
  strict: boolean;
  /** Weights of other shapes start anew. */
  ignoreMismatchedSizes: boolean;
  /** Whether a weight belongs to a head that starts anew where the file has none that fits. */
  isNew(key: string): boolean;
}

/**
 * Sets the weights of a model; those that the file has not keep their initial values. Nothing changes unless everything
 * fits that must.
 * @param keepsStorage large weights that the file has in 16 bits stay so, and are widened as they are used
 * @throws CheckpointError for a file without any weight of the model, and for what `strict` does not allow; ShapeError
 *   for another shape
 */
export function setWeights(
  { files: [{ name: path }] }: StoredWeights,
  fit: Fit,
  model: PretrainedModel,
  { strict, ignoreMismatchedSizes, isNew }: Leniency,
  keepsStorage = false,
): void {
  const { state, unused, misshapen } = fit;
  const wanted = model.namedState();
  if (strict) {
    loadStateDict(path, wanted, new Map([...state, ...unused.map((name) => [name, NOTHING] as const)]));
    if (keepsStorage) keepStorage(model, state);
    return;
  }
  requireSome(path, fit, model);
  const wrong = misshapen.find((key) => !ignoreMismatchedSizes && !isNew(key));
  if (wrong !== undefined) throw otherShape(path, wrong, wanted, state);
  const loaded = new Map([...wanted].filter(([key]) => state.has(key) && !misshapen.includes(key)));
  const fitting = new Map([...state].filter(([key]) => loaded.has(key)));
  loadStateDict(path, loaded, fitting);
  if (keepsStorage) keepStorage(model, fitting);
}

/** Bytes of a weight in 16 bits from which on it stays so: what is smaller costs more to widen anew than to keep. */
const LEAST_STORED_BYTES = 2 ** 16;

/** Exchanges the parameters whose numbers are in 16 bits by some that keep them so. */
export function keepStorage(model: Module, state: ReadonlyMap<string, StateTensor>): void {
  mapParameters(model, (key, parameter) => {
    const data = state.get(key)?.data;
    const isKept = data instanceof HalfArray && data.bits.byteLength >= LEAST_STORED_BYTES;
    return isKept ? new Parameter<"f32">(parameter.shape, data, { stored: data.dtype }) : undefined;
  });
}

/** In the place of a tensor that is not read. */
const NOTHING: StateTensor = { dtype: "f32", shape: [0], data: new Float32Array(0) };

/** @throws CheckpointError when a file has no weight of a model */
function requireSome(path: string, { state, unused }: Fit, model: PretrainedModel): void {
  if (state.size > 0) return;
  const [first] = model.namedState().keys();
  const received = unused.length > 0 ? namesByLayer(unused, 4) : "no tensors";
  const fix = "check that config.json belongs to these weights, and that their names have no prefix";
  throw new CheckpointError({
    where: path,
    expected: `weights of ${model.architecture}, such as ${first}`,
    received,
    fix,
  });
}

const otherShape = (path: string, key: string, wanted: Places["wanted"], state: Fit["state"]): ShapeError =>
  new ShapeError({
    where: `${path}, tensor ${key}`,
    expected: `shape [${wanted.get(key)?.shape.join(", ")}]`,
    received: `[${state.get(key)?.shape.join(", ")}]`,
    fix: "check that config.json belongs to these weights, or start them anew: ignoreMismatchedSizes",
  });

/**
 * Names in a sentence: those that differ only in numbers are one, with "*" for these. @param most how many are written
 * out. @default all
 */
export function namesByLayer(names: readonly string[], most = Number.POSITIVE_INFINITY): string {
  const groups = new Map<string, string[]>();
  for (const name of names) {
    const pattern = name.replace(/(?<=\.)\d+(?=\.|$)/g, "*");
    groups.set(pattern, [...(groups.get(pattern) ?? []), name]);
  }
  const texts = [...groups].map(([pattern, members]) =>
    members.length === 1 ? members[0] : `${pattern} (${members.length})`,
  );
  return texts.length > most ? `${texts.slice(0, most).join(", ")} and ${texts.length - most} more` : texts.join(", ");
}
