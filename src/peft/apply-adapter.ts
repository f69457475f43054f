/** One adapter in a model: applied, trained, merged into the weights, saved, removed. */
import { join } from "#system";
import { type OnWarning, OptionError } from "../base/index.ts";
import { makeFolder, type StoredTensor, writeJson, writeSafetensors } from "../files/index.ts";
import type { PretrainedModel } from "../models/index.ts";
import { Conv1D, EmbeddingTable, Linear, type Module, mapModules, mapParameters, Parameter } from "../nn/index.ts";
import { type Tensor, transpose } from "../tensor/index.ts";
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, type Adapter, widened } from "./adapter.ts";
import { type FittedLayer, fitAdapter } from "./fit-adapter.ts";
import { loraConfigToJson } from "./lora-config.ts";
import { LoraEmbedding, LoraProjection } from "./lora-layer.ts";

type LoraLayer = LoraProjection | LoraEmbedding;

/** How an adapter is applied. */
export interface ApplyOptions {
  /** Hears of an adapter that was made for another model. @default console.warn */
  onWarning?: OnWarning;
}

/**
 * Puts an adapter beside the layers of a model: it computes with it from now on, in graphs that are traced anew.
 * Nothing changes unless everything fits.
 * @throws DataError when the model has no such layers, or an adapter already; CheckpointError, ShapeError for tensors
 *   that do not fit; OptionError for a weight in blocks that the adapter has anew
 *
 * @example
 * // const applied = applyAdapter(model, await readAdapter("adapters/sql"));
 * // await applied.merge();
 */
export function applyAdapter(
  model: PretrainedModel,
  adapter: Adapter,
  { onWarning }: ApplyOptions = {},
): AppliedAdapter {
  return new AppliedAdapter(model, adapter, onWarning);
}

/** An adapter that a model has. */
export class AppliedAdapter {
  readonly model: PretrainedModel;
  readonly adapter: Adapter;
  private readonly layers: ReadonlyMap<string, LoraLayer>;
  /** Weights of the model that others stand for now, by their names; and those others. */
  private readonly exchanged: readonly { key: string; before: Parameter; now: Parameter }[];
  /** Weights as they were before the merge, in the layers that have them. */
  private merged: { layer: Module; before: Parameter; now: Parameter }[] | undefined;

  /** @internal */
  constructor(model: PretrainedModel, adapter: Adapter, onWarning?: OnWarning) {
    const { layers, replaced } = fitAdapter(model, adapter, onWarning);
    this.model = model;
    this.adapter = adapter;
    requireFree(model, layers);
    const parameters = model.namedParameters();
    this.exchanged = [...replaced].map(([key, tensor]) => {
      const before = parameters.get(key);
      if (!before) throw wrong(`${adapter.name}, tensor ${key}`, "a weight that is a parameter", "one in blocks", F32);
      return { key, before, now: new Parameter<"f32">(before.shape, widened(tensor), { stored: before.stored }) };
    });
    const wrap = ({ layer, ...parts }: FittedLayer): LoraLayer =>
      layer instanceof EmbeddingTable ? new LoraEmbedding(layer, parts) : new LoraProjection(layer, parts);
    this.layers = new Map(layers.map((fitted) => [fitted.path, wrap(fitted)]));
    this.putIn();
  }

  private putIn(): void {
    const now = new Map(this.exchanged.map(({ before, now }) => [before, now]));
    mapParameters(this.model, (_, parameter) => now.get(parameter));
    const layers = new Map([...this.layers.values()].map((layer) => [layer.base as Module, layer]));
    mapModules(this.model, (_, module) => layers.get(module));
  }

  private takeOut(): void {
    const bases = new Map([...this.layers.values()].map((layer) => [layer as Module, layer.base]));
    mapModules(this.model, (_, module) => bases.get(module));
  }

  /** What training changes: the parameters of the adapter, by their names in its file. */
  get parameters(): Map<string, Parameter> {
    const parameters = new Map<string, Parameter>();
    for (const [path, layer] of this.layers)
      for (const [key, parameter] of layer.namedParameters(`${path}.`))
        if (!key.startsWith(`${path}.base_layer.`)) parameters.set(`base_model.model.${key}`, parameter);
    for (const { key, now } of this.exchanged) parameters.set(`base_model.model.${this.savedName(key)}`, now);
    return parameters;
  }

  /** A bias of a layer that has an adapter is its base layer's, to peft. */
  private savedName(key: string): string {
    const dot = key.lastIndexOf(".");
    return this.layers.has(key.slice(0, dot)) ? `${key.slice(0, dot)}.base_layer${key.slice(dot)}` : key;
  }

  /**
   * Adds the updates to the weights, so that the model runs as fast as without. The weights that were there are kept
   * for `unmerge`: in memory there are both. Weights in 16 bits stay so, and the sums are rounded to them.
   * @throws OptionError for layers in blocks, for an adapter of an embedding or with a bias of B, and when it is merged
   */
  async merge(): Promise<void> {
    if (this.merged) throw wrong("merge", "an adapter beside the weights", "one that is merged", "unmerge it first");
    const layers = [...this.layers].map(([path, layer]) => mergeable(path, layer)); // all, before any is merged
    const merged: NonNullable<AppliedAdapter["merged"]> = [];
    for (const { base, matrix } of layers) {
      const { weight: before } = base;
      const numbers = await (base instanceof Conv1D ? transpose(matrix) : matrix).read();
      merged.push({ layer: base, before, now: new Parameter<"f32">(before.shape, numbers, { stored: before.stored }) });
    }
    this.takeOut();
    for (const { layer, before, now } of merged)
      mapParameters(layer, (_, parameter) => (parameter === before ? now : undefined));
    this.merged = merged;
  }

  /** Undoes `merge`: the weights are those from before, to the bit. @throws OptionError when nothing is merged */
  unmerge(): void {
    if (!this.merged) throw wrong("unmerge", "an adapter that is merged", "one beside the weights", "merge it first");
    this.restoreMerged();
    const layers = new Map([...this.layers.values()].map((layer) => [layer.base as Module, layer]));
    mapModules(this.model, (_, module) => layers.get(module));
  }

  private restoreMerged(): void {
    for (const { layer, before, now } of this.merged ?? []) {
      mapParameters(layer, (_, parameter) => (parameter === now ? before : undefined));
      now.dispose();
    }
    this.merged = undefined;
  }

  /** Takes the adapter out: the model is as it was before. */
  remove(): void {
    if (this.merged) this.restoreMerged();
    else this.takeOut();
    const before = new Map(this.exchanged.map(({ before, now }) => [now, before]));
    mapParameters(this.model, (_, parameter) => before.get(parameter));
  }

  /**
   * Writes the adapter as peft's save_pretrained does, with what was trained; peft loads it onto the same model.
   * @param folder made where it is not there
   */
  async save(folder: string): Promise<void> {
    await makeFolder(folder);
    const tensors = new Map<string, StoredTensor>();
    for (const [key, parameter] of this.parameters)
      tensors.set(key, { dtype: "f32", shape: parameter.shape, data: await parameter.read() } as StoredTensor);
    await writeSafetensors(join(folder, ADAPTER_WEIGHTS), tensors);
    const isTransposed = [...this.layers.values()].some(({ base }) => base instanceof Conv1D);
    await writeJson(join(folder, ADAPTER_CONFIG), loraConfigToJson(this.adapter.config, isTransposed));
  }
}

const F32 = 'open the model with { weights: "f32" }';

/** The layer under an adapter, and the matrix that its weight is to be. @throws OptionError where it cannot be that */
function mergeable(path: string, layer: LoraLayer): { base: Linear | Conv1D; matrix: Tensor<"f32"> } {
  const where = `merge, ${path}`;
  const fix = "leave it beside the weights";
  if (layer instanceof LoraEmbedding) throw wrong(where, "an adapter of linear layers", "one of an embedding", fix);
  if (layer.loraBias) throw wrong(where, "an update without a bias", "lora_bias", fix);
  const { base } = layer;
  if (base instanceof Linear || base instanceof Conv1D) return { base, matrix: layer.matrix() };
  throw wrong(where, "a weight that is a parameter", `a ${base.constructor.name}`, F32);
}

/** @throws OptionError for a layer that has an adapter */
function requireFree(model: PretrainedModel, layers: readonly FittedLayer[]): void {
  const taken = layers.find(({ layer }) => layer instanceof LoraProjection || layer instanceof LoraEmbedding);
  if (!taken) return;
  const fix = "remove that one first; a Generator with maxAdapters writes with several at once";
  throw wrong(`applyAdapter, ${model.architecture}`, "layers without an adapter", `one at ${taken.path}`, fix);
}

const wrong = (where: string, expected: string, received: string, fix: string): OptionError =>
  new OptionError({ where, expected, received, fix });
