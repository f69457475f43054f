/** Whether an adapter is one of a model: each layer and each tensor in its place, and nothing besides. */
import { DataError, type OnWarning, ShapeError, warnOnConsole } from "../base/index.ts";
import { shortName } from "../hub/index.ts";
import type { PretrainedModel } from "../models/index.ts";
import { CheckpointError, EmbeddingTable, type Parameter, Projection, type StateTensor } from "../nn/index.ts";
import type { Adapter, LayerPart } from "./adapter.ts";
import type { LayerConfig } from "./adapter-config.ts";
import type { FittedLayer, Target } from "./fitted-layer.ts";
import type { Ia3Config } from "./ia3-config.ts";
import { type LoraConfig, scalingOf } from "./lora-config.ts";
import { isAnew, isNamed, sizesOf, targetsOf } from "./targets.ts";

/** An adapter in its places in a model. */
export interface FittedAdapter {
  adapter: Adapter<LayerConfig>;
  layers: readonly FittedLayer[];
  /** Weights of the model that the adapter has anew, by their names. */
  replaced: ReadonlyMap<string, StateTensor>;
}

/**
 * Finds the places of an adapter in a model.
 * @throws DataError when the model has no such layers; CheckpointError listing tensors that are missing or extra;
 *   ShapeError for a misshapen one
 */
export function fitAdapter(
  model: PretrainedModel,
  stored: Adapter<LayerConfig>,
  onWarning: OnWarning = warnOnConsole,
): FittedAdapter {
  const adapter = withModelNames(model, stored);
  const { name, config } = adapter;
  const targets = targetsOf(model, config);
  const required = new Map<string, readonly number[]>();
  const optional = new Map<string, readonly number[]>();
  for (const target of targets)
    for (const [part, shape] of shapesOf(target, config)) required.set(`${target.path} ${part}`, shape);
  for (const [path, { shape }] of savedWeights(model, config, targets)) required.set(path, shape);
  // peft writes embeddings and heads that are targets, or were resized, beside the adapter
  for (const [path, { shape }] of model.namedParameters())
    if (/(^|\.)(embed_tokens|lm_head|wte|word_embeddings|shared|embed_in|embed_out)\.weight$/.test(path))
      optional.set(path, shape);
  const replaced = withoutTiedNames(model, adapter);
  requireTensors(name, shapesIn({ ...adapter, replaced }), required, optional);
  requireUntied(model, { ...adapter, replaced });
  warnOfOthers(model, adapter, onWarning);
  const layers = targets.map((target): FittedLayer => {
    const parts = adapter.layers.get(target.path) as Record<LayerPart, StateTensor>;
    if (config.type === "IA3") return { ...target, factors: parts.factors };
    const { rank, alpha } = sizesOf(target.path, config);
    return { ...target, rank, scaling: scalingOf(config, rank, alpha), ...parts };
  });
  return { adapter, layers, replaced };
}

/** An adapter with the model's names of layers, where those of transformers' modules are others. */
function withModelNames(model: PretrainedModel, adapter: Adapter<LayerConfig>): Adapter<LayerConfig> {
  const { family } = model;
  if (!family.moduleName || !family.tensorName) return adapter;
  const nameHere = (path: string) => family.tensorName?.(`${path}.`, model).slice(0, -1) ?? path;
  const renamed = <T>(entries: ReadonlyMap<string, T>) =>
    new Map([...entries].map(([path, value]) => [nameHere(path), value]));
  return { ...adapter, layers: renamed(adapter.layers), replaced: renamed(adapter.replaced) };
}

/** Weights that an adapter has anew, under the one name that the model has for those that are held twice. */
function withoutTiedNames(model: PretrainedModel, { replaced }: Adapter): Map<string, StateTensor> {
  const tied = model.family.tied?.(model) ?? {};
  return new Map([...replaced].map(([key, tensor]) => [Object.hasOwn(tied, key) ? tied[key] : key, tensor]));
}

/** The tensors of a layer's adapter, and their shapes. */
export function shapesOf({ path, layer }: Target, config: LayerConfig): [LayerPart, readonly number[]][] {
  if (config.type === "IA3") {
    if (layer instanceof EmbeddingTable) throw unsupported(path, "an embedding with IA3");
    return [["factors", scalesInput(path, config) ? [1, layer.inFeatures] : [layer.outFeatures, 1]]];
  }
  return loraShapes({ path, layer }, config);
}

/** Whether factors of IA3 are of a layer's input: peft compares the ends of paths, within names too. */
const scalesInput = (path: string, { feedforwardModules: names }: Ia3Config): boolean =>
  Array.isArray(names) ? names.some((name) => path.endsWith(name)) : isNamed(path, names);

function loraShapes({ path, layer }: Target, config: LoraConfig): [LayerPart, readonly number[]][] {
  const { rank } = sizesOf(path, config);
  if (layer instanceof EmbeddingTable) {
    if (config.useDora) throw unsupported(path, "an embedding with DoRA");
    return [
      ["a", [rank, layer.numEmbeddings]],
      ["b", [layer.embeddingDim, rank]],
    ];
  }
  const shapes: [LayerPart, readonly number[]][] = [
    ["a", [rank, layer.inFeatures]],
    ["b", [layer.outFeatures, rank]],
  ];
  if (config.loraBias) shapes.push(["bias", [layer.outFeatures]]);
  if (config.useDora) shapes.push(["magnitude", [layer.outFeatures]]);
  if (config.useDora && config.loraBias) throw unsupported(path, "DoRA with a bias of B");
  return shapes;
}

/** Weights of the model that the adapter's config says it has anew. */
export function savedWeights(
  model: PretrainedModel,
  config: LayerConfig,
  targets: readonly Target[],
): Map<string, Parameter> {
  const isOfTarget = (key: string) => targets.some(({ path, layer }) => isBiasOf(key, path, layer));
  const bias = config.type === "LORA" ? config.bias : "none";
  const isBias = (key: string) => (bias === "all" ? /(^|\.)bias$/.test(key) : bias === "lora_only" && isOfTarget(key));
  return new Map(
    [...model.namedParameters()].filter(([key]) => isAnew(key.slice(0, key.lastIndexOf(".")), config) || isBias(key)),
  );
}

const isBiasOf = (key: string, path: string, layer: Target["layer"]) =>
  key === `${path}.bias` && layer instanceof Projection;

/** Shapes of an adapter's tensors, by path and part, or the name of a weight. */
function shapesIn({ layers, replaced }: Adapter): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  for (const [path, parts] of layers)
    for (const [part, { shape }] of Object.entries(parts)) shapes.set(`${path} ${part}`, shape);
  for (const [path, { shape }] of replaced) shapes.set(path, shape);
  return shapes;
}

/** @throws CheckpointError or ShapeError */
function requireTensors(
  where: string,
  present: ReadonlyMap<string, readonly number[]>,
  required: ReadonlyMap<string, readonly number[]>,
  optional: ReadonlyMap<string, readonly number[]>,
): void {
  const missing = [...required.keys()].filter((key) => !present.has(key));
  const extra = [...present.keys()].filter((key) => !required.has(key) && !optional.has(key));
  const list = (keys: string[]) =>
    keys.length > 4 ? `${keys.slice(0, 4).join(", ")} and ${keys.length - 4} more` : keys.join(", ");
  const fix = "check that the adapter was made for this model, with this adapter_config.json";
  if (missing.length + extra.length > 0)
    throw new CheckpointError({
      where,
      expected: `exactly the ${required.size} tensors of this adapter of the model`,
      received: [
        missing.length > 0 ? `without ${list(missing)}` : "",
        extra.length > 0 ? `with extra ${list(extra)}` : "",
      ]
        .filter(Boolean)
        .join("; "),
      fix,
    });
  for (const [key, shape] of present) {
    const wanted = required.get(key) ?? (optional.get(key) as readonly number[]);
    if (String(wanted) === String(shape)) continue;
    const expected = `shape [${wanted.join(", ")}]`;
    throw new ShapeError({ where: `${where}, tensor ${key}`, expected, received: `[${shape.join(", ")}]`, fix });
  }
}

/** @throws DataError for a new table where the model's output layer shares it, and the adapter's does not */
function requireUntied(model: PretrainedModel, { name, config, replaced }: Adapter<LayerConfig>): void {
  const tied = new Set(Object.values(model.family.tied?.(model) ?? {}));
  const wrong = [...replaced.keys()].find((key) => tied.has(key) && isAnew(key.slice(0, key.lastIndexOf(".")), config));
  if (wrong === undefined) return;
  throw new DataError({
    where: `${name}, tensor ${wrong}`,
    expected: "weights that one layer alone has",
    received: "a table that is the output layer too, of which the adapter would change one",
    fix: "train the adapter with modules_to_save of other layers, or on a model that is not tied",
  });
}

/** Warns of an adapter that names another model. */
export function warnOfOthers(model: PretrainedModel, { name, config }: Adapter, onWarning: OnWarning): void {
  const { baseModel } = config;
  const present = model.source?.name;
  if (!baseModel || !present || shortName(baseModel).toLowerCase() === shortName(present).toLowerCase()) return;
  onWarning({ where: name, notes: [`it was made for ${baseModel}, and the model is ${present}`] });
}

const unsupported = (path: string, received: string): DataError =>
  new DataError({
    where: `adapter_config.json, ${path}`,
    expected: "a layer that the adapter changes as in peft",
    received,
    fix: "use another adapter",
  });
