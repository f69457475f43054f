import { type RopeParameters, RotaryEmbedding } from "../../nn/index.ts";
import { anything } from "../config.ts";
import type { Json } from "../labels.ts";
import type { DecoderConfig, DecoderTraits } from "./traits.ts";

/** Whether a layer sees everything, or a window. */
export type LayerType = "full_attention" | "sliding_attention";

/**
 * What a family's rotary positions are where config.json does not say: the base of their wavelengths, and the part that
 * turns.
 */
export interface RopeDefaults {
  theta: number;
  /** Part of each head that turns where config.json does not say; undefined in families that always turn it all. */
  partialFactor?: number;
}

const isObject = (value: unknown): value is Json =>
  value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length > 0;

/**
 * rope_parameters of transformers 5, or the older rope_theta beside rope_scaling, whose type was once called "type".
 */
export function ropeFromJson(json: Json, { theta, partialFactor }: RopeDefaults): RopeParameters {
  const parameters = isObject(json.rope_scaling)
    ? json.rope_scaling
    : isObject(json.rope_parameters)
      ? json.rope_parameters
      : {};
  const { type, partial_rotary_factor: part = json.partial_rotary_factor ?? partialFactor, ...scaling } = parameters;
  const rope: Json = {
    rope_type: type,
    rope_theta: json.rope_theta ?? theta,
    ...(partialFactor === undefined ? {} : { partial_rotary_factor: part }),
    ...scaling,
    ...(isNumber(json.original_max_position_embeddings) && {
      original_max_position_embeddings: json.original_max_position_embeddings,
    }),
  };
  return Object.fromEntries(Object.entries(rope).filter(([, value]) => value !== undefined && value !== null));
}

const isNumber = (value: unknown): value is number => typeof value === "number";

/** Parameters of the angles in each kind of layer. */
export type RopeByLayer = Readonly<Record<LayerType, RopeParameters>> & RopeParameters;

/**
 * Parameters of both kinds of layers: nested rope_parameters, or, before transformers 5, rope_scaling beside a theta
 * for each.
 * @param scaled the layers that rope_scaling is for
 */
export function ropeByLayerFromJson(
  json: Json,
  thetas: Readonly<Record<LayerType, unknown>>,
  scaled: readonly LayerType[] = ["full_attention"],
): RopeByLayer {
  const stated = isObject(json.rope_parameters) ? json.rope_parameters : {};
  const parametersOf = (type: LayerType) => {
    const scaling = scaled.includes(type) && isObject(json.rope_scaling) ? json.rope_scaling : {};
    const parameters = { rope_theta: thetas[type], ...(isObject(stated[type]) ? stated[type] : {}), ...scaling };
    return { rope_type: "default" as const, ...ropeFromJson({ rope_parameters: parameters }, { theta: 0 }) };
  };
  return { full_attention: parametersOf("full_attention"), sliding_attention: parametersOf("sliding_attention") };
}

/** The field of a config with angles of both kinds of layers. @param thetas their bases */
export const ropeByLayer = (thetas: Readonly<Record<LayerType, number>>) =>
  anything<RopeByLayer>("rope_parameters", ropeByLayerFromJson({}, thetas));

/** A config of layers that see everything and layers with a window, with angles of their own. */
interface WindowedConfig extends Pick<DecoderConfig, "headDim" | "maxPositionEmbeddings"> {
  rope: RopeByLayer;
  slidingWindow: number;
  layerTypes: readonly LayerType[] | null;
}

/** What follows from it. @param pattern one layer in so many sees everything, where layerTypes does not say */
export function windowedLayers(
  { headDim, maxPositionEmbeddings, rope, slidingWindow, layerTypes }: WindowedConfig,
  pattern: number,
): Pick<DecoderTraits, "rotary" | "rotaryOf" | "windowOf"> {
  const isFull = (layer: number) => (layerTypes ? layerTypes[layer] === "full_attention" : (layer + 1) % pattern === 0);
  return {
    rotary: [rope.full_attention, rope.sliding_attention].map(
      (parameters) => new RotaryEmbedding(headDim, maxPositionEmbeddings, parameters),
    ),
    rotaryOf: (layer) => (isFull(layer) ? 0 : 1),
    windowOf: (layer) => (isFull(layer) ? undefined : slidingWindow),
  };
}

/** The angles of a config. */
export const rotaryFor = ({
  headDim,
  maxPositionEmbeddings,
  rope,
}: Pick<DecoderConfig, "headDim" | "maxPositionEmbeddings"> & { rope: RopeParameters }): RotaryEmbedding =>
  new RotaryEmbedding(headDim, maxPositionEmbeddings, rope);
