/** Adapters of `kindling serve`: which model each belongs to. */
import { join, resolve } from "node:path";
import { InvalidArgumentError } from "commander";
import { nearest, OptionError } from "../base/index.ts";
import { readJson } from "../files/index.ts";
import { shortName } from "../hub/index.ts";
import type { NamedAdapter, OpenOptions } from "./models.ts";

/** A text of `--adapter`: name=folder or model:name=folder. */
export function namedAdapter(text: string, before: readonly NamedAdapter[] = []): NamedAdapter[] {
  const at = text.indexOf("=");
  if (at < 1 || at === text.length - 1) throw new InvalidArgumentError("it is not name=folder.");
  return [...before, { name: text.slice(0, at), folder: text.slice(at + 1) }];
}

export interface AdapterFlags {
  adapter?: NamedAdapter[];
  maxAdapters?: number;
  adapterFolder?: string;
}

/** A model that writes, and may have adapters. */
export interface AdaptableModel {
  /** Name that clients ask for. */
  id: string;
  /** As it was typed. */
  name: string;
  /** Its folder or file. */
  path: string;
}

type AdapterOptions = Pick<OpenOptions, "adapters" | "maxAdapters">;

const MAX_ADAPTERS = 4;

/**
 * Adapters by the names of the models that have them, and the room for them. A model is named in front,
 * model:name=folder; it is the only one that writes; or the only one that the adapter was made for, by its
 * adapter_config.json.
 * @throws OptionError for an adapter whose model is not known; DataError for a folder without an adapter_config.json
 */
export async function adaptersOf(
  { adapter: adapters = [], maxAdapters, adapterFolder }: AdapterFlags,
  models: readonly AdaptableModel[],
): Promise<ReadonlyMap<string, AdapterOptions>> {
  const isWanted = adapters.length > 0 || maxAdapters !== undefined || adapterFolder !== undefined;
  if (!isWanted) return new Map();
  if (models.length === 0)
    throw new OptionError({
      where: "serve",
      expected: "a model that writes texts, beside options of adapters",
      received: "none",
      fix: "name one, or leave --adapter, --max-adapters and --adapter-folder out",
    });
  const owned = await Promise.all(adapters.map((adapter) => ownerOf(adapter, models)));
  const options = models.map(({ id }): [string, AdapterOptions] => {
    const list = owned.filter(({ model }) => model === id).map(({ adapter }) => adapter);
    // of several models, one without adapters has room where clients may bring some
    if (list.length === 0 && adapters.length > 0 && adapterFolder === undefined) return [id, {}];
    return [id, { adapters: list, maxAdapters: maxAdapters ?? (list.length || MAX_ADAPTERS) }];
  });
  return new Map(options);
}

async function ownerOf(
  { name, folder }: NamedAdapter,
  models: readonly AdaptableModel[],
): Promise<{ model: string; adapter: NamedAdapter }> {
  const { base_model_name_or_path: base } = await readJson(join(folder, "adapter_config.json"));
  const [named] = models
    .filter(({ id }) => name.startsWith(`${id}:`) && name.length > id.length + 1)
    .sort((a, b) => b.id.length - a.id.length);
  if (named) return { model: named.id, adapter: { name: name.slice(named.id.length + 1), folder } };
  const bases = typeof base === "string" ? modelsOf(base, models) : [];
  const [only, ...others] = models.length === 1 ? models : bases;
  if (only && others.length === 0) return { model: only.id, adapter: { name, folder } };
  throw unowned({ name, folder }, base, models);
}

/** The models that a base_model_name_or_path may mean: the one in that place, or those of that name. */
function modelsOf(base: string, models: readonly AdaptableModel[]): readonly AdaptableModel[] {
  const inPlace = models.filter(({ path }) => resolve(path) === resolve(base));
  if (inPlace.length > 0) return inPlace;
  const wanted = shortName(base).toLowerCase();
  return models.filter(({ id, name }) => [id, name].some((each) => shortName(each).toLowerCase() === wanted));
}

function unowned({ name, folder }: NamedAdapter, base: unknown, models: readonly AdaptableModel[]): OptionError {
  const ids = models.map(({ id }) => id);
  const [, prefix, rest] = /^(.+?):(.+)$/.exec(name) ?? [];
  const near = prefix === undefined ? undefined : nearest(prefix, ids);
  const typed = (model: string, adapter: string) => `--adapter ${model}:${adapter}=${folder}`;
  return new OptionError({
    where: `serve, adapter ${name}`,
    expected: `the model that it belongs to, one of ${ids.join(", ")}`,
    received: typeof base === "string" ? `one that was made for ${base}` : "one that does not say what it was made for",
    fix: near === undefined ? `name the model, as ${typed(ids[0], name)}` : `did you mean ${typed(near, rest)}?`,
  });
}
