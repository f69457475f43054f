/** Bottleneck adapters in a model: applied, trained, removed. */
import { type OnWarning, ShapeError, warnOnConsole } from "../base/index.ts";
import type { PretrainedModel } from "../models/index.ts";
import { CheckpointError, type Parameter } from "../nn/index.ts";
import { type Adapter, type LayerPart, widened } from "./adapter.ts";
import { HUB_WEIGHTS } from "./adapter-hub.ts";
import { AppliedAdapter, wrong } from "./applied-adapter.ts";
import { Bottleneck } from "./bottleneck.ts";
import type { BottleneckConfig } from "./bottleneck-config.ts";
import { type BottleneckPlace, bottleneckShapes, placesOf } from "./bottleneck-places.ts";
import { warnOfOthers } from "./fit-adapter.ts";

/** A bottleneck adapter that a model has. */
export class AppliedBottleneck extends AppliedAdapter {
  readonly isMerged = false;
  protected readonly isTransposed = false;
  protected override readonly weightsName = HUB_WEIGHTS;
  private readonly places: readonly { place: BottleneckPlace; bottleneck: Bottleneck }[];

  /** @internal */
  constructor(model: PretrainedModel, adapter: Adapter<BottleneckConfig>, onWarning: OnWarning = warnOnConsole) {
    const places = placesOf(model, adapter.config);
    const stored = fitted(adapter, places);
    super(model, adapter);
    warnOfOthers(model, adapter, onWarning);
    const { config } = adapter;
    this.places = places.map((place, index) => {
      const bottleneck = new Bottleneck(config, place, { probability: config.dropout, scope: this.scope, index });
      const { down, up } = bottleneck;
      const parts = { down: down.weight, downBias: down.bias, up: up.weight, upBias: up.bias };
      for (const [part, parameter] of Object.entries(parts))
        parameter?.set(widened((stored.get(place.path) as Parts)[part as LayerPart] as never));
      return { place, bottleneck };
    });
  }

  get parameters(): Map<string, Parameter> {
    return new Map(this.places.flatMap(({ place, bottleneck }) => [...bottleneck.namedParameters(`${place.path}.`)]));
  }

  protected putIn(): void {
    const taken = this.places.find(({ place: { layer, field } }) => layer[field]);
    if (taken) {
      const where = `applyAdapter, ${this.model.architecture}`;
      throw wrong(where, "layers without a bottleneck", `one at ${taken.place.path}`, "remove that one first");
    }
    for (const { place, bottleneck } of this.places) place.layer[place.field] = bottleneck;
  }

  protected takeOut(): void {
    for (const { place } of this.places) place.layer[place.field] = undefined;
  }

  async merge(): Promise<void> {
    const fix = "leave it beside the weights: it is no linear map";
    throw wrong("merge", "an adapter that is a change of weights", this.adapter.config.type, fix);
  }

  unmerge(): void {
    throw wrong("unmerge", "an adapter that is merged", "one beside the weights", "it cannot be merged");
  }
}

type Parts = Adapter["layers"] extends ReadonlyMap<string, infer P> ? P : never;

/**
 * The tensors of each place. A file has the names of the model that it was saved from, with or without a head.
 * @throws CheckpointError or ShapeError for what does not fit
 */
function fitted({ name, layers }: Adapter, places: readonly BottleneckPlace[]): Map<string, Parts> {
  const isSame = (path: string, stored: string) =>
    path === stored || path.endsWith(`.${stored}`) || stored.endsWith(`.${path}`);
  const byPlace = new Map(
    places.flatMap(({ path }) => {
      const stored = [...layers.keys()].find((key) => isSame(path, key));
      return stored === undefined ? [] : [[path, layers.get(stored) as Parts]];
    }),
  );
  const missing = places.find(({ path }) => !byPlace.has(path))?.path;
  const extra = [...layers.keys()].find((key) => !places.some(({ path }) => isSame(path, key)));
  const fix = "check that the adapter was made for this model, with this adapter_config.json";
  if (missing !== undefined || extra !== undefined)
    throw new CheckpointError({
      where: name,
      expected: `bottlenecks at exactly the ${places.length} places of the model`,
      received: missing === undefined ? `one more, ${extra}` : `none at ${missing}`,
      fix,
    });
  for (const place of places)
    for (const [part, shape] of bottleneckShapes(place)) {
      const tensor = byPlace.get(place.path)?.[part];
      if (String(tensor?.shape) === String(shape)) continue;
      throw new ShapeError({
        where: `${name}, ${part} of ${place.path}`,
        expected: `shape [${shape.join(", ")}]`,
        received: tensor ? `[${tensor.shape.join(", ")}]` : "no such tensor",
        fix,
      });
    }
  return byPlace;
}
