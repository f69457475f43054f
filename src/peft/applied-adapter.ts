/** An adapter in a model: what all kinds have in common. */
import { join } from "#system";
import { OptionError } from "../base/index.ts";
import {
  makeFolder,
  readJson,
  readSafetensors,
  type StoredTensor,
  writeJson,
  writeSafetensors,
} from "../files/index.ts";
import type { PretrainedModel, RunOptions } from "../models/index.ts";
import { CheckpointError, loadStateDict, type Parameter, type StateDict } from "../nn/index.ts";
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, type Adapter } from "./adapter.ts";
import { type AdapterConfig, configFromJson, configToJson } from "./adapter-config.ts";
import type { RunScope } from "./lora-layer.ts";

/** An adapter that a model has, or had and may have again. */
export abstract class AppliedAdapter {
  readonly model: PretrainedModel;
  readonly adapter: Adapter;
  /** What its layers look at while a run is traced. */
  protected readonly scope: RunScope = {};
  private active = false;

  /** @internal */
  constructor(model: PretrainedModel, adapter: Adapter) {
    this.model = model;
    this.adapter = adapter;
  }

  /** What training changes: the parameters of the adapter, by their names in its file. */
  abstract get parameters(): Map<string, Parameter>;
  /** Whether weights that it changes are [in, out], as those of GPT-2 are. */
  protected abstract readonly isTransposed: boolean;
  /** The file of its numbers. */
  protected readonly weightsName: string = ADAPTER_WEIGHTS;
  /** Whether it is in the weights now, and not beside them. */
  abstract readonly isMerged: boolean;
  /** @throws OptionError when the model has another adapter */
  protected abstract putIn(): void;
  /** Takes the adapter out of the model. */
  protected abstract takeOut(): void;

  /**
   * Adds the updates to the weights, so that the model runs as fast as without. The weights that were there are kept
   * for `unmerge`: in memory there are both. Weights in 16 bits stay so, and the sums are rounded to them.
   * @throws OptionError for layers in blocks, for an adapter of an embedding, with a bias of B or of states before a
   *   text, and when it is merged or not in the model
   */
  abstract merge(): Promise<void>;
  /** Undoes `merge`: the weights are those from before, to the bit. @throws OptionError when nothing is merged */
  abstract unmerge(): void;

  /** Whether the model computes with it. */
  get isActive(): boolean {
    return this.active;
  }

  /**
   * Puts the adapter beside the layers again, after `remove`: graphs that are traced from now on compute with it.
   * @throws OptionError when the model has another adapter
   */
  activate(): void {
    if (this.active) return;
    this.putIn();
    this.active = true;
  }

  /** Takes the adapter out: the model is as it was before. Its numbers stay, for `activate`. */
  remove(): void {
    if (!this.active) return;
    this.takeOut();
    this.active = false;
  }

  /**
   * Traces with the adapter, whether it is active or not, and with its dropout where the run has a key. Tracing is
   * synchronous: nothing else sees the model meanwhile. So several adapters are trained on one model, in turns.
   * @throws OptionError when the model has another adapter
   */
  within<T>(run: RunOptions, trace: () => T): T {
    const wasActive = this.active;
    this.activate();
    this.scope.key = run.key?.fold(DROPOUT);
    try {
      return trace();
    } finally {
      this.scope.key = undefined;
      if (!wasActive) this.remove();
    }
  }

  /**
   * Writes the adapter as peft's save_pretrained does, with what was trained; peft loads it onto the same model.
   * @param folder made where it is not there
   */
  async save(folder: string): Promise<void> {
    await makeFolder(folder);
    const tensors = new Map<string, StoredTensor>();
    for (const [key, parameter] of this.parameters)
      tensors.set(key, { dtype: "f32", shape: parameter.shape, data: await parameter.read() });
    await writeSafetensors(join(folder, this.weightsName), tensors);
    await writeJson(join(folder, ADAPTER_CONFIG), configToJson(this.adapter.config, this.isTransposed));
  }

  /**
   * Reads what `save` wrote. Changes nothing unless everything fits.
   * @throws CheckpointError or ShapeError for another adapter; OptionError when it is merged
   */
  async load(folder: string): Promise<void> {
    if (this.isMerged) throw wrong("load", "an adapter beside the weights", "one that is merged", "unmerge it first");
    const place = join(folder, ADAPTER_CONFIG);
    const config = configFromJson(place, await readJson(place));
    const [expected, received] = [this.adapter.config, config].map(described);
    const fix = "load it with the options that it was saved with";
    if (expected !== received) throw new CheckpointError({ where: place, expected, received, fix });
    const path = join(folder, this.weightsName);
    loadStateDict(path, this.parameters, (await readSafetensors(path)).tensors as StateDict);
  }

  /** Takes the adapter out and frees its numbers. */
  dispose(): void {
    this.remove();
    for (const parameter of this.parameters.values()) parameter.dispose();
  }
}

/** The run's key is folded by this for an adapter: models fold it by the numbers of their layers. */
const DROPOUT = 0x10ad;

/** What an adapter does, whatever model it says it was made for. */
function described(config: AdapterConfig): string {
  const json = configToJson({ ...config, baseModel: null } as AdapterConfig, false);
  return JSON.stringify(Object.entries(json).sort(([a], [b]) => (a < b ? -1 : 1)));
}

export const wrong = (where: string, expected: string, received: string, fix: string): OptionError =>
  new OptionError({ where, expected, received, fix });
