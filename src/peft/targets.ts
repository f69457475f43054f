/** Which layers of a model an adapter's config means: the rules of peft's tuners_utils.py. */
import { DataError } from "../base/index.ts";
import type { PretrainedModel } from "../models/index.ts";
import { EmbeddingTable, type Module, namedModules, Projection, TiedProjection } from "../nn/index.ts";
import type { LayerConfig } from "./adapter-config.ts";
import type { TargetFields } from "./config-fields.ts";
import type { Target } from "./fitted-layer.ts";
import { Ia3Projection } from "./ia3-layer.ts";
import type { LoraConfig } from "./lora-config.ts";
import { LoraEmbedding, LoraProjection } from "./lora-layer.ts";

/** Characters of a pattern: those of published adapters have up to 200. */
const LONGEST_PATTERN = 2000;

/**
 * A pattern of Python's `re` for whole texts, with what may stand before it and behind it.
 * @throws DataError for what is no regular expression here
 */
function wholePattern(pattern: string, before = "", behind = ""): RegExp {
  const refuse = (received: string, cause?: unknown) =>
    new DataError({
      where: "adapter_config.json",
      expected: "a regular expression that JavaScript reads as Python does",
      received,
      fix: "list the layers by their names",
      cause,
    });
  if (pattern.length > LONGEST_PATTERN) throw refuse(`${pattern.length} characters`);
  try {
    return new RegExp(`^${before}(?:${pattern.replaceAll("(?P<", "(?<")})${behind}$`);
  } catch (cause) {
    throw refuse(pattern, cause);
  }
}

/** Whether a path is one of some names, or ends with one of them. */
const endsWithAny = (path: string, names: readonly string[]): boolean =>
  names.some((name) => path === name || path.endsWith(`.${name}`));

/** Whether a path is meant by a list of names, or by a pattern. */
export function isNamed(path: string, names: readonly string[] | string | null): boolean {
  if (names === null || names.length === 0) return false;
  return typeof names === "string" ? wholePattern(names).test(path) : endsWithAny(path, names);
}

/** Whether a module, or one that it is in, is of those that an adapter has anew: peft compares the ends of paths. */
export function isAnew(path: string, { modulesToSave }: TargetFields): boolean {
  const parts = path.split(".");
  const paths = parts.map((_, i) => parts.slice(0, i + 1).join("."));
  return (modulesToSave ?? []).some((name) => paths.some((outer) => outer.endsWith(name)));
}

/** Whether a layer is no target because an adapter has it anew, or a module that it is in. */
const isSavedWhole = (path: string, { modulesToSave }: TargetFields): boolean =>
  (modulesToSave ?? []).some((name) => wholePattern(name, "(?:.*\\.)?", "(?:\\..*)?").test(path));

/** The number of a path's layer in a stack; undefined outside of stacks. */
function layerNumber(path: string, layersPattern: LoraConfig["layersPattern"]): number | undefined {
  const stacks = [layersPattern ?? []].flat();
  const behind = "\\.(?<number>\\d+)\\..*";
  const patterns =
    stacks.length > 0
      ? stacks.map((stack) => wholePattern(stack, "(?:.*?\\.)?", behind))
      : [wholePattern("[^.]*", ".*?\\.", behind)];
  for (const pattern of patterns) {
    const number = pattern.exec(path)?.groups?.number;
    if (number !== undefined) return Number(number);
  }
  return undefined;
}

/** Whether the layer of a listed target is one of `layersToTransform`. */
function isInLayers(path: string, config: LayerConfig): boolean {
  if (config.type !== "LORA") return true;
  const { layersToTransform, layersPattern } = config;
  const numbers = [layersToTransform ?? []].flat();
  if (numbers.length === 0) return true;
  const number = layerNumber(path, layersPattern);
  return number !== undefined && numbers.includes(number);
}

/** Heads, which "all-linear" leaves out. */
const isHead = (path: string, layer: Module, model: PretrainedModel): boolean =>
  layer instanceof TiedProjection ||
  /(^|\.)(lm_head|embed_out)$/.test(path) ||
  (model.task === "sequence-classification" && /^(score|classifier)$/.test(path));

function isTarget(path: string, layer: Module, config: LayerConfig, model: PretrainedModel): boolean {
  const { targetModules, excludeModules } = config;
  if (isNamed(path, excludeModules) || isSavedWhole(path, config)) return false;
  if (typeof targetModules !== "string")
    return (targetModules ?? []).includes(path) || (isNamed(path, targetModules) && isInLayers(path, config));
  if (targetModules.toLowerCase() === "all-linear") return layer instanceof Projection && !isHead(path, layer, model);
  return isNamed(path, targetModules);
}

/** What a layer's path has in a table of patterns for the ends of paths. */
function ofPattern(path: string, table: Readonly<Record<string, number>>, otherwise: number): number {
  const key = Object.keys(table).find((pattern) => wholePattern(pattern, "(?:.*\\.)?").test(path));
  return key === undefined ? otherwise : table[key];
}

/** The rank and alpha of a layer's adapter. */
export const sizesOf = (path: string, { rank, alpha, rankPattern, alphaPattern }: LoraConfig) => ({
  rank: ofPattern(path, rankPattern, rank),
  alpha: ofPattern(path, alphaPattern, alpha),
});

/** A layer without the adapter that it has, if it has one. */
const withoutAdapter = (layer: Projection | EmbeddingTable): Projection | EmbeddingTable =>
  layer instanceof LoraProjection || layer instanceof LoraEmbedding || layer instanceof Ia3Projection
    ? withoutAdapter(layer.base)
    : layer;

/** Modules with their paths, but for those that projections and tables are made of. */
function* outerLayers(model: PretrainedModel): ReturnType<typeof namedModules> {
  let outer: string | undefined;
  for (const [path, module] of namedModules(model)) {
    if (outer !== undefined && (path === outer || path.startsWith(`${outer}.`))) continue;
    outer = module instanceof Projection || module instanceof EmbeddingTable ? path : undefined;
    yield [path, module];
  }
}

/**
 * The layers of a model that an adapter changes, in the model's order.
 * @throws DataError where there are none, or one that is neither a projection nor a table
 */
export function targetsOf(model: PretrainedModel, config: LayerConfig): Target[] {
  const targets: Target[] = [];
  for (const [path, layer] of outerLayers(model)) {
    if (!isTarget(path, layer, config, model)) continue;
    if (!(layer instanceof Projection) && !(layer instanceof EmbeddingTable))
      throw new DataError({
        where: `adapter_config.json, target_modules, ${path}`,
        expected: "a linear layer or an embedding",
        received: `a ${layer.constructor.name}`,
        fix: "use an adapter of linear layers",
      });
    targets.push({ path, layer: withoutAdapter(layer) });
  }
  if (targets.length > 0) return targets;
  throw new DataError({
    where: "adapter_config.json, target_modules",
    expected: `layers of ${model.architecture}`,
    received: `${JSON.stringify(config.targetModules)}, of which it has none`,
    fix: "use an adapter of this model",
  });
}
