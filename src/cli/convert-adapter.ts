/** Adapters as sources of `kindling convert`: a model that others read has them in its weights. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { OptionError } from "../base/index.ts";
import { exists, readJson } from "../files/index.ts";
import { isRemoteName } from "../hub/index.ts";
import { fromPretrained, type PretrainedModel } from "../models/index.ts";
import { applyAdapter, readAdapter } from "../peft/index.ts";
import { findModel } from "./models.ts";

const CONFIG = "adapter_config.json";

/** The folder of an adapter that a name means: a folder, or a run whose result is one; undefined for other models. */
export async function findAdapter(name: string, runs: string): Promise<string | undefined> {
  if ((await stat(name).catch(() => undefined))?.isFile()) return undefined;
  for (const place of [name, join(runs, name)]) {
    for (const folder of [place, join(place, "model")]) {
      if (await exists(join(folder, "config.json"))) return undefined;
      if (await exists(join(folder, CONFIG))) return folder;
    }
  }
  return undefined;
}

/** A model with an adapter in its weights. */
export interface MergedModel {
  model: PretrainedModel;
  /** Folder or file of the model that the adapter was made for. */
  base: string;
}

/**
 * Opens the model that an adapter was made for, and adds the adapter to its weights.
 * @param base its name. @default what the adapter's config says
 * @throws OptionError where neither says it, it is not found, or the kind of adapter cannot be in weights
 */
export async function openMerged(folder: string, base: string | undefined, runs: string): Promise<MergedModel> {
  const stated = (await readJson(join(folder, CONFIG))).base_model_name_or_path;
  const name = base ?? (typeof stated === "string" && stated !== "" ? stated : undefined);
  const isThere = name !== undefined && ((await exists(name)) || (await isRemoteName(name)));
  if (name === undefined || (base === undefined && !isThere))
    throw new OptionError({
      where: `convert, ${folder}`,
      expected: "the model that the adapter was made for",
      received: name === undefined ? "an adapter that names none" : `${name}, which is not there`,
      fix: "name it with --base",
    });
  const path = await findModel(name, runs);
  const model = await fromPretrained(path);
  await applyAdapter(model, await readAdapter(folder)).merge();
  return { model, base: path };
}

/** @throws OptionError for an adapter that is not to be merged: alone it is no model */
export async function refuseUnmerged(folder: string): Promise<never> {
  const { base_model_name_or_path: base } = await readJson(join(folder, CONFIG));
  throw new OptionError({
    where: "convert",
    expected: "a model",
    received: `${folder}, an adapter${typeof base === "string" ? ` for ${base}` : ""}`,
    fix: "convert the model with the adapter in its weights: add --merge",
  });
}
