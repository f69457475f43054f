/** What a model is, by its config alone: no weight is read, and none is made. */
import { DataError } from "../base/index.ts";
import { type Folder, isFile, readJson, type StoredFile } from "../files/index.ts";
import { openPlace, type PlaceOptions } from "../hub/index.ts";
import { fromConfig, ggufConfig, type PretrainedModel, type Task } from "../models/index.ts";

/** A model as its config describes it. */
export interface DescribedModel {
  /** As it was named. */
  name: string;
  /** config.json, or what it would say of a GGUF file. */
  json: Readonly<Record<string, unknown>>;
}

/**
 * The config of a model: of a folder, a GGUF file, or a repository, of which only that file is read and nothing kept.
 * @throws DataError where there is none; as `openPlace`
 */
export async function describeModel(
  place: string | Folder | StoredFile,
  options: Pick<PlaceOptions, "hub"> = {},
): Promise<DescribedModel> {
  const opened = await openPlace(place, { ...options, cache: false });
  const name = typeof place === "string" ? place : opened.name;
  if (!isFile(opened)) return { name, json: await readJson(opened.file("config.json")) };
  if (opened.base.toLowerCase().endsWith(".gguf")) return { name, json: await ggufConfig(opened) };
  if (opened.base.toLowerCase().endsWith(".json")) return { name, json: await readJson(opened) };
  throw new DataError({
    where: name,
    expected: "a model's folder, its config.json, a GGUF file or a repository",
    received: opened.base,
    fix: "name the folder that it is in",
  });
}

/**
 * The model of a config, whose weights take no memory: they are random numbers that nobody asks for.
 * @param task what the model is for. @default what the config says
 * @throws DataError or OptionError for a config that no family reads
 */
export const buildModel = ({ json }: DescribedModel, task?: Task): PretrainedModel =>
  fromConfig(json as never, { task: task as "causal-lm", onWarning: () => {} });

/** How many layers a config says, under the name of its family; undefined where it says none, or several stacks. */
export function layerCount({ json }: DescribedModel): number | undefined {
  const key = layerKey(json);
  return key === undefined ? undefined : Number(json[key]);
}

/** The same model with so many layers. */
export function withLayers(model: DescribedModel, count: number): DescribedModel {
  const { json } = model;
  const key = layerKey(json) as string;
  const perLayer = Object.entries(json).filter(([, value]) => Array.isArray(value) && value.length === json[key]);
  const shortened = perLayer.map(([name, value]) => [name, (value as unknown[]).slice(0, count)]);
  return { ...model, json: { ...json, ...Object.fromEntries(shortened), [key]: count } };
}

const layerKeys = ["num_hidden_layers", "n_layer"];
/** Of models of other forms, layers are not all alike. */
const otherParts = ["text_config", "vision_config", "decoder_layers", "num_decoder_layers", "first_k_dense_replace"];

function layerKey(json: DescribedModel["json"]): string | undefined {
  if (otherParts.some((name) => json[name] !== undefined)) return undefined;
  return layerKeys.find((name) => typeof json[name] === "number");
}
