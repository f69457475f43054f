/** Adapters of layers in a model: applied, trained, merged into the weights, removed. */
import type { OnWarning } from "../base/index.ts";
import type { PretrainedModel } from "../models/index.ts";
import {
  biasOf,
  Conv1D,
  EmbeddingTable,
  Linear,
  type Module,
  mapModules,
  mapParameters,
  namedModules,
  Parameter,
  type Projection,
} from "../nn/index.ts";
import { mul, reshape, type Tensor, transpose } from "../tensor/index.ts";
import { type Adapter, widened } from "./adapter.ts";
import type { LayerConfig } from "./adapter-config.ts";
import { AppliedAdapter, wrong } from "./applied-adapter.ts";
import { fitAdapter } from "./fit-adapter.ts";
import type { FittedLayer } from "./fitted-layer.ts";
import { Ia3Projection } from "./ia3-layer.ts";
import { LoraEmbedding, LoraProjection } from "./lora-layer.ts";

type AdaptedLayer = LoraProjection | LoraEmbedding | Ia3Projection;

/** A LoRA or IA3 adapter that a model has. */
export class AppliedLayers extends AppliedAdapter {
  private readonly layers: ReadonlyMap<string, AdaptedLayer>;
  /** Weights of the model that others stand for now, by their names; and those others. */
  private readonly exchanged: readonly { key: string; before: Parameter; now: Parameter }[];
  /** Weights as they were before the merge, in the layers that have them. */
  private merged: { layer: Module; before: Parameter; now: Parameter }[] | undefined;

  /** @internal */
  constructor(model: PretrainedModel, adapter: Adapter<LayerConfig>, onWarning?: OnWarning) {
    const { layers, replaced } = fitAdapter(model, adapter, onWarning);
    super(model, adapter);
    const parameters = model.namedParameters();
    this.exchanged = [...replaced].map(([key, tensor]) => {
      const before = parameters.get(key);
      if (!before) throw wrong(`${adapter.name}, tensor ${key}`, "a weight that is a parameter", "one in blocks", F32);
      return { key, before, now: new Parameter<"f32">(before.shape, widened(tensor), { stored: before.stored }) };
    });
    const { config } = adapter;
    const probability = config.type === "LORA" ? config.dropout : 0;
    const wrap = (fitted: FittedLayer, index: number): AdaptedLayer => {
      const { layer } = fitted;
      if (layer instanceof EmbeddingTable) return new LoraEmbedding(layer, fitted as never);
      if ("factors" in fitted) return new Ia3Projection(layer, fitted);
      return new LoraProjection(layer, fitted, { probability, scope: this.scope, index });
    };
    this.layers = new Map(layers.map((fitted, i) => [fitted.path, wrap(fitted, i)]));
  }

  get isMerged(): boolean {
    return this.merged !== undefined;
  }

  protected get isTransposed(): boolean {
    return [...this.layers.values()].some(({ base }) => base instanceof Conv1D);
  }

  protected putIn(): void {
    this.requireFree();
    const now = new Map(this.exchanged.map(({ before, now }) => [before, now]));
    mapParameters(this.model, (_, parameter) => now.get(parameter));
    this.putLayersIn();
  }

  private putLayersIn(): void {
    const layers = new Map([...this.layers.values()].map((layer) => [layer.base as Module, layer]));
    mapModules(this.model, (_, module) => layers.get(module));
  }

  protected takeOut(): void {
    if (this.merged) this.restoreMerged();
    else this.takeLayersOut();
    const before = new Map(this.exchanged.map(({ before, now }) => [now, before]));
    mapParameters(this.model, (_, parameter) => before.get(parameter));
  }

  private takeLayersOut(): void {
    const bases = new Map([...this.layers.values()].map((layer) => [layer as Module, layer.base]));
    mapModules(this.model, (_, module) => bases.get(module));
  }

  /** @throws OptionError when the model has another adapter */
  private requireFree(): void {
    for (const [path, module] of namedModules(this.model)) {
      const isAdapted =
        module instanceof LoraProjection || module instanceof LoraEmbedding || module instanceof Ia3Projection;
      if (!isAdapted) continue;
      const where = `applyAdapter, ${this.model.architecture}`;
      const fix =
        "remove that one first; combineAdapters makes one of several; a Generator with maxAdapters writes with several at once";
      throw wrong(where, "layers without an adapter", `one at ${path}`, fix);
    }
  }

  get parameters(): Map<string, Parameter> {
    const parameters = new Map<string, Parameter>();
    for (const [path, layer] of this.layers)
      for (const [key, parameter] of layer.namedParameters(`${path}.`))
        if (!key.startsWith(`${path}.base_layer.`)) parameters.set(this.nameInFile(key), parameter);
    for (const { key, now } of this.exchanged) parameters.set(this.nameInFile(this.savedName(key)), now);
    return parameters;
  }

  private nameInFile(key: string): string {
    return `base_model.model.${this.model.family.moduleName?.(key) ?? key}`;
  }

  /** A bias of a layer that has an adapter is its base layer's, to peft. */
  private savedName(key: string): string {
    const dot = key.lastIndexOf(".");
    return this.layers.has(key.slice(0, dot)) ? `${key.slice(0, dot)}.base_layer${key.slice(dot)}` : key;
  }

  async merge(): Promise<void> {
    if (this.merged) throw wrong("merge", "an adapter beside the weights", "one that is merged", "unmerge it first");
    if (!this.isActive) throw wrong("merge", "an adapter that is active", "one that was removed", "activate it first");
    const layers = [...this.layers].flatMap(([path, layer]) => mergeable(path, layer)); // all, before any is merged
    const merged: NonNullable<AppliedLayers["merged"]> = [];
    for (const { base, before, next } of layers) {
      const now = new Parameter<"f32">(before.shape, await next.read(), { stored: before.stored });
      merged.push({ layer: base, before, now });
    }
    this.takeLayersOut();
    for (const { layer, before, now } of merged)
      mapParameters(layer, (_, parameter) => (parameter === before ? now : undefined));
    this.merged = merged;
  }

  unmerge(): void {
    if (!this.merged) throw wrong("unmerge", "an adapter that is merged", "one beside the weights", "merge it first");
    this.restoreMerged();
    this.putLayersIn();
  }

  private restoreMerged(): void {
    for (const { layer, before, now } of this.merged ?? []) {
      mapParameters(layer, (_, parameter) => (parameter === now ? before : undefined));
      now.dispose();
    }
    this.merged = undefined;
  }
}

const F32 = 'open the model with { weights: "f32" }';

/** A weight of a layer, and what it becomes. */
interface Merge {
  base: Linear | Conv1D;
  before: Parameter;
  next: Tensor<"f32">;
}

/** What the weights of the layer under an adapter are to be. @throws OptionError where they cannot be that */
function mergeable(path: string, layer: AdaptedLayer): Merge[] {
  const where = `merge, ${path}`;
  const fix = "leave it beside the weights";
  if (layer instanceof LoraEmbedding) throw wrong(where, "an adapter of linear layers", "one of an embedding", fix);
  if (layer instanceof LoraProjection && layer.loraBias)
    throw wrong(where, "an update without a bias", "lora_bias", fix);
  const { base } = layer as { base: Projection };
  if (!(base instanceof Linear) && !(base instanceof Conv1D))
    throw wrong(where, "a weight that is a parameter", `a ${base.constructor.name}`, F32);
  const matrix = layer.matrix();
  const merges: Merge[] = [{ base, before: base.weight, next: base instanceof Conv1D ? transpose(matrix) : matrix }];
  const bias = biasOf(base);
  if (layer instanceof Ia3Projection && layer.scalesOutput && bias)
    merges.push({ base, before: bias, next: mul(bias.value, reshape(layer.factors.value, bias.shape)) });
  return merges;
}
