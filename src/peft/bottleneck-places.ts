/** Where a bottleneck adapter stands in a model. */
import { DataError } from "../base/index.ts";
import type { PretrainedModel } from "../models/index.ts";
import { namedModules, ResidualLayer } from "../nn/index.ts";
import type { BottleneckPart } from "./adapter-hub.ts";
import type { BottleneckConfig } from "./bottleneck-config.ts";

/** A sum of a layer at which the adapter is. */
export interface BottleneckPlace {
  /** What the names of its tensors begin with. */
  path: string;
  layer: ResidualLayer;
  field: "attentionAdapters" | "outputAdapters";
  /** Width of the states, D. */
  width: number;
  /** Width of the bottleneck, r. */
  size: number;
}

/**
 * The places of an adapter in a model, in the model's order.
 * @throws DataError where the model has none, or is of another width than the adapter
 */
export function placesOf(model: PretrainedModel, config: BottleneckConfig): BottleneckPlace[] {
  const { mhAdapter, outputAdapter, leaveOut } = config;
  const width = widthOf(model, config);
  if (mhAdapter && model.modelType === "albert")
    throw new DataError({
      where: "adapter_config.json, mh_adapter",
      expected: "a model whose attention has a branch that the adapter reads",
      received: "ALBERT, whose adapter of the attention reads the layer's input in Python's adapters",
      fix: "use an adapter of the feed-forward part alone: output_adapter",
    });
  const layers = [...namedModules(model)].filter((entry): entry is [string, ResidualLayer] => {
    return entry[1] instanceof ResidualLayer;
  });
  const places = layers.flatMap(([path, layer], number) => {
    if (leaveOut.includes(number)) return [];
    const size = Math.max(1, Math.floor(width / factorOf(number, config)));
    const at = (field: BottleneckPlace["field"]) => ({
      path: `${path}.${layer.nameOf(field)}`,
      layer,
      field,
      width,
      size,
    });
    return [
      ...(mhAdapter ? [at("attentionAdapters" as const)] : []),
      ...(outputAdapter ? [at("outputAdapters" as const)] : []),
    ];
  });
  if (places.length > 0) return places;
  throw new DataError({
    where: `applyAdapter, ${model.architecture}`,
    expected: "Transformer layers of a text model",
    received: layers.length > 0 ? `leaveOut with all ${layers.length} layers` : "a model without any",
    fix: "use an adapter of layers, such as LoRA",
  });
}

/** The shapes of the tensors of a place. */
export const bottleneckShapes = ({ width, size }: BottleneckPlace): [BottleneckPart, readonly number[]][] => [
  ["down", [size, width]],
  ["downBias", [size]],
  ["up", [width, size]],
  ["upBias", [width]],
];

function widthOf({ config: sizes, architecture }: PretrainedModel, { hiddenSize }: BottleneckConfig): number {
  const { hiddenSize: width } = sizes as { hiddenSize?: number };
  if (width !== undefined && (hiddenSize === null || hiddenSize === width)) return width;
  throw new DataError({
    where: "adapter_config.json, hidden_size",
    expected: width === undefined ? "a model of one width" : `${width}, the width of the model`,
    received: width === undefined ? architecture : String(hiddenSize),
    fix: "use an adapter of this model",
  });
}

/** @throws DataError for a layer of which a table of factors says nothing */
function factorOf(layer: number, { reductionFactor }: BottleneckConfig): number {
  if (typeof reductionFactor === "number") return reductionFactor;
  const factor = reductionFactor[String(layer)] ?? reductionFactor.default;
  if (factor !== undefined) return factor;
  throw new DataError({
    where: "adapter_config.json, reduction_factor",
    expected: `a factor of layer ${layer}, or "default"`,
    received: JSON.stringify(reductionFactor),
    fix: "add one",
  });
}
